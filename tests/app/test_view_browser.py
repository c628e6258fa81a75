"""The inspector's page in a real browser: exported files, and a small server where something is to be kept."""

import json
import os
import re
import shutil
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from pathlib import Path

import pytest
from settled import prepare, settled_reads
from view_site import blame, message, run, site, step, write

from conftest import skip_or_fail

ARGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
ASSETS = files("stepcredit.app.view") / "assets"
SCRIPTS = sorted(p.name for p in ASSETS.iterdir() if p.name.endswith(".js"))


@pytest.fixture(scope="module")
def browser():
    absent = pytest.fail if "browser" in os.environ.get("STEPCREDIT_REQUIRE", "").split(",") else pytest.skip
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        absent("playwright is not installed")
    path = os.environ.get("STEPCREDIT_CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    if path is None:
        absent("no chromium: set STEPCREDIT_CHROMIUM to its path")
    with settled_reads(), sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=ARGS)
        yield browser
        browser.close()


@pytest.fixture
def show(browser, tmp_path):
    """Opens a page; whatever it complains about or asks for fails the test."""
    seen, contexts = [], []

    def open_(parts, hash_="#/runs", *, viewport=(1440, 900), scheme="light", base=None):
        url = base or write(tmp_path / "page.html", parts)
        size = dict(zip(("width", "height"), viewport, strict=True))
        context = browser.new_context(viewport=size, color_scheme=scheme, reduced_motion="reduce")
        contexts.append(context)
        page = context.new_page()
        prepare(page)
        page.on("console", lambda message: seen.append(f"console: {message.text}"))
        page.on("pageerror", lambda error: seen.append(f"error: {error}"))
        page.on("dialog", lambda dialog: (seen.append("dialog"), dialog.dismiss()))
        page.on("request", lambda r: None if r.url.startswith((url.split("#")[0], "data:")) else seen.append(r.url))
        page.goto(url + hash_)
        page.wait_for_selector("main h1, main h2")
        return page

    open_.seen = seen
    yield open_
    for context in contexts:
        context.close()
    assert seen == []


def failing():
    """Two attempts at one task, one of which succeeds, and a lone one of another."""
    calls = [("search", {"q": "cats"}), ("search", {"q": "cats"})]
    replies = [message("tool", "Error: no such index", name="search", call="c0", error=True)]
    first = step("I look it up.", agent="search agent", calls=calls[:1], replies=replies)
    again = step(
        "Once more.", agent="search agent", calls=calls[1:], replies=replies, origin={"seconds": 2.5, "cost": 0.01}
    )
    answer = step("There are **no** cats.", agent="writer", replies=[message("user", "That is wrong.")])
    right = step("There are 3 cats.", agent="writer", calls=[("answer", '{"n": 3}')])
    says = [
        blame(
            "contrast",
            1,
            agent="search agent",
            error="loop",
            confidence=0.71,
            scores=[0.2, 0.9, None],
            reason="Every success turned to another tool here.",
            evidence={"successes_after": 0, "runs_after": 5},
        ),
        blame("judge", 2, error="claim", reason="It made up an answer."),
        blame("repeated", None),
        blame("last_step", 2),
    ]
    credit = {"gigpo": {"values": [0.5, -1.5, None], "sd": [0.1, 0.4, None]}, "grpo": [-0.5, -0.5, -0.5]}
    return [
        run(
            "cats",
            "a",
            0.0,
            [first, again, answer],
            blame=says,
            credit=credit,
            cost=0.25,
            seconds=61,
            tokens=900,
            context=[message("system", "You are careful. " * 20), message("user", "How many cats?")],
            lint=[
                {"rule": "tool-failed", "severity": "warning", "message": "a tool failed twice", "why": None, "step": 1}
            ],
            jumps={"divergence": {"step": 1, "sibling": 1, "sibling_step": 1}, "disagreements": [2]},
            evidence={"progress": [0.1, 0.1, None]},
        ),
        run(
            "cats",
            "b",
            1.0,
            [first, right, step("Done.", agent="writer")],
            cost=0.5,
            seconds=20,
            credit={"gigpo": [0.5, 1.0, 1.0], "grpo": [0.5, 0.5, 0.5]},
        ),
        run("dogs", "a", None, [step("woof", calls=[("bark", {})])], cost=None, seconds=None),
    ]


def rows(page):
    return page.locator(".runs-row.body .run-name small:first-of-type").all_inner_texts()


def query(page):
    return page.evaluate("location.hash")


def until(page, script, seconds=10):
    """Wait until a script says yes. The page's policy forbids the evaluation that Playwright's own waiting needs."""
    for _ in range(int(seconds / 0.03)):
        if page.look(script):
            return
        page.wait_for_timeout(30)
    raise AssertionError(f"never true: {script}")


def chosen(page):
    return page.locator(".panel h2").inner_text()


def test_the_verdict_says_which_step_which_agent_why_and_what_others_say(show):
    page = show(site(failing()), "#/run/cats/a")
    card = page.get_by_role("region", name="Step 1 (the 2nd of 3), search agent: repeated a failed call")
    card.locator(".grounds-rest summary").click()
    for words in (
        "failed",
        "contrast",
        "Every success turned to another tool here.",
        "0.71",
        "0.9",
        "−1.5",
        "± 0.4",
        "runs after",
    ):
        assert words in card.inner_text()
    assert 'search(q: "cats")' in card.locator("blockquote").inner_text()
    others = card.locator(".verdict-others").inner_text()
    assert "judge" in others and "step 2" in others and "no step is to blame" in others and "baseline" in others


def test_the_table_tells_outcome_worst_step_cost_time_and_findings(show):
    page = show(site(failing()))
    first = page.locator(".runs-row.body").first.inner_text()
    for words in (
        "failed",
        "task of cats",
        "cats / a",
        "step 1",
        "Repeated a failed call",
        "3",
        "$0.25",
        "1 m 1 s",
        "1",
    ):
        assert words in first
    assert page.get_by_role("columnheader").all_inner_texts() == [
        "Outcome",
        "Run",
        "Worst step",
        "Steps",
        "Cost",
        "Time",
        "Lint",
    ]
    assert "unknown" in page.locator(".runs-row.body").nth(2).inner_text()


def test_filters_stand_in_the_address_and_survive_a_reload(show):
    page = show(site(failing()))
    page.get_by_role("radio", name="Failed").check()
    assert rows(page) == ["cats / a · 2 agents"] and query(page) == "#/runs?outcome=failed"
    page.reload()
    page.wait_for_selector(".runs-row.body")
    assert rows(page) == ["cats / a · 2 agents"] and page.get_by_role("radio", name="Failed").is_checked()
    page.get_by_role("button", name="clear").click()
    assert len(rows(page)) == 3
    for label, value, left in (
        ("Agent", "writer", 2),
        ("Tool", "bark", 1),
        ("Error type", "loop", 1),
        ("Lint findings", "no", 2),
        ("Task", "g1", 1),
    ):
        page.get_by_label(label, exact=True).select_option(value)
        assert len(rows(page)) == left, label
        page.get_by_label(label, exact=True).select_option("")
    page.get_by_role("button", name="Repeated a failed call").click()
    assert len(rows(page)) == 1
    page.get_by_label("Task", exact=True).select_option("g1")
    assert page.get_by_role("heading", name="Nothing matches").is_visible()


def test_sorting_puts_what_is_not_known_last_both_ways(show):
    page = show(site(failing()))
    cost = page.get_by_role("columnheader", name="Cost")
    cost.get_by_role("button").click()
    assert cost.get_attribute("aria-sort") == "descending" and [r[:8] for r in rows(page)] == [
        "cats / b",
        "cats / a",
        "dogs / a",
    ]
    cost.get_by_role("button").click()
    assert cost.get_attribute("aria-sort") == "ascending" and [r[:8] for r in rows(page)] == [
        "cats / a",
        "cats / b",
        "dogs / a",
    ]
    cost.get_by_role("button").click()
    assert query(page) == "#/runs"


def test_search_looks_into_contents_shows_the_words_and_leads_to_the_step(show):
    page = show(site(failing()))
    page.keyboard.press("/")
    page.keyboard.type("NO CATS", delay=1)
    page.wait_for_selector(".hit", state="detached")
    page.keyboard.press("Control+a")
    page.keyboard.type("3 cats")
    page.wait_for_selector(".hit mark")
    assert rows(page)[0].startswith("cats / b") and page.locator(".hit mark").inner_text() == "3 cats"
    page.locator(".run-name a").first.click()
    page.wait_for_selector(".step.selected")
    assert query(page) == "#/run/cats/b/1"


def test_ten_thousand_runs_are_drawn_where_they_are_looked_at(show):
    parts = site([run(f"task {i // 8}", i % 8, float(i % 3 == 0), [step("x")] * (i % 50 + 1)) for i in range(2)])
    many = 10_000
    columns = {k: [v[0]] * many for k, v in parts["/api/runs"]["columns"].items()}
    columns |= {
        "id": list(range(many)),
        "group": [f"t{i // 8}" for i in range(many)],
        "gid": [i // 8 for i in range(many)],
        "rollout": [i % 8 for i in range(many)],
        "steps": [i * 7919 % 9973 for i in range(many)],
    }
    parts["/api/runs"] = {"total": many, "columns": columns}
    page = show(parts)
    nodes = "document.querySelectorAll('*').length"
    assert page.locator(".runs-table").get_attribute("aria-rowcount") == "10001"
    assert page.evaluate(nodes) < 1500
    page.evaluate("scrollTo(0, document.body.scrollHeight)")
    page.wait_for_selector('[aria-rowindex="10001"]')
    assert page.evaluate(nodes) < 1500
    page.evaluate("scrollTo(0, 0)")
    page.get_by_role("columnheader", name="Steps").get_by_role("button").click()
    until(page, "document.querySelector('.runs-row.body .c-steps').textContent === '9,972'")
    page.goto(page.url.split("#")[0] + "#/runs?view=tasks")
    page.wait_for_selector(".task")
    assert page.evaluate(nodes) < 6000
    show.seen.clear()  # runs that this page does not hold are said to be "not read"


def test_ten_thousand_steps_open_at_the_step_of_the_address(show):
    many = [step(f"text {i} " + "word " * (i % 90), agent=f"agent {i % 3}") for i in range(10_000)]
    page = show(
        site([run("long", 0, 0.0, many, credit={"m": [(-1) ** i * (i % 7) for i in range(10_000)]})]),
        "#/run/long/0/8999",
    )
    page.wait_for_selector(".step.selected")
    page.wait_for_timeout(300)
    box = page.locator(".step.selected").bounding_box()
    assert (
        40 < box["y"] < 120
        and "text 8999" in page.locator(".step.selected").inner_text()
        and chosen(page) == "Step 8999 (the 9000th of 10000)"
    )
    assert page.evaluate("document.querySelectorAll('*').length") < 2500
    page.keyboard.press("End")
    until(page, "document.querySelector('.step.selected')?.textContent.includes('text 9999')")
    page.keyboard.press("Home")
    until(page, "document.querySelector('.step.selected')?.textContent.includes('text 0')")
    assert page.evaluate("document.querySelectorAll('*').length") < 2500


def test_keys_go_through_steps_jumps_methods_and_runs(show):
    page = show(site(failing()), "#/run/cats/a/0")
    press = page.keyboard.press
    press("j")
    assert query(page) == "#/run/cats/a/1" and chosen(page) == "Step 1 (the 2nd of 3)"
    press("k")
    press("k")
    assert query(page) == "#/run/cats/a/0"
    press("w")
    assert query(page) == "#/run/cats/a/1"
    press("x")
    assert query(page) == "#/run/cats/a/2"
    colors = page.get_by_label("Color by")
    before = colors.input_value()
    press("m")
    assert colors.input_value() != before
    press("M")
    assert colors.input_value() == before
    press("n")
    until(page, "location.hash === '#/run/cats/b' && document.querySelector('.crumbs b')?.textContent === 'b'")
    press("p")
    until(page, "location.hash === '#/run/cats/a' && document.querySelector('.crumbs b')?.textContent === 'a'")
    press("?")
    help_ = page.get_by_role("dialog")
    assert "worst step" in help_.inner_text() and "these keys" in help_.inner_text()
    press("Escape")
    assert help_.count() == 0
    press("f")
    assert page.locator("details.fold:not([open])").count() == 0
    press("f")
    assert page.locator("details.fold[open]").count() == 0


def test_keys_of_one_letter_can_be_switched_off_and_arrows_stay_with_controls(show):
    page = show(site(failing()))
    page.get_by_role("radio", name="All").focus()
    page.keyboard.press("ArrowRight")
    assert query(page) == "#/runs?outcome=failed"
    page.keyboard.press("?")
    page.get_by_label("Keys of a single letter").uncheck()
    page.keyboard.press("Escape")
    page.goto(page.url.split("#")[0] + "#/run/cats/a/0")
    page.wait_for_selector("#verdict")
    page.keyboard.press("j")
    page.keyboard.press("e")
    assert query(page) == "#/run/cats/a/0" and page.locator(".saving").count() == 0
    page.locator(".strip-row").first.focus()
    page.keyboard.press("ArrowDown")
    until(page, "document.activeElement.getAttribute('aria-current') === 'step'")
    assert query(page) == "#/run/cats/a/1" and "Step 1" in page.evaluate("document.activeElement.ariaLabel")


def test_j_and_enter_read_a_run_of_the_table(show):
    page = show(site(failing()))
    page.keyboard.press("j")
    until(page, "document.activeElement.closest('.vitem')?.dataset.i === '0'")
    page.keyboard.press("j")
    until(page, "document.activeElement.closest('.vitem')?.dataset.i === '1'")
    page.keyboard.press("k")
    until(page, "document.activeElement.closest('.vitem')?.dataset.i === '0'")
    page.keyboard.press("Enter")
    page.wait_for_selector("#verdict")
    assert query(page) == "#/run/cats/a"


def test_a_failed_success_pair_is_shown_side_by_side_from_where_they_part(show):
    page = show(site(failing()), "#/run/cats/a")
    page.keyboard.press("d")
    sides = page.locator(".side")
    until(page, "document.querySelectorAll('.side .step').length === 4")
    assert "Once more" in sides.nth(0).inner_text() and "There are 3 cats" in sides.nth(1).inner_text()
    assert "Up to step 1 both did the same" in page.locator(".compare-told").inner_text()
    assert "with=1" in query(page)
    page.keyboard.press("Escape")
    page.wait_for_selector(".transcript")
    assert query(page) == "#/run/cats/a"


def test_where_nobody_says_it_the_page_finds_where_two_runs_part(show):
    same, other = step("one"), [step("left"), step("right")]
    page = show(site([run("t", k, float(k), [same, same, o]) for k, o in enumerate(other)]), "#/run/t/0")
    page.keyboard.press("d")
    page.wait_for_selector(".side .step")
    assert [s.strip() for s in page.locator(".side .step-body").all_inner_texts()] == ["left", "right"]


def test_side_by_side_speakers_have_their_roles_and_numbers_their_method(show):
    parts = site(failing())
    for k in (0, 1):  # where other runs name agents, a run without any has a column of names for none
        parts[f"/api/run/{k}"] |= {"agents": []}
        parts[f"/api/run/{k}"]["numbers"]["agent"] = ["?"] * 3
        for s in parts[f"/api/run/{k}/steps"]["steps"]:
            s["agent"] = None
    page = show(parts, "#/run/cats/a/1?with=1")
    page.wait_for_selector(".side .step-agent")
    assert set(page.locator(".step-agent").all_inner_texts()) == {"Assistant"}
    assert "credit by gigpo" in page.locator(".compare-told").inner_text(), "blame is of one run only"
    assert [s.strip() for s in page.locator(".side .swatch").all_inner_texts()] == ["−1.50", "·", "+1.00", "+1.00"]


@pytest.mark.parametrize(
    ("credit", "shown"),
    [
        ({"grpo": [-0.5, -0.5, -0.5], "m": [0.1, None, 0.2], "n": [1, 2, 3]}, "credit:m"),
        ({"grpo": [-0.5, -0.5, -0.5], "m": [0.1, None, 0.1]}, ""),
        ({"grpo": [-0.5, -0.5, -0.5], "gigpo": [0, 0, 0]}, ""),
    ],
)
def test_color_begins_with_a_method_that_tells_the_steps_apart_or_with_none(show, credit, shown):
    runs = [run("t", 0, 0.0, [step("x")] * 3, credit=credit), run("t", 1, 0.0, [step("x")], credit={"grpo": [-0.9]})]
    page = show(site(runs), "#/run/t/0")
    colors, told = page.get_by_label("Color by"), page.locator(".flat-told")
    assert colors.input_value() == shown and page.locator(".step .swatch").count() == (3 if shown else 0)
    words = "the same number on every step: it says only how the run ended"
    assert told.count() == 0, "of no color nothing is said"
    assert page.get_by_role("button", name="Step 1", exact=True).count() == (0 if shown else 1)
    page.keyboard.press("n")
    until(page, "document.querySelector('.crumbs b')?.textContent === '1'")
    assert colors.input_value() == "credit:grpo" and told.count() == 0, "a single step has nothing to be told from"
    page.keyboard.press("p")
    until(page, "document.querySelector('.crumbs b')?.textContent === '0'")
    colors.select_option("credit:grpo")
    assert page.locator(".step .swatch").all_inner_texts() == ["−0.50"] * 3 and told.inner_text() == words
    page.reload()
    page.wait_for_selector(".step .swatch")
    assert colors.input_value() == "credit:grpo", "a choice stays"


def test_side_by_side_colors_begin_with_a_method_that_tells_the_steps_of_some_run_apart(show):
    says = [blame("contrast", 1, scores=[0.1, 0.5])]
    flat, told = {"grpo": [-0.5, -0.5], "m": [0.0, 0.0]}, {"grpo": [-0.5, -0.5], "m": [0.1, -0.2]}
    runs = [run("t", 0, 0.0, [step("x")] * 2, credit=flat), run("t", 1, 0.0, [step("x")] * 2, credit=told, blame=says)]
    page = show(site(runs), "#/runs?view=tasks")
    until(page, "document.querySelector('.strips select')?.value === 'credit:m'")


def test_the_rule_by_which_a_surer_voice_was_not_heard_is_told(show):
    members = {"contrast": {"status": "found", "step": 0, "reason": "r", "confidence": 0.3}}
    says = [
        blame("combined", 0, evidence={"members": members}),
        blame("contrast", 0, confidence=0.3),
        blame("credit", 1, confidence=0.5),
        blame("other_answer", 2, confidence=0.2),
    ]
    page = show(site([run("t", k, 0.0, [step("x")] * 3, blame=says[: 4 - 2 * k]) for k in (0, 1)]), "#/run/t/0")
    kicker = page.locator(".verdict-kicker")
    rule = "1 of 3 voices say step 0 contrast goes before credit and other answer, which read the same outcomes"
    kicker.locator("summary").click()
    assert rule in " ".join(kicker.inner_text().split())
    page.keyboard.press("n")
    until(page, "document.querySelector('.crumbs b')?.textContent === '1'")
    assert "goes before" not in kicker.inner_text()


def test_a_step_that_a_rater_calls_right_is_not_blamed(show):
    says = [
        blame("anna", 0, label=1, kind="people", status="clean"),
        blame("anna", 2, label=0, kind="people", status="clean"),
    ]
    parts = site([run("t", 0, 0.0, [step("x")] * 3, blame=says)])
    parts["/api/runs"]["columns"] |= {"worst": [None], "worst_by": [None]}
    parts["/api/run/0"]["jumps"]["worst"] = None
    page = show(parts, "#/run/t/0/0")
    assert page.locator("#verdict").inner_text() == "Which step failed is not known"
    others = " ".join(page.locator(".verdict-others").inner_text().split())
    assert "anna people step 0 is right, step 2 is neutral" in others
    assert "right anna people" in " ".join(page.locator(".panel .says").inner_text().split())
    assert page.locator(".step .badge.bad").count() == 0


def test_the_panel_shows_methods_uncertainty_evidence_and_who_says_so(show):
    page = show(site(failing()), "#/run/cats/a/1")
    panel = page.locator(".panel").inner_text()
    for words in (
        "gigpo",
        "−1.5",
        "± 0.4",
        "grpo",
        "−0.5",
        "contrast",
        "confidence 0.71",
        "progress",
        "0.1",
        "2.5 s",
        "$0.01",
    ):
        assert words in panel
    assert page.locator(".panel .bar u").count() == 1
    page.keyboard.press("j")
    panel = page.locator(".panel").inner_text()
    assert "not judged" in panel and "It made up an answer." in panel and "not known" in panel
    page.locator(".panel").get_by_role("button", name="grpo").click()
    assert page.get_by_label("Color by").input_value() == "credit:grpo"
    assert page.get_by_role("button", name="Step 1, search agent: −0.5, worst step").count() == 1


def test_calls_and_results_are_folded_and_failures_stand_open(show):
    page = show(site(failing()), "#/run/cats/a/0")
    call = page.locator(".fold.call").first
    assert 'q: "cats"' in call.locator("summary").inner_text() and call.get_attribute("open") is None
    call.locator("summary").click()
    assert '"q": "cats"' in call.locator("pre").inner_text()
    failed = page.locator(".fold.failed").first
    assert (
        failed.get_attribute("open") is not None
        and "no such index" in failed.inner_text()
        and "failed" in failed.inner_text()
    )
    assert "a tool failed twice" in page.locator(".step").nth(1).inner_text()
    assert page.locator(".fold.system").get_attribute("open") is None


def test_code_diffs_json_and_pictures_are_shown_as_such(show):
    code = "Look:\n\n```python\ndef f(x):  # why\n    return 'y'\n```\n\nthen `g` and **bold** https://example.com/a."
    diff = "--- a/f.py\n+++ b/f.py\n@@ -1,2 +1,2 @@\n-old\n+new\n same"
    dot = (
        "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8"
        "z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg=="
    )
    images = [dot, "https://example.com/cat.png", "data:image/svg+xml;base64,PHN2Zy8+", "javascript:alert(1)"]
    steps = [
        step(code, images=images),
        step('{"a": [1, "x"]}'),
        step(calls=[("edit", {"path": "f.py", "patch": diff})]),
    ]
    page = show(site([run("t", 0, 1.0, steps)]), "#/run/t/0/0")
    first = page.locator(".step").nth(0)
    assert first.locator(".t-key").first.inner_text() == "def" and first.locator(".t-com").inner_text() == "# why"
    assert first.locator(".prose p code").inner_text() == "g" and first.locator(".prose p b").inner_text() == "bold"
    link = first.locator(".prose p a").first
    assert link.get_attribute("href") == "https://example.com/a" and "noopener" in link.get_attribute("rel")
    assert first.locator("img").count() == 1 and "example.com, not loaded" in first.inner_text()
    assert first.inner_text().count("of a kind that is not shown") == 2
    assert '"a": [' in page.locator(".step").nth(1).locator("pre").inner_text()
    page.locator(".fold.call summary").click()
    page.wait_for_selector(".diff")
    lines = page.locator(".diff span").evaluate_all("all => all.map(one => [one.className, one.textContent.trim()])")
    assert ["d-del", "-old"] in lines and ["d-add", "+new"] in lines


def test_a_cut_text_is_read_whole_on_demand_or_said_to_be_left_out(show, serve):
    parts = site([run("t", 0, 1.0, [step("begin", cut={"text": 12345})])])
    page = show(parts, "#/run/t/0/0")
    page.wait_for_selector("text=the whole has 12,345 characters, which this page does not hold")
    parts["/api/run/0/text/0/text"] = {"text": "the whole of it"}
    url, _, _ = serve(parts)
    page = show(None, "#/run/t/0/0", base=url)
    page.get_by_role("button", name="read all 12,345 characters").click()
    until(page, "document.querySelector('.step').textContent.includes('the whole of it')")


def test_search_in_a_run_counts_steps_and_walks_through_them(show):
    page = show(
        site([run("t", 0, 1.0, [step(f"needle {i}" if i % 4 == 1 else "hay") for i in range(300)])]), "#/run/t/0"
    )
    page.keyboard.press("/")
    page.keyboard.type("needle")
    until(page, "document.querySelector('.find [role=status]').textContent === '1 of 75 steps'")
    page.keyboard.press("Enter")
    until(page, "location.hash === '#/run/t/0/5'")

    page.keyboard.press("Shift+Enter")
    page.keyboard.press("Shift+Enter")
    until(page, "location.hash === '#/run/t/0/297'")
    page.keyboard.press("Escape")
    assert page.locator(".find").count() == 0


EVIL = "</script><img src=x onerror=window.ran=1><a href='javascript:window.ran=1'>x</a>"


def hostile():
    url = "https://evil.example/p.png"
    worst = blame(
        EVIL, 0, agent=EVIL, error=EVIL, reason=EVIL, evidence={EVIL: EVIL}, remarks={"0": EVIL}, confidence=1
    )
    odd = "\0 \u202egnp.exe \u2028 👩‍🚀 " + EVIL
    bad = step(
        odd,
        agent=EVIL,
        reasoning=EVIL,
        action=EVIL + "!",
        calls=[(EVIL, {EVIL: EVIL}), (EVIL, EVIL), ("c", "```\n" + EVIL)],
        replies=[
            message("tool", EVIL, name=EVIL, images=[url]),
            message(EVIL, EVIL),
            message("user", f"![x]({url}) <b>{EVIL}", name=EVIL),
        ],
        images=[url, "javascript:window.ran=1", f"data:text/html,{EVIL}"],
        evidence={EVIL: EVIL},
        extra={EVIL: EVIL, "__proto__": EVIL},
        origin={"model": EVIL, "id": EVIL, "error": EVIL},
        observation=EVIL,
    )
    json_ = step(
        '{"__html": "x", "dangerouslySetInnerHTML": {"__html": "<img onerror=window.ran=1>"}}',
        calls=[("x", {"__proto__": 1, "onclick": EVIL})],
    )
    return [
        run(
            EVIL,
            EVIL,
            0.0,
            [bad, json_],
            task=EVIL,
            credit={EVIL: {"values": [-1, 1], "notes": [EVIL]}},
            blame=[worst],
            context=[message("system", EVIL * 3), message(EVIL, EVIL)],
            lint=[{"rule": EVIL, "severity": EVIL, "message": EVIL, "why": EVIL, "step": s} for s in (None, 0)],
            jumps={"disagreements": [1], "divergence": {"step": 0, "sibling": 1, "sibling_step": 0}},
            evidence={EVIL: [1, 2]},
        ),
        run(EVIL, "constructor", 1.0, [bad]),
    ]


def test_hostile_traces_are_shown_and_run_nothing_and_ask_for_nothing(show):
    parts = site(
        hostile(),
        title=EVIL,
        notes=[EVIL],
        source=EVIL,
        lint=[{"rule": EVIL, "severity": EVIL, "message": EVIL}],
        comparison=[{"method": EVIL, EVIL: EVIL}],
        methods=[{"name": EVIL, "title": EVIL, "doc": EVIL, "skipped": EVIL}],
        error_types=[{"name": EVIL, "title": EVIL}],
        left_out=EVIL,
    )
    parts["/api/marks"] = [{"id": 0, "step": 0, "rater": EVIL, "label": -1, "error": EVIL, "note": EVIL, "time": 0}]
    parts["/api/agreement"] = {
        "raters": [EVIL],
        "pairs": [{"a": EVIL, "b": EVIL, "n": 1, "agree": 1, "kappa": None, "low": None, "high": None}],
        "counts": {},
    }
    page = show(parts)
    opened = "all => all.forEach(one => { one.open = true; })"
    page.locator("details").evaluate_all(opened)
    page.wait_for_timeout(100)
    link = page.locator(".run-name a").first
    link.hover()
    link.click()
    page.wait_for_selector("#verdict")
    page.keyboard.press("f")
    page.wait_for_timeout(300)
    body = page.locator("main").inner_text()
    assert EVIL in body and "⟨U+0000⟩ ⟨U+202E⟩gnp.exe" in body and "👩‍🚀" in body
    page.keyboard.press("d")
    page.wait_for_selector(".side")
    for screen in (
        "#/marks",
        "#/runs?view=tasks",
        f"#/run/{'%3Cimg%20src=x%20onerror=ran=1%3E'}/1",
        "#/%00<img src=x>",
        "#/run/__proto__/constructor/0",
    ):
        page.goto(page.url.split("#")[0] + screen)
        page.wait_for_timeout(200)
        page.locator("details").evaluate_all(opened)
    assert (
        page.evaluate(
            "document.querySelectorAll('#app img, iframe, [onerror], [onclick], a[href^=\"javascript\" i]').length"
        )
        == 0
    )
    assert page.evaluate("window.ran") is None and page.evaluate("({}).polluted") is None
    assert page.evaluate("[...document.querySelectorAll('a[target]')].every(a => a.rel.includes('noopener'))")


def test_the_policy_refuses_scripts_that_are_not_the_pages_own(show, browser, tmp_path):
    show(site(failing()))
    path = tmp_path / "page.html"
    path.write_text(path.read_text("utf-8").replace("</body>", "<script>window.ran = 1</script></body>"), "utf-8")
    page = browser.new_page()
    page.goto(path.as_uri())
    page.wait_for_selector("main h1")
    assert page.evaluate("window.ran") is None
    page.close()


@pytest.mark.parametrize("name", SCRIPTS)
def test_scripts_are_strict_short_and_make_no_markup_from_text(name):
    text = ASSETS.joinpath(name).read_text("utf-8")
    assert re.search(r'\(\(\) => \{\n  "use strict";', text) and len(text.splitlines()) <= 400
    code = re.sub(r"/\*.*?\*/", "", text, flags=re.S)
    assert not re.search(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|dangerouslySet", code
    )
    assert not re.search(r"\bfrom ['\"]https?:|src=['\"]https?:", code)


def test_vendored_files_are_those_that_the_readme_names():
    from hashlib import sha256

    told = dict(
        re.findall(r"^(\S+\.js) .* ([0-9a-f]{64})$", ASSETS.joinpath("vendor", "README").read_text("utf-8"), flags=re.M)
    )
    there = {p.name for p in ASSETS.joinpath("vendor").iterdir() if p.name.endswith(".js")}
    assert there == set(told)
    for name, digest in told.items():
        assert sha256(ASSETS.joinpath("vendor", name).read_bytes()).hexdigest() == digest


SCREENS = [
    "#/runs",
    "#/runs?view=tasks",
    "#/run/cats/a",
    "#/run/cats/a/1",
    "#/run/cats/a?with=1",
    "#/marks",
    "#/run/no/such",
]

CONTRAST = """() => {
  const light = (c) => c.map((v) => v / 255).map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const parse = (c) => { canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = c; canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data]; };
  const ground = (node) => {
    const layers = [];
    for (; node; node = node.parentElement) {
      const c = parse(getComputedStyle(node).backgroundColor);
      if (c[3] > 0) layers.push(c);
      if (c[3] === 255) break;
    }
    return layers.reverse().reduce((under, c) => under.map((v, i) => v + (c[i] - v) * (c[3] / 255)), [255, 255, 255]);
  };
  const seen = [...document.querySelectorAll("#app *")]
    .filter((n) => n.checkVisibility({ visibilityProperty: true }) && !n.disabled && !n.closest(".hidden, .skip"))
    .filter((n) => [...n.childNodes].some((t) => t.nodeType === 3 && t.textContent.trim()));
  return seen.map((n) => {
    const pair = [light(parse(getComputedStyle(n).color).slice(0, 3)), light(ground(n))].sort((a, b) => a - b);
    return [(pair[1] + 0.05) / (pair[0] + 0.05), `${n.tagName}.${n.className} ${n.textContent.slice(0, 30)}`];
  }).filter(([ratio]) => ratio < 4.5);
}"""

TOKENS = """() => {
  const light = (c) => c.map((v) => v / 255).map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const node = document.body.appendChild(document.createElement("i"));
  const value = (name) => {
    node.style.color = `var(--${name})`;
    return light(getComputedStyle(node).color.match(/[\\d.]+/g).slice(0, 3).map(Number));
  };
  const ratio = (a, b) => {
    const [x, y] = [value(a), value(b)].sort((p, q) => p - q);
    return (y + 0.05) / (x + 0.05);
  };
  const pairs = [];
  for (const text of ["ink", "quiet", "accent", "good", "bad", "warn"]) {
    for (const under of ["paper", "raised", "wash"]) pairs.push([text, under, 4.5]);
  }
  for (const kind of ["good", "bad", "warn", "accent"]) pairs.push([kind, `${kind}-wash`, 4.5]);
  for (const text of ["ink", "quiet"]) pairs.push([text, "accent-wash", 4.5]);
  for (let a = 0; a < 8; a++) pairs.push([`a${a}-ink`, `a${a}`, 4.5]);
  for (const side of "pn") {
    for (const l of [1, 2]) pairs.push(["ink", side + l, 4.5]);
    pairs.push(["on-mid", `${side}3`, 4.5]);
    for (const l of [4, 5]) pairs.push(["on-deep", side + l, 4.5]);
  }
  pairs.push(["ink", "zero", 4.5], ["quiet", "zero", 4.5], ["paper", "ink", 4.5]);
  for (const under of ["paper", "raised"]) {
    for (const line of ["edge", "focus", "n4", "p4"]) pairs.push([line, under, 3]);
  }
  const low = pairs.map(([a, b, least]) => [a, b, ratio(a, b), least]).filter(([, , r, least]) => r < least);
  node.remove();
  return low;
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_pair_of_tokens_and_all_text_has_contrast(show, scheme):
    page = show(site(failing()), scheme=scheme)
    assert page.evaluate(TOKENS) == []
    for screen in SCREENS:
        page.goto(page.url.split("#")[0] + screen)
        page.wait_for_timeout(150)
        assert page.evaluate(CONTRAST) == [], screen


def test_light_and_dark_follow_the_system_and_the_switch_which_is_remembered(show):
    page = show(site(failing()), scheme="dark")
    paper = "getComputedStyle(document.body).backgroundColor"
    dark = page.evaluate(paper)
    page.keyboard.press("t")
    light = page.evaluate(paper)
    assert light != dark and page.get_by_role("button", name="Colors: light").count() == 1
    page.reload()
    page.wait_for_selector("main h1")
    assert page.evaluate(paper) == light
    page.get_by_role("button", name="Colors: light").click()
    page.get_by_role("button", name="Colors: dark").click()
    page.emulate_media(color_scheme="light")
    assert page.evaluate(paper) == light
    page.emulate_media(color_scheme="dark")
    assert page.evaluate(paper) == dark


WIDE = """() => {
  const scrolls = ".cells, .common, .code, .scroll, .strip, .hidden, .clip";
  const out = [...document.querySelectorAll("main *")]
    .filter((n) => n.getBoundingClientRect().right > innerWidth + 1 && !n.closest(scrolls));
  return [document.documentElement.scrollWidth, out.map((n) => n.className).slice(0, 3)];
}"""


@pytest.mark.parametrize("width", [360, 390, 800])
def test_a_narrow_window_needs_no_sideways_scrolling(show, width):
    runs = [
        *failing(),
        run(
            "x" * 300,
            "y" * 300,
            0.0,
            [step("z" * 500, agent="w" * 90, calls=[("n" * 200, {"k" * 90: "v" * 900})])],
            task="t" * 400,
        ),
    ]
    page = show(site(runs), viewport=(width, 780))
    for screen in [*SCREENS, f"#/run/{'x' * 300}/{'y' * 300}/1"]:
        page.goto(page.url.split("#")[0] + screen)
        page.wait_for_timeout(150)
        wide = page.evaluate(WIDE)
        assert wide == [width, []], (screen, wide)


def test_on_a_phone_the_step_opens_over_the_transcript(show):
    page = show(site(failing()), "#/run/cats/a", viewport=(390, 844))
    panel = page.locator(".panel")
    assert not panel.is_visible()
    page.locator(".step-number").nth(1).click()
    assert panel.is_visible() and chosen(page) == "Step 1 (the 2nd of 3)"
    page.get_by_label("Close", exact=True).click()
    assert not panel.is_visible()
    page.locator(".cells .cell").nth(2).click()
    until(page, "location.hash === '#/run/cats/a/2'")
    sizes = page.locator(".cells .cell, .verdict button.strong").evaluate_all(
        "all => all.map(n => Math.min(n.offsetWidth, n.offsetHeight))"
    )
    assert min(sizes) >= 24


def test_marks_are_saved_shown_taken_back_and_survive_a_reload(show):
    page = show(site(failing()), "#/run/cats/a/1")
    page.keyboard.press("e")
    wrong = page.get_by_role("button", name="wrong")
    assert wrong.get_attribute("aria-pressed") == "true"
    assert "kept in this browser" in page.locator(".saving").inner_text()
    assert "wrong, me" in page.locator(".step").nth(1).inner_text()
    page.get_by_role("button", name="Note").click()
    page.get_by_label("Error type").select_option("loop")
    page.get_by_label("Note", exact=True).fill("same call again")
    page.get_by_label("Note", exact=True).blur()
    page.reload()
    page.wait_for_selector(".marking")
    until(page, "document.querySelector('.mark-bad').getAttribute('aria-pressed') === 'true'")
    assert page.get_by_label("Note", exact=True).input_value() == "same call again"
    page.keyboard.press("j")
    page.get_by_role("button", name="right").click()
    page.get_by_role("button", name="Undo").click()
    until(page, "document.querySelector('.mark-good').getAttribute('aria-pressed') === 'false'")
    page.goto(page.url.split("#")[0] + "#/marks")
    page.wait_for_selector(".mark-row")
    assert page.locator(".mark-row").count() == 1
    for words in ("wrong, me", "step 1 · a", "Repeated a failed call", "same call again"):
        assert words in page.locator(".mark-row").inner_text()
    assert "--export-labels" in page.locator(".marks-tools").inner_text()
    with page.expect_download() as got:
        page.get_by_role("button", name="Download marks").click()
    row = json.loads(Path(got.value.path()).read_text("utf-8"))
    assert {k: row[k] for k in ("group", "rollout", "step", "label", "error", "note")} == {
        "group": "cats",
        "rollout": "a",
        "step": 1,
        "label": -1,
        "error": "loop",
        "note": "same call again",
    }


@pytest.fixture
def serve(tmp_path):
    """Serves a page and its answers; keeps the marks that are posted; `fail` makes posts fail."""
    servers = []

    def start(parts):
        marks, box = [], {"fail": False, "tokens": []}
        body = None

        class Handler(BaseHTTPRequestHandler):
            def reply(self, status, value, kind="application/json"):
                data = value if isinstance(value, bytes) else json.dumps(value).encode()
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def do_GET(self):
                path, _, rest = self.path.partition("?")
                if path == "/":
                    return self.reply(200, body, "text/html; charset=utf-8")
                if path == "/api/marks":
                    return self.reply(200, marks)
                value = parts.get(path)
                if value is None or box["fail"]:
                    return self.reply(500, {"error": "the disk is on fire"})
                if rest.startswith("from"):
                    start, stop = (int(p.split("=")[1]) for p in rest.split("&"))
                    value = {"from": start, "to": stop, "steps": value["steps"][start:stop]}
                return self.reply(200, value)

            def do_POST(self):
                box["tokens"].append(self.headers.get("X-Stepcredit-Token"))
                mark = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                if box["fail"]:
                    return self.reply(500, {"error": "the disk is full"})
                marks.append(mark | {"time": 1.0})
                return self.reply(200, marks[-1])

            def log_message(self, *args):
                pass

        parts["/api/state"] |= {"mode": "server", "writable": True, "token": "t0k3n", "rater": "ann"}
        page = tmp_path / "served.html"
        write(page, {"/api/state": parts["/api/state"]}, mode="server")
        body = page.read_bytes()
        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}/", marks, box

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def test_a_server_keeps_marks_with_its_token_and_a_failure_is_said(show, serve):
    url, marks, box = serve(site(failing()))
    page = show(None, "#/run/cats/a/1", base=url)
    page.wait_for_selector(".marking")
    page.keyboard.press("e")
    page.wait_for_selector(".saving.saved")
    assert marks == [
        {
            "id": 0,
            "step": 1,
            "label": -1,
            "error": None,
            "note": None,
            "rater": "ann",
            "group": "cats",
            "rollout": "a",
            "time": 1.0,
        }
    ] and box["tokens"] == ["t0k3n"]
    box["fail"] = True
    page.keyboard.press("r")
    page.wait_for_selector(".saving.failed")
    assert "the disk is full" in page.locator(".saving").inner_text()
    assert page.get_by_role("button", name="wrong").get_attribute("aria-pressed") == "true"
    assert [m["label"] for m in marks] == [-1]
    page.goto(url + "#/run/cats/b")
    page.wait_for_selector("text=the disk is on fire")
    box["fail"] = False
    page.get_by_role("button", name="Try again").click()
    page.wait_for_selector("#verdict")
    show.seen[:] = [s for s in show.seen if "status of 500" not in s]


def test_pages_load_steps_as_they_are_looked_at(show, serve):
    many = [step(f"text {i}") for i in range(950)]
    url, _, _ = serve(site([run("long", 0, 0.0, many)]))
    asked = []
    page = show(None, "#/runs", base=url)
    page.on("request", lambda r: asked.append(r.url.partition("?")[2]) if "/steps?" in r.url else None)
    page.goto(url + "#/run/long/0/599")
    until(page, "document.querySelector('.step.selected')?.textContent.includes('text 599')")
    assert "from=500&to=600" in asked and "from=200&to=300" not in asked and len(asked) <= 4


def test_what_an_export_left_out_is_said(show):
    parts = site(failing())
    del parts["/api/run/1"], parts["/api/run/1/steps"]
    page = show(parts, "#/run/cats/b")
    page.wait_for_selector("text=Not in this page")
    page = show(site([]))
    assert page.get_by_role("heading", name="No runs").is_visible()


def test_gzipped_parts_are_read(show, tmp_path):
    import gzip
    from base64 import b64encode

    from stepcredit.app.view.page import as_json, page

    parts = {k: as_json(v) for k, v in site(failing()).items()}
    packed = {
        k: v if k == "/api/state" else "data:" + b64encode(gzip.compress(v.encode())).decode() for k, v in parts.items()
    }
    (tmp_path / "packed.html").write_text(page("t", packed, mode="export"), "utf-8")
    there = show(None, "#/run/cats/a/1", base=(tmp_path / "packed.html").as_uri())
    there.wait_for_selector(".step.selected")
    assert "Once more" in there.locator(".step.selected").inner_text()


FOCUS = """() => {
  const node = document.activeElement, drawn = (n) => n && getComputedStyle(n).outlineStyle !== "none";
  return node === document.body || drawn(node) || drawn(node.nextElementSibling);
}"""


def test_the_keyboard_reaches_content_first_and_focus_is_seen(show):
    page = show(site(failing()))
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to content"
    assert page.evaluate("document.activeElement.getBoundingClientRect().top") >= 0
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main" and query(page) == "#/runs"
    seen = set()
    for _ in range(30):
        page.keyboard.press("Tab")
        seen.add(page.evaluate("document.activeElement.tagName"))
        assert page.evaluate(FOCUS)
    assert {"A", "BUTTON", "INPUT", "SELECT"} <= seen


@pytest.mark.parametrize(("scheme", "screens"), [("light", SCREENS), ("dark", SCREENS[::3])])
def test_axe_finds_nothing_on_any_screen(show, scheme, screens):
    try:
        from axe_playwright_python.sync_playwright import Axe
    except ImportError:
        skip_or_fail("axe", "axe-playwright-python is not installed")
    page = show(site(failing(), notes=["a note"]), scheme=scheme)
    found = []
    for screen in screens:
        page.goto(page.url.split("#")[0] + screen)
        page.wait_for_timeout(150)
        violations = Axe().run(page).response["violations"]
        found += [(screen, v["id"], [n["html"][:160] for n in v["nodes"]][:3]) for v in violations]
    assert found == []


def test_real_rollouts_make_a_page_that_names_a_step(show, data, tmp_path):
    from stepcredit import credit
    from stepcredit.app.view.export import write_page
    from stepcredit.data import read

    batch = read([data / "tau_airline" / "gpt4o_airline.jsonl.gz"])
    path = write_page(tmp_path / "real.html", batch, [credit.assign(batch, "grpo")], title="Airline", limit=400)
    page = show(None, base=path.as_uri())
    page.get_by_role("radio", name="Failed").check()
    page.get_by_role("columnheader", name="Worst step").get_by_role("button").click()
    page.locator(".run-name a").first.click()
    page.wait_for_selector("#verdict")
    assert re.match(r"(?:A weak hint: s|S)tep \d+ \(the \d+\w\w of \d+\): ", page.locator("#verdict").inner_text())
    page.keyboard.press("w")
    page.wait_for_selector(".step.selected.worst-step")
    page.keyboard.press("d")
    page.wait_for_selector(".side .step")
