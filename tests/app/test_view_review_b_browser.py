"""The screen of a run in a real browser: what is folded is found, a phone can mark, and words say what is known."""

import pytest
from test_view_browser import CONTRAST as PAIRS
from test_view_browser import EVIL, WIDE, browser, failing, serve, show, until  # noqa: F401
from view_site import blame, message, run, site, step

from conftest import skip_or_fail

PHONE = (390, 844)
LIT = """() => [...(CSS.highlights.get("found") ?? [])].filter((r) => {
  const box = r.getBoundingClientRect(),
    seen = r.startContainer.parentElement.checkVisibility({ visibilityProperty: true });
  return seen && box.height > 0 && box.top > 52 && box.bottom < innerHeight;
}).length > 0"""


def test_on_a_phone_a_button_of_each_step_opens_its_marks_and_closing_gives_the_focus_back(show):  # noqa: F811
    page = show(site(failing()), "#/run/cats/a", viewport=PHONE)
    assert page.locator(".step .step-open").count() == page.locator(".step").count() > 1
    details = page.get_by_role("button", name="Details and marks of step 1")
    sheet = page.get_by_role("dialog", name="The chosen step")
    for close in ("Escape", "button"):
        details.click()
        assert sheet.is_visible() and "Step 1" in sheet.locator("h2").inner_text()
        assert page.evaluate("document.querySelector('.panel').contains(document.activeElement)")
        if close == "Escape":
            page.keyboard.press("Escape")
        else:
            sheet.get_by_role("button", name="Close").click()
        assert not sheet.is_visible()
        until(page, "document.activeElement.ariaLabel === 'Details and marks of step 1'")
    details.click()
    sheet.get_by_role("button", name="wrong").click()
    assert sheet.get_by_role("button", name="wrong").get_attribute("aria-pressed") == "true"
    sheet.get_by_role("button", name="Note").click()
    sheet.get_by_label("Note", exact=True).fill("same call again")
    page.keyboard.press("Escape")
    assert not sheet.is_visible() and "wrong, me" in page.locator(".step").nth(1).inner_text()
    until(page, "SC.store.marks.length === 1 && SC.store.marks[0].note === 'same call again'")
    details.click()
    sheet.get_by_role("button", name="Step after").click()
    assert sheet.is_visible() and "Step 2" in sheet.locator("h2").inner_text()


def test_on_a_phone_a_touch_on_what_is_said_of_a_step_opens_it(show):  # noqa: F811
    page = show(site(failing()), "#/run/cats/a", viewport=PHONE)
    page.locator(".step-head .badge").first.click()
    sheet = page.get_by_role("dialog", name="The chosen step")
    assert sheet.is_visible() and "Step 1" in sheet.locator("h2").inner_text()
    page.keyboard.press("Escape")
    until(page, "document.activeElement.ariaLabel === 'Details and marks of step 1'")


def test_beside_a_wide_transcript_the_panel_is_no_dialog(show):  # noqa: F811
    page = show(site(failing()), "#/run/cats/a")
    assert page.get_by_role("complementary", name="The chosen step").is_visible()
    assert page.locator(".step-open").count() == 0


@pytest.mark.parametrize("viewport", [(1440, 900), PHONE])
def test_search_opens_the_folded_part_that_holds_the_words_and_brings_them_into_sight(show, viewport):  # noqa: F811
    long = "".join(f"line {k} of the log\n" for k in range(150)) + "the Needle is here\n" + "tail\n" * 100
    quiet = step("nothing", calls=[("read", {"path": "a.txt"})], replies=[message("tool", "no", call="c0")])
    found = step(
        "I read.", calls=[("read", {"path": "b.txt"})], replies=[message("tool", long, name="read", call="c0")]
    )
    page = show(site([run("t", 0, 0.0, [quiet, quiet, found])]), "#/run/t/0", viewport=viewport)
    assert page.locator("details.result").nth(2).get_attribute("open") is None
    page.keyboard.press("/")
    page.keyboard.type("needle is")
    until(page, "document.querySelector('.find [role=status]').textContent === '1 of 1 step'")
    until(page, LIT)
    page.wait_for_timeout(600)
    assert page.evaluate(LIT), "and it stays"
    assert page.locator("details.result[open]").last.inner_text().count("the Needle is here") == 1


def test_search_lights_words_over_the_borders_of_colored_code(show):  # noqa: F811
    page = show(site([run("t", 0, 0.0, [step("See:\n\n```python\ndef walk(tree):\n    return 7\n```")])]), "#/run/t/0")
    page.keyboard.press("/")
    page.keyboard.type("return 7")
    until(page, LIT)


CONTRAST = {
    "siblings": 4,
    "successes": 3.0,
    "same_step": {"runs": 0, "successes": 0.0},
    "other_steps": {"runs": 4, "successes": 3.0, "low": 0.3424, "high": 1.0},
    "others_did": [{"action": 'search({"q": "dogs"})', "runs": 2, "successes": 2.0}],
    "others_ended": 0,
    "before": 0.784,
    "after": 0.0,
    "fall": 0.784,
    "example": {"run": 1, "rollout": "b", "action": 'search({"q": "dogs"})', "step": 1},
    "out_of_steps": False,
    "place": "states",
    "kernel": "exact",
}


def blamed():
    reason = "after this step nobody succeeded"
    members = {"contrast": {"status": "found", "step": 1, "reason": reason, "confidence": 0.33}}
    says = [
        blame("combined", 1, evidence={"members": members}, confidence=0.4),
        blame("contrast", 1, reason=reason, confidence=0.33, evidence=CONTRAST),
        blame("spectrum", 2, error="loop", confidence=0.33),
        blame("values", 0, confidence=0.0),
        blame("repeats", 2),
    ]
    return site([run("t", "a", 0.0, [step("x")] * 3, blame=says), run("t", "b", 1.0, [step("y")] * 3)])


def test_what_a_verdict_rests_on_is_told_in_sentences_with_a_link_and_the_rest_is_folded(show):  # noqa: F811
    page = show(blamed(), "#/run/t/a/1")
    says = page.locator(".panel .says")
    words = " ".join(says.inner_text().split())
    for told in (
        "4 other runs of this task: 3 of 4 succeeded.",
        "No other run took this step.",
        "4 runs took another step here: 3 of 4 succeeded (likely between 34% and 100%).",
        'Others did here: search({"q": "dogs"}) (2 runs: all succeeded)',
        "fell here from 0.784 to 0.",
        "came to the same state",
    ):
        assert told in words, told
    for raw in ('{"action"', "out of steps", "rollout b", "low 0.3424", "others ended", "same step", "kernel"):
        assert raw not in words, raw
    assert says.get_by_role("link", name="run b, step 1").get_attribute("href") == "#/run/t/b/1"
    says.locator("details summary").click()
    assert "kernel" in says.inner_text() and "false" not in says.inner_text()
    assert words.count("after this step nobody succeeded") == 1 and "On the word of contrast." in words


def test_the_head_of_a_run_says_who_found_it_and_how_sure_voices_are(show):  # noqa: F811
    page = show(blamed(), "#/run/t/a/1")
    kicker = page.locator(".verdict-kicker")
    words = " ".join(kicker.inner_text().split())
    assert "found by all methods together" in words and "together method" not in words
    assert "1 of 3 voices say step 1" in words and "goes before" not in words, "a voice of confidence 0 is none"
    kicker.locator("summary").click()
    assert "contrast goes before spectrum, which reads the same outcomes" in " ".join(kicker.inner_text().split())
    others = " ".join(page.locator(".verdict-others").inner_text().split())
    assert "repeated a failed call 33% sure" in others and "step 2 does not say how sure" in others


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_on_an_open_sheet_open_folds_and_tables(show, scheme):  # noqa: F811
    try:
        from axe_playwright_python.sync_playwright import Axe
    except ImportError:
        skip_or_fail("axe", "axe-playwright-python is not installed")
    parts = blamed()
    parts["/api/run/0/steps"]["steps"][1]["text"] = TABLE
    for viewport in ((1440, 900), PHONE):
        page = show(parts, "#/run/t/a/1", viewport=viewport, scheme=scheme)
        if viewport == PHONE:
            page.get_by_role("button", name="Details and marks of step 1").click()
        page.locator("details").evaluate_all("all => all.forEach(one => { one.open = true; })")
        page.wait_for_timeout(150)
        assert [(v["id"], v["nodes"][0]["html"][:160]) for v in Axe().run(page).response["violations"]] == []
        assert page.evaluate(PAIRS) == []


def test_a_run_of_unknown_outcome_is_not_told_as_failed_and_mute_methods_are_one_line(show):  # noqa: F811
    says = [blame(by, None, status="unknown", reason="nothing to compare with") for by in ("contrast", "values")]
    parts = site([run("t", "a", None, [step("x")] * 2, blame=says)])
    parts["/api/run/0"]["numbers"]["state"] = ["?", "s1"]
    page = show(parts, "#/run/t/a/0")
    assert page.locator("#verdict").inner_text() == "It is not known how this run ended"
    others = page.locator(".verdict-others")
    assert others.inner_text().strip() == "2 methods found nothing" and "cannot say" not in others.inner_text()
    others.locator("summary").click()
    assert "nothing to compare with" in others.inner_text()
    assert "state" not in page.locator(".panel").inner_text()
    page.keyboard.press("j")
    assert "s1" in page.locator(".panel").inner_text()


def test_without_a_color_nothing_is_said_of_the_numbers_of_a_method(show):  # noqa: F811
    runs = [run("t", k, 0.0, [step("x")] * 3, credit={"grpo": [-0.5] * 3}) for k in (0, 1)]
    page = show(site(runs), "#/run/t/0")
    colors, told = page.get_by_label("Color by"), page.locator(".flat-told")
    assert colors.input_value() == "" and told.count() == 0
    colors.select_option("credit:grpo")
    assert told.inner_text() == "the same number on every step: it says only how the run ended"


def test_a_cut_result_tells_its_whole_length_and_has_one_control_at_a_time(show, serve):  # noqa: F811
    held = "".join(f"line {k}\n" for k in range(400))
    cut = step(
        "I read.",
        calls=[("read", {})],
        replies=[message("tool", held, name="read", call="c0")],
        cut={"replies.0": 269669},
    )
    parts = site([run("t", 0, 0.0, [cut])])
    parts["/api/run/0/text/0/replies.0"] = {"text": held + "the very end"}
    url, _, _ = serve(parts)
    page = show(None, "#/run/t/0/0", base=url)
    result = page.locator("details.result")
    assert "269,669 characters" in result.locator("summary").inner_text()
    result.locator("summary").click()
    assert result.get_by_role("button").all_inner_texts() == [f"Show {len(held):,} characters"]
    result.get_by_role("button").click()
    assert result.get_by_role("button").all_inner_texts() == ["Show less", "Read all 269,669 characters"]
    result.get_by_role("button", name="Read all").click()
    until(page, "document.querySelector('details.result').textContent.includes('the very end')")
    assert result.inner_text().count("line 399") == 1, "the whole takes the place of what was shown"
    assert result.get_by_role("button").all_inner_texts() == ["Show less"]


def test_findings_that_only_inform_and_credit_that_compares_with_nobody_stay_off_a_run(show):  # noqa: F811
    lint = [
        {"rule": f"rule_{severity}", "severity": severity, "message": f"said {severity}", "why": None, "step": None}
        for severity in ("info", "warning")
    ]
    zero = {"values": [0, 0], "sd": [0, 0]}
    lone = run("t", "a", 0.0, [step("x")] * 2, credit={"rloo": zero, "self": [0.5, -1]}, lint=lint)
    page = show(site([lone, run("u", "a", 0.0, [step("x")] * 2, credit={"rloo": zero})]), "#/run/t/a/0")
    assert "said warning" in page.locator(".findings").inner_text()
    assert "said info" not in page.locator("main").inner_text()
    assert page.get_by_label("Color by").locator("option").all_inner_texts() == ["self"]
    assert "rloo" not in page.locator(".panel").inner_text()
    page.keyboard.press("n")
    until(page, "document.querySelector('.crumbs')?.textContent.includes('u')")
    assert "no other run of this task to compare with" in page.locator(".panel").inner_text()


TABLE = "Found:\n| Name | Size |\n|:-----|-----:|\n| `a|b` | **2** |\n| x \\| y | |\n| " + EVIL + " | 3 | 4 |\nDone."


def test_tables_of_prose_are_drawn_as_tables_and_scroll_inside_themselves(show):  # noqa: F811
    wide = "| " + " | ".join(f"column {k}" for k in range(30)) + " |\n" + "|---" * 30 + "|\n" + "| value" * 30 + " |"
    steps = [step(TABLE), step(wide), step("a | b\nno table"), step("```\n| a |\n|---|\n```")]
    page = show(site([run("t", 0, 0.0, steps)]), "#/run/t/0/0", viewport=PHONE)
    first = page.locator(".step").nth(0)
    assert first.locator("th").all_inner_texts() == ["Name", "Size"]
    assert [c.strip() for c in first.locator("td").all_inner_texts()] == ["a|b", "2", "x | y", "", EVIL, "3"]
    assert first.locator("td code").count() == first.locator("td b").count() == 1
    assert [p.strip() for p in first.locator(".prose p").all_inner_texts()] == ["Found:", "Done."]
    assert page.evaluate("window.ran") is None and page.locator(".step img, .step a").count() == 0
    assert page.locator(".step").nth(1).locator("td").count() == 30
    assert page.evaluate(WIDE) == [390, []]
    assert page.locator(".step").nth(2).locator("table").count() == 0
    assert "| a |" in page.locator(".step").nth(3).locator("pre").inner_text()


def test_rows_of_the_strip_show_the_value_of_the_first_argument_and_names_break_after_underscores(show):  # noqa: F811
    steps = [step(calls=[("bash", {"command": "ls -la"})]), step(calls=[("move", {"a": 1, "b": 2})])]
    runs = [run("t", k, 0.0, steps, credit={"stepcredit_graph": [0.5, -1]}) for k in (0, 1)]
    page = show(site(runs, methods=[{"name": "stepcredit_graph", "title": "", "doc": ""}]), "#/run/t/0/0")
    assert page.locator(".strip-what").all_inner_texts() == ["bash ls -la", "move 1, b: 2"]
    assert page.locator(".credits th button wbr").count() == 1
    assert page.locator(".credits th button").inner_text() == "stepcredit_graph"
    for name in ("Run before (p)", "Next run (n)", "Step after (j)"):
        page.get_by_role("button", name=name).hover()
        assert page.locator(".tip").inner_text() == name


def test_an_unknown_run_is_said_to_be_still_read_only_while_files_are_read(show):  # noqa: F811
    page = show(site(failing()), "#/run/no/such")
    assert "still being read" not in page.locator("main").inner_text()
    page = show(site(failing(), reading={"done": False, "share": 0.5, "what": "runs"}), "#/run/no/such")
    assert "still being read" in page.locator("main").inner_text()


def test_on_a_phone_a_long_task_has_the_whole_width_and_opens(show):  # noqa: F811
    page = show(
        site([run("t", 0, 0.0, [step("x")], task="A long task of many words. " * 30)]), "#/run/t/0", viewport=PHONE
    )
    title = page.locator("h1")
    box = title.bounding_box()
    assert box["width"] > 340
    page.get_by_role("button", name="All of the task").click()
    assert title.bounding_box()["height"] > 2 * box["height"]
    title.click()
    assert title.bounding_box()["height"] == box["height"]


def test_boards_are_named_in_their_own_words_and_a_filter_finds_one_among_many(show):  # noqa: F811
    def board(file, k, **more):
        plain = {"title": "t", "suite": "mdp", "where": f"world {k}", "figure": "r", "metric": "rank correlation"}
        plain |= {"doc": "of credit with the advantage", "better": "higher", "chance": None, "interval": "90%"}
        rows = [{"name": "grpo", "value": k, "low": None, "high": None, "baseline": False}]
        return plain | {"source": file, "date": None, "version": None, "rows": rows} | more

    boards = [board("a.json", k) for k in range(12)] + [board("b.json", 12, doc="share of the runs that are named")]
    bench = {"boards": boards, "notes": []}
    page = show(site(failing(), pages={"bench": True}) | {"/api/bench": bench}, "#/bench")
    assert page.locator("h1").inner_text() == "Rank correlation of credit with the advantage"
    on = page.get_by_label("Measured on")
    files = on.locator("optgroup").evaluate_all("all => all.map(g => [g.label, g.children.length])")
    assert files == [["a.json", 12], ["b.json", 1]]
    page.get_by_label("Boards with").fill("WORLD 12")
    until(page, "document.querySelectorAll('[aria-label=\"Measured on\"] option').length === 2")
    assert "Boards with: 1 of 13" in page.locator(".plot-tools").inner_text(), "the one that is shown stays"
    on.select_option("12")
    until(page, "document.querySelector('h1').textContent === 'Share of the runs that are named'")


def test_ticks_of_an_axis_have_the_same_places_and_the_last_place_has_one(show):  # noqa: F811
    at = list(range(25))
    series = {"name": "", "at": at, "values": [k / 160 for k in at], "low": None, "high": None}
    metric = {"name": "success", "title": "Success", "unit": "share", "doc": "", "part": "outcomes", "source": "runs"}
    told = {"checkpoints": at, "axis": "step", "methods": [], "histograms": [], "notes": []}
    dynamics = told | {"metrics": [metric | {"series": [series]}]}
    page = show(site(failing(), pages={"dynamics": True}) | {"/api/dynamics": dynamics}, "#/dynamics")
    words = page.locator(".plot-grid text").evaluate_all("all => all.map(t => t.textContent)")
    assert [w for w in words if w.endswith("%")] == ["0%", "5%", "10%", "15%"]
    assert words[-1] == "24"
