"""The report page in a real browser, from file://."""

import gzip
import json
import os
import shutil

import numpy as np
import pytest

from stepcredit import credit
from stepcredit.app.report import write_report
from stepcredit.credit import Credit
from stepcredit.data.batch import Batch
from stepcredit.data.records import Rollout, Step, ToolCall

ARGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]


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
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=ARGS)
        yield browser
        browser.close()


@pytest.fixture
def show(browser, tmp_path):
    """Opens the report of a batch; whatever the page complains about or asks for fails the test."""
    seen, pages = [], []

    def open_(batch, credits=None, *, viewport=(1300, 900), scheme="light", **options):
        credits = [credit.assign(batch, m) for m in ("gigpo", "grpo")] if credits is None else credits
        url = write_report(tmp_path / "page.html", batch, credits, **options).as_uri()
        size = dict(zip(("width", "height"), viewport, strict=True))
        page = browser.new_page(viewport=size, color_scheme=scheme, reduced_motion="reduce")
        pages.append(page)
        page.on("console", lambda message: seen.append(f"console: {message.text}"))
        page.on("pageerror", lambda error: seen.append(f"error: {error}"))
        page.on("dialog", lambda dialog: (seen.append("dialog"), dialog.dismiss()))
        page.on("request", lambda request: seen.append(request.url) if request.url not in (url, "data:,") else None)
        page.goto(url)
        page.wait_for_selector(".cell[data-l]")
        return page

    yield open_
    for page in pages:
        page.close()
    assert seen == []


def runs():
    """Two tasks, one mixed; the third rollout takes the state of the first again."""

    def one(group, name, outcome, *states):
        steps = [Step(text=f"{group}{name} does {s}", state=s, observation=f"saw {s}") for s in states]
        return Rollout(group=group, rollout=name, outcome=outcome, task=f"task of {group}", steps=steps)

    return Batch.from_records(
        [
            one("p", "x", 1.0, "start", "left", "end"),
            one("p", "y", 0.0, "start", "right"),
            one("p", "z", 0.0, "start", "left"),
            one("q", "x", 0.0, "start", "left"),
            one("q", "y", 0.0, "start"),
        ]
    )


def color(page, p):
    return page.eval_on_selector(f"#c{p}", "cell => getComputedStyle(cell).backgroundColor")


def panel(page):
    return page.locator("#panel").inner_text()


def wait_for_rollouts(page, names):
    from playwright.sync_api import expect

    expect(page.locator(".block .name")).to_have_text(list(names))


def focused(page):
    return page.evaluate("document.activeElement.id")


def test_the_page_says_what_happened(show):
    page = show(runs(), title="A title", source="runs.jsonl")
    top = page.locator("header.top").inner_text()
    for words in ("A title", "runs.jsonl", "20%", "1 of 5", "reward: the outcome on each rollout's last step"):
        assert words in top
    assert page.locator(".row").count() == 5 and page.locator(".cell").count() == 10
    assert page.locator(".badge").first.inner_text() == "✓ 1"
    assert "1 of 3 rollouts succeeds" in page.locator(".group").first.inner_text()


def test_cells_show_number_and_color_and_not_judged_is_neither_zero_nor_a_number(show):
    batch = runs()
    numbers = [2.0, -2.0, 0.0, np.nan, 0.01, -0.0, 0.004, 1.5, -0.2, 1e-9]
    page = show(batch, [Credit("mine", {}, np.array(numbers), batch)])
    cells = page.locator(".cell")
    assert cells.all_inner_texts() == ["+2.00", "−2.00", "0", "·", "+0.01", "0", "+4e−3", "+1.50", "−0.20", "+1e−9"]
    levels = [cells.nth(i).get_attribute("data-l") for i in range(10)]
    assert levels == ["5", "-5", "0", "x", "1", "0", "1", "4", "-1", "1"]
    assert cells.nth(3).get_attribute("aria-label") == "not judged"
    image = page.eval_on_selector("#c3", "cell => getComputedStyle(cell).backgroundImage")
    assert "gradient" in image and len({color(page, p) for p in (0, 1, 2, 4, 7)}) == 5


def test_without_digits_earned_stands_high_lost_stands_low_and_the_number_stays_readable(show):
    batch = runs()
    page = show(batch, [Credit("mine", {}, np.array([1, -1, 0, np.nan, 1, 1, 1, 1, 1, 1.0]), batch)])
    page.keyboard.press("n")
    edges = "c => [getComputedStyle(c).borderTopWidth, getComputedStyle(c).borderBottomWidth]"
    seen = [page.eval_on_selector(f"#c{p}", edges) for p in range(4)]
    assert seen == [["0px", "7px"], ["7px", "0px"], ["10px", "10px"], ["0px", "0px"]]
    assert page.get_by_role("option", name="−1.00").count() == 1


def test_switching_the_method_changes_colors_numbers_and_legend(show):
    batch = runs()
    page = show(batch, [Credit("one", {}, np.arange(10.0), batch), Credit("two", {}, -np.arange(10.0) / 3, batch)])
    before = [color(page, 1), page.locator("#c1").inner_text(), page.locator("#legend").inner_text()]
    page.locator("#methods").get_by_text("two").click()
    after = [color(page, 1), page.locator("#c1").inner_text(), page.locator("#legend").inner_text()]
    assert all(a != b for a, b in zip(before, after, strict=True))
    page.keyboard.press("m")
    assert page.get_by_role("radio", name="one").is_checked()
    assert page.locator("#c1").inner_text() == before[1]


def test_many_methods_are_a_list(show):
    batch = runs()
    page = show(batch, [Credit(f"m{i}", {}, np.full(10, float(i)), batch) for i in range(8)])
    page.get_by_label("Method").select_option("m3")
    assert page.locator("#c0").inner_text() == "+3.00"


def test_keys_reach_steps_and_open_details(show):
    page = show(runs())
    assert page.locator('.cell[tabindex="0"]').count() == 1
    page.locator('.cell[tabindex="0"]').focus()
    page.keyboard.press("ArrowRight")
    assert focused(page) == "c1" and "Step 2 of 3" in panel(page)
    page.keyboard.press("j")
    assert focused(page) == "c4" and "Step 2 of 2" in panel(page)
    page.keyboard.press("End")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("k")
    page.keyboard.press("Home")
    assert focused(page) == "c3"
    page.keyboard.press("Enter")
    assert focused(page) == "panel" and "py does start" in panel(page)
    page.keyboard.press("Escape")
    assert focused(page) == "c3"
    assert page.locator('.cell[tabindex="0"]').count() == page.locator('[aria-selected="true"]').count() == 1
    page.keyboard.press("?")
    assert page.locator("#help").is_visible()
    page.keyboard.press("Escape")
    page.keyboard.press("/")
    page.keyboard.type("mjk?")
    assert page.locator("#search").input_value() == "mjk?" and not page.locator("#help").is_visible()


def test_a_click_shows_text_tools_observation_state_and_credit_by_every_method(show):
    step = Step(
        text="I search", tool_calls=[ToolCall(name="find", arguments='{"q":"cats"}')], observation="3 cats",
        state="page one", agent="Ann", reward=0.25, evidence={"value": 0.5},
    )  # fmt: skip
    batch = Batch.from_records([Rollout(group=0, rollout=0, outcome=1.0, steps=[step, Step(text="done", reward=0.75)])])
    page = show(batch)
    page.locator("#c0").click()
    for words in ("I search", "find", '"q": "cats"', "3 cats", "page one", "Ann", "gigpo", "grpo", "reward", "value"):
        assert words in panel(page)
    page.get_by_label("Step after").click()
    assert "done" in panel(page) and focused(page) == "c1"


def test_steps_in_the_same_state_of_the_task_are_outlined_and_listed(show):
    page = show(runs())
    marked = "[...document.querySelectorAll('.cell.same')].map(cell => cell.id)"
    page.locator("#c1").hover()
    assert page.evaluate(marked) == ["c6"]
    assert "same state as 1 other" in page.locator("#tip").inner_text()
    page.locator("#c0").click()
    assert page.evaluate(marked) == ["c3", "c5"]
    page.get_by_role("button", name="z, step 1").click()
    assert focused(page) == "c5"


def test_the_largest_credit_of_a_rollout_is_marked_where_it_is_alone(show):
    batch = runs()
    page = show(batch, [Credit("mine", {}, np.array([1, -3, 2, 1, 1, 0, 0, np.nan, -1, 5.0]), batch)])
    assert page.evaluate("[...document.querySelectorAll('.cell.peak')].map(cell => cell.id)") == ["c1", "c8", "c9"]


def test_filters_and_orders(show):
    page = show(runs())
    page.locator("#mixed").check()
    wait_for_rollouts(page, "xyz")
    assert "3 rollouts of 1 task" in page.locator("#found").inner_text()
    page.locator("#sort-rollouts").select_option("low")
    wait_for_rollouts(page, "yzx")
    page.locator("#mixed").uncheck()
    page.locator("#sort-tasks").select_option("low")
    wait_for_rollouts(page, "xyyzx")
    page.locator("#search").fill("SAW RIGHT")
    wait_for_rollouts(page, "y")
    assert page.locator(".cell.hit").all_inner_texts() == [page.locator("#c4").inner_text()]
    page.locator("#search").fill("nowhere")
    wait_for_rollouts(page, "")
    page.keyboard.press("Escape")
    page.keyboard.press("j")


def test_comparison_and_lint_are_shown_and_the_not_checked_is_folded(show):
    findings = [
        {"rule": "wrong-mask", "severity": "error", "message": "credit off the mask", "where": {"rollout": [1, 4]},
         "why": "it trains on tool output", "mend": "pass the mask", "method": "gigpo"},
        {"rule": "old-logp", "severity": "not checked", "message": "no log-probabilities"},
    ]  # fmt: skip
    rows = [{"method": "gigpo", "share_zero": 0.12, "note": None}, {"method": "other", "share_zero": -1.5}]
    page = show(runs(), findings=findings, comparison=rows)
    top = page.locator("#extras").inner_text()
    for words in ("Lint: 1 error", "wrong-mask, gigpo", "rollout 1; rollout 4", "pass the mask", "share zero", "−1.5"):
        assert words in top
    assert not page.get_by_text("no log-probabilities").is_visible()
    page.get_by_text("Not checked: 1 rule").click()
    assert page.get_by_text("no log-probabilities").is_visible()
    page.keyboard.press("m")
    assert page.locator("tr.now").count() == 0
    page.locator(".comparison").get_by_role("button", name="gigpo").click()
    assert page.locator("tr.now").inner_text().startswith("gigpo")


def test_hostile_words_are_shown_and_run_nothing(show):
    evil = "</script><img src=x onerror=window.ran=1><a href='javascript:window.ran=1'>x</a>"
    odd = "\0 \u202egnp.exe \ud800 👩‍🚀 \u2028 " + evil
    step = Step(
        text=odd, tool_calls=[ToolCall(name=evil, arguments={evil: evil})], observation=evil, state=evil, agent=evil,
        action=evil + "!", evidence={evil: 1.0},
    )  # fmt: skip
    long = Step(text="x" * 1_000_000)
    batch = Batch.from_records([Rollout(group=evil, rollout=evil, outcome=1.0, task=evil * 3, steps=[step, long])])
    page = show(
        batch.with_note(evil), [Credit(evil, {evil: evil}, np.array([1.0, -1.0]), batch, extras={"sd": np.ones(2)})],
        title=evil, source=evil, comparison=[{"method": evil, evil: evil}],
        findings=[dict.fromkeys(("rule", "severity", "message", "mend"), evil) | {"where": {evil: [evil]}}],
    )  # fmt: skip
    page.locator("details").evaluate_all("all => all.forEach(one => { one.open = true; })")
    page.locator("#c0").hover()
    page.locator("#c0").click()
    shown = panel(page)
    assert evil in shown and "⟨U+0000⟩ ⟨U+202E⟩gnp.exe ⟨U+D800⟩ 👩‍🚀" in shown
    page.keyboard.press("ArrowRight")
    assert "990,000 more characters" in panel(page)
    assert page.evaluate("document.querySelectorAll('img, a, iframe, [onerror]').length") == 0
    assert page.evaluate("document.scripts.length") == 3
    assert page.evaluate("window.ran") is None
    assert page.title() == evil


def test_the_policy_refuses_scripts_that_are_not_the_pages_own(show, browser, tmp_path):
    show(runs())
    path = tmp_path / "page.html"
    path.write_text(path.read_text("utf-8").replace("</body>", "<script>window.ran = 1</script></body>"), "utf-8")
    page = browser.new_page()
    page.goto(path.as_uri())
    assert page.evaluate("window.ran") is None and page.locator(".cell").count() == 10
    page.close()


CONTRAST = """() => {
  const light = (c) => c.map((v) => v / 255).map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const parse = (c) => c.match(/[\\d.]+/g).map(Number);
  const ground = (node) => {
    for (; node; node = node.parentElement) {
      const c = parse(getComputedStyle(node).backgroundColor);
      if (c.length === 3 || c[3] > 0) return c.slice(0, 3);
    }
  };
  const bar = document.getElementById("scale");
  for (const l of "1 2 3 4 5 -1 -2 -3 -4 -5 0".split(" ")) bar.append(el("span", { class: "swatch", "data-l": l }, l));
  const seen = [...document.querySelectorAll("body *")].filter((n) => n.checkVisibility() && !n.disabled
    && [...n.childNodes].some((t) => t.nodeType === 3 && t.textContent.trim()));
  return seen.map((n) => {
    const pair = [light(parse(getComputedStyle(n).color)), light(ground(n))].sort((a, b) => a - b);
    return [(pair[1] + 0.05) / (pair[0] + 0.05), `${n.tagName}.${n.className} ${n.dataset.l ?? ""}`];
  }).filter(([ratio]) => ratio < 4.5);
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_contrast_in_light_and_dark(show, scheme):
    findings = [{"rule": "r", "severity": s, "message": "m", "why": "w"} for s in ("error", "warning", "info")]
    page = show(runs(), scheme=scheme, findings=findings, comparison=[{"method": "gigpo", "spread": 1.0}])
    page.locator("#c1").click()
    assert page.evaluate(CONTRAST) == []


def test_light_and_dark_follow_the_system_and_the_button(show):
    page = show(runs(), scheme="dark")
    paper = "getComputedStyle(document.body).backgroundColor"
    dark = page.evaluate(paper)
    page.locator("#theme").click()
    light = page.evaluate(paper)
    page.keyboard.press("t")
    assert dark == page.evaluate(paper) != light
    page.emulate_media(media="print")
    assert page.evaluate(paper) == light


def test_a_narrow_window_needs_no_sideways_scrolling_and_opens_the_step_over_the_rows(show):
    page = show(
        runs(), viewport=(400, 800), comparison=[{"method": "gigpo", "a long heading": 1.0, "another one": 2.0}]
    )
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
    assert not page.locator("#panel").is_visible()
    page.locator("#c1").click()
    assert page.locator("#panel").is_visible()
    assert page.evaluate("document.elementFromPoint(200, 780).closest('#panel') !== null")
    page.get_by_label("Close").click()
    assert not page.locator("#panel").is_visible() and focused(page) == "c1"


def large():
    rng = np.random.default_rng(0)
    rollouts = [
        Rollout(group=i // 50, rollout=i, outcome=float(won), steps=[Step(text=f"{i} {t}", state=t) for t in range(20)])
        for i, won in enumerate(rng.integers(2, size=500))
    ]
    return Batch.from_records(rollouts)


def test_ten_thousand_steps_are_drawn_where_they_are_looked_at(show):
    page = show(large())
    assert page.locator("#sort-tasks").input_value() == "mixed"
    page.select_option("#sort-tasks", "given")
    drawn = page.locator(".cell").count()
    assert 0 < drawn < 5000
    page.keyboard.press("m")
    assert page.get_by_role("radio", name="grpo").is_checked()
    page.evaluate("scrollTo(0, document.body.scrollHeight)")
    page.wait_for_selector("#c9999[data-l]")
    by_grpo = page.locator("#c9999").inner_text()
    page.evaluate("scrollTo(0, 0)")
    page.keyboard.press("m")
    page.evaluate("scrollTo(0, document.body.scrollHeight)")
    page.wait_for_timeout(300)
    assert page.locator("#c9999").inner_text() == page.evaluate("short(creditAt(9999))") != by_grpo


def test_a_page_with_left_out_tasks_says_so(show):
    page = show(large(), limit=1000)
    assert "1 of 10 tasks, 50 of 500 rollouts, 1,000 of 10,000 steps" in page.locator("#left-out").inner_text()


def test_a_tree_shows_a_shared_step_in_each_rollout(show):
    first = Rollout(group=0, rollout="a", outcome=1.0, steps=[Step(id="root", text="shared"), Step(text="x")])
    second = Rollout(group=0, rollout="b", outcome=0.0, prefix=["root"], steps=[Step(text="y")])
    batch = Batch.from_records([first, second])
    page = show(batch, [Credit("mine", {}, np.array([1.0, 2.0, -3.0]), batch)])
    assert page.locator(".cell").all_inner_texts() == ["+1.00", "+2.00", "+1.00", "−3.00"]
    page.locator("#c2").click()
    assert "shared" in panel(page) and "Step 1 of 2" in panel(page)


def test_without_credit_nothing_is_judged(show):
    page = show(runs(), [])
    assert set(page.locator(".cell").all_inner_texts()) == {"·"}
    page.keyboard.press("m")
    page.locator("#c0").click()
    assert "px does start" in panel(page)


def test_real_rollouts_make_a_quiet_page(show, data):
    rollouts = []
    for line in gzip.decompress((data / "tau_airline" / "gpt4o_airline.jsonl.gz").read_bytes()).splitlines():
        row = json.loads(line)
        steps = [
            Step(text=m.get("content"), tool_calls=[ToolCall(**c["function"]) for c in m.get("tool_calls") or []])
            for m in row["traj"]
            if m["role"] == "assistant"
        ]
        rollouts.append(Rollout(group=row["task_id"], rollout=row["trial"], outcome=row["reward"], steps=steps))
    batch = Batch.from_records(rollouts)
    page = show(batch, [credit.assign(batch, "grpo")])
    page.keyboard.press("j")
    page.keyboard.press("j")
    assert "Step 1 of" in panel(page)
