"""Lists that keep their place, phones, small numbers and dead ends in a real browser."""

import re

import pytest
from test_view_browser import browser, failing, serve, show, until  # noqa: F401
from view_site import blame, run, site, step

from conftest import skip_or_fail

PHONE, DESK = (390, 844), (1440, 900)
LONG = "7fbbfa8d9a71e5c89480d130da463bc6" * 2
FIRST = """() => {
  const all = [...document.querySelectorAll(".vitem")].filter((n) => n.getBoundingClientRect().bottom > 100);
  return [all[0].dataset.i, Math.round(all[0].getBoundingClientRect().top)];
}"""


def many(n=400, attempts=2):
    """Runs whose cards differ in height."""
    return [
        run(
            f"task {i // attempts}",
            f"run {i % attempts}",
            float(i % attempts),
            [step(f"says {i}")] * (1 + i % 9),
            task="word " * (1 + 7 * (i % 4)),
            credit={"grpo": [0.5] * (1 + i % 9)},
        )
        for i in range(n)
    ]


def order(page):
    return [t.split(" ·")[0] for t in page.locator(".runs-row.body .run-name small").all_inner_texts()]


def overflow(page):
    return page.evaluate("document.documentElement.scrollWidth - innerWidth")


@pytest.mark.parametrize("size", [DESK, PHONE])
@pytest.mark.parametrize("screen", ["#/runs", "#/runs?view=tasks", "#/runs?q=says"])
def test_going_back_finds_the_place_and_the_row_again(show, size, screen):  # noqa: F811
    page = show(site(many()), screen, viewport=size)
    for y in range(0, 5000, 1000):
        page.evaluate(f"scrollTo(0, {y})")
    page.evaluate("scrollTo(0, 5000)")
    before = page.evaluate(FIRST)
    assert int(before[0]) > 5, "far below what is drawn at first"
    row = page.evaluate("""() => {
      const links = [...document.querySelectorAll(".vitem :is(.run-name, .line-who) a")];
      const link = links.find((n) => n.getBoundingClientRect().top > 300);
      link.focus({ preventScroll: true });
      link.click();
      return link.textContent.trim() + link.closest(".vitem").dataset.i;
    }""")
    until(page, "location.hash.startsWith('#/run/')")
    page.wait_for_selector(".run-title")
    assert page.evaluate("scrollY") < 200, "a screen that is opened begins at its top"
    page.go_back()
    until(page, "Boolean(document.querySelector('.vitem'))")
    until(page, "document.activeElement.tagName === 'A'")
    after = page.evaluate(FIRST)
    assert after[0] == before[0] and abs(after[1] - before[1]) <= 2
    there = page.evaluate(
        "document.activeElement.textContent.trim() + document.activeElement.closest('.vitem').dataset.i"
    )
    assert there == row
    page.go_forward()
    page.wait_for_selector(".run-title")
    page.goto(page.url.split("#")[0] + screen)
    page.wait_for_selector(".vitem")
    assert page.evaluate("scrollY") == 0, "the same address visited anew is no visit back"


def test_a_page_read_anew_keeps_its_place(show):  # noqa: F811
    page = show(site(many()))
    page.evaluate("scrollTo(0, 3000)")
    before = page.evaluate(FIRST)
    page.reload()
    page.wait_for_selector(".vitem")
    assert page.evaluate(FIRST) == before and int(before[0]) > 5


def test_keys_of_scrolling_leave_a_place_that_was_found_again(show):  # noqa: F811
    page = show(site(many()))
    page.evaluate("scrollTo(0, 3000)")
    page.locator(".run-name a:visible").nth(12).click()
    page.wait_for_selector(".run-title")
    page.go_back()
    until(page, "scrollY > 2500")
    page.keyboard.press("PageDown")
    until(page, "scrollY > 3300")
    page.wait_for_timeout(200)
    assert page.evaluate("scrollY") > 3300


def test_a_narrow_list_of_runs_is_sorted_by_a_choice(show):  # noqa: F811
    page = show(site(failing()), viewport=PHONE)
    assert not page.locator(".runs-head").is_visible()
    assert order(page) == ["cats / a", "cats / b", "dogs / a"]
    page.get_by_label("Sort by").select_option(label="Cost, highest first")
    assert "sort=-cost" in page.url and order(page) == ["cats / b", "cats / a", "dogs / a"]
    page.get_by_label("Sort by").select_option(label="Steps, fewest first")
    assert order(page)[0] == "dogs / a"
    page.get_by_label("Sort by").select_option("")
    assert "sort" not in page.url and order(page)[0] == "cats / a"
    page.set_viewport_size({"width": 1440, "height": 900})
    until(page, "!document.querySelector('.sort-by')")


def test_numbers_that_are_nothing_beside_the_scale_look_like_zero(show):  # noqa: F811
    values = [-4e-16, 0.8, -0.8, 0.0, 0.0005, -0.01]
    page = show(site([run("g", "a", 0.0, [step("x")] * 6, credit={"grpo": values})]), "#/run/g/a")
    levels = page.evaluate("[...document.querySelectorAll('.strip-row .bar i')].map((n) => n.dataset.l)")
    assert levels == ["0", "5", "-5", "0", "0", "-1"]
    told = page.locator(".strip-row .strip-v").all_inner_texts()
    assert told[0] == "≈0" and told[3] == "0"
    cut = (
        "[...document.querySelectorAll('.strip-row .strip-v')].filter((n) => n.scrollWidth > n.clientWidth + 1).length"
    )
    assert page.evaluate(cut) == 0
    assert page.evaluate("[SC.fmt.short(2e-4, 1), SC.fmt.short(2e-4, 2e-3), SC.scale([1e-16, -2e-16])]") == [
        "≈0",
        "+2e−4",
        1,
    ]


@pytest.mark.parametrize("width", [360, 390])
def test_four_outcomes_with_large_counts_need_no_sideways_scrolling(show, width):  # noqa: F811
    outcomes = [0.0] * 275 + [1.0] * 246 + [None]
    runs = [run(f"t{i}", "a", o, [step("x")]) for i, o in enumerate(outcomes)]
    page = show(site(runs), viewport=(width, 844))
    assert "Unknown 1" in re.sub(r"\s+", " ", page.locator(".filters .segments").inner_text())
    assert overflow(page) == 0


def test_cards_of_a_phone_say_what_their_numbers_count_and_leave_out_the_rest(show):  # noqa: F811
    one = run("a", "x", 0.0, [step("x")], tokens=76)
    more = run("b", "y", 1.0, [step("x")] * 3, seconds=12)
    found = run("c", "z", 0.0, [step("x")], blame=[blame("contrast", 0)])
    page = show(site([one, more, found]), viewport=PHONE)
    cells = [
        [" ".join(t.split()) for t in page.locator(".runs-row.body").nth(i).locator(".num:visible").all_inner_texts()]
        for i in (0, 1)
    ]
    assert cells == [["1 step", "76 tokens"], ["3 steps", "12 s"]]
    assert "no step stands out" in page.locator(".runs-row.body").first.inner_text()
    page.set_viewport_size({"width": 1440, "height": 900})
    assert page.locator(".runs-row.body .c-steps").all_inner_texts() == ["1", "3", "1"]


def test_a_search_that_gets_no_answer_says_so_and_is_asked_again(show, serve):  # noqa: F811
    parts = site(failing(), mode="serve")
    url, _, box = serve(parts | {"/api/search": {"hits": [], "total": 0, "cut": False}})
    page = show(None, "#/runs", base=url)
    box["fail"] = True
    page.locator("input[type=search]").fill("nowhere")
    page.wait_for_selector("main [role=alert]")
    assert "the disk is on fire" in page.locator("main [role=alert]").inner_text()
    assert page.get_by_text("Nothing matches").count() == 0
    box["fail"] = False
    page.get_by_role("button", name="Try again").click()
    page.wait_for_selector("text=Nothing matches")
    page.get_by_role("button", name="Clear all filters").click()
    until(page, "document.querySelectorAll('.runs-row.body').length === 3")
    assert page.locator("input[type=search]").input_value() == ""
    show.seen[:] = [s for s in show.seen if "Failed to load resource" not in s]


def test_a_server_that_is_gone_is_told_above_every_screen(show, serve):  # noqa: F811
    news = {"version": None, "files": 0, "traces": None}
    url, _, box = serve(site(failing(), mode="serve", read=None) | {"/api/news": news})
    page = show(None, "#/runs", base=url)
    page.wait_for_selector(".runs-row.body")
    box["fail"] = True
    page.wait_for_selector(".news.bad", timeout=20000)
    assert page.locator(".runs-row.body").count() == 3, "what was read stays"
    box["fail"] = False
    page.locator(".news.bad button").click()
    page.wait_for_selector(".news.bad", state="detached")
    show.seen[:] = [s for s in show.seen if "Failed to load resource" not in s]


def test_two_runs_side_by_side_fit_a_phone(show):  # noqa: F811
    runs = [
        run("g", f"{LONG}{i}", float(i), [step("same"), step("same"), step(f"other {i}")], credit={"grpo": [0.1, 0, i]})
        for i in range(3)
    ]
    page = show(site(runs), f"#/run/g/{LONG}0?with=1", viewport=PHONE)
    page.wait_for_selector(".sides")
    told = page.locator(".compare-told").inner_text()
    assert told.startswith("Up to step 2 both did the same; here is what came then.") and "Then:" not in told
    assert overflow(page) == 0
    word = page.locator(".compare-head .field span").first.bounding_box()
    assert word["height"] < 30, "one line, not a letter a line"
    assert page.locator(".compare-head select").bounding_box()["width"] <= 362


@pytest.mark.parametrize("size", [DESK, PHONE])
def test_a_mark_names_its_step_and_run_before_a_long_task(show, size):  # noqa: F811
    runs = [run("who_and_when/" + LONG, "run-1", 0.0, [step("x")] * 4)]
    mark = {"id": 0, "step": 3, "label": -1, "error": None, "note": "why", "rater": "me", "time": 1.0}
    page = show(site(runs) | {"/api/marks": [mark]}, "#/marks", viewport=size)
    link, badge = page.locator(".mark-at"), page.locator(".mark-row .badge")
    assert link.inner_text().startswith("step 3 · run-1")
    words, box, sign = page.locator(".mark-at > span").bounding_box(), link.bounding_box(), badge.bounding_box()
    assert words["x"] + words["width"] <= box["x"] + box["width"] and words["height"] < 30, "seen whole, on one line"
    assert sign["width"] > 70, "the badge is seen whole"
    apart = box["y"] >= sign["y"] + sign["height"] or box["x"] >= sign["x"] + sign["width"]
    assert apart and overflow(page) == 0


def test_times_are_those_of_the_clock_where_the_page_is_read(browser, show):  # noqa: F811
    page = show(site(failing()))
    context = browser.new_context(timezone_id="Asia/Tokyo")
    abroad = context.new_page()
    abroad.goto(page.url)
    abroad.wait_for_selector("main h1")
    assert abroad.evaluate("SC.fmt.when(0)") == "1970-01-01 09:00"
    context.close()


def test_a_task_that_does_not_exist_leads_back_to_all_runs(show, serve):  # noqa: F811
    url, *_ = serve(site(failing(), mode="serve"))
    page = show(None, "#/runs", base=url)
    page.route("**/api/group/nope", lambda route: route.fulfill(status=404, json={"error": "there is no task 'nope'"}))
    page.goto(f"{url}#/group/nope")
    page.wait_for_selector("text=No such task")
    assert page.get_by_role("button", name="Try again").count() == 0
    page.get_by_role("link", name="All runs", exact=True).click()
    page.wait_for_selector(".runs-row.body")
    show.seen[:] = [s for s in show.seen if "Failed to load resource" not in s]


def test_keys_name_as_many_screens_as_there_are_and_begin_on_close(show):  # noqa: F811
    page = show(site(failing()))
    page.keyboard.press("?")
    page.wait_for_selector("dialog[open]")
    keys = page.locator("dialog dd", has_text="the screens in the bar").locator("xpath=preceding-sibling::dt[1]")
    assert keys.inner_text().split() == ["1", "2"]
    assert page.evaluate("document.activeElement.textContent") == "Close"


def test_methods_that_did_not_run_are_told_by_reason(show):  # noqa: F811
    why = "needs column 'score'"
    methods = [{"name": n, "skipped": f"{n} {why}"} for n in ("slate", "srgpo")] + [
        {"name": "gae", "skipped": "gae: no value"}
    ]
    page = show(site(failing(), methods=methods))
    page.get_by_text("3 methods not run").click()
    assert page.locator(".notes details[open] li").all_inner_texts() == [f"slate, srgpo: {why}", "gae: no value"]


def test_the_chosen_segment_is_lighter_than_its_track_in_the_dark(show):  # noqa: F811
    page = show(site(failing()), scheme="dark")
    light = """(s) => getComputedStyle(document.querySelector(s)).backgroundColor.match(/[\\d.]+/g).slice(0, 3)
      .reduce((sum, x) => sum + Number(x), 0)"""
    assert page.evaluate(light, ".segments input:checked + span") > page.evaluate(light, ".segments")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_on_the_lists_of_a_phone(show, scheme):  # noqa: F811
    try:
        from axe_playwright_python.sync_playwright import Axe
    except ImportError:
        skip_or_fail("axe", "axe-playwright-python is not installed")
    mark = {"id": 0, "step": 1, "label": -1, "error": None, "note": "why", "rater": "me", "time": 1.0}
    page = show(site(failing()) | {"/api/marks": [mark]}, viewport=PHONE, scheme=scheme)
    found = []
    for screen in ["#/runs", "#/runs?view=tasks", "#/runs?q=nowhere", "#/marks", "#/run/cats/a?with=1"]:
        page.goto(page.url.split("#")[0] + screen)
        page.wait_for_timeout(150)
        violations = Axe().run(page).response["violations"]
        found += [(screen, v["id"], [n["html"][:160] for n in v["nodes"]][:3]) for v in violations]
    assert found == []
