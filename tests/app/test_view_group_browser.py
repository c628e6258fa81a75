"""The runs of one task as a graph, in a real browser: pages written from rollouts, as an export holds them."""

import re
from itertools import pairwise

import pytest
import test_view_browser
from view_site import run, site, step

from conftest import skip_or_fail
from stepcredit import Batch, credit
from stepcredit.app.view.export import write_page
from stepcredit.data import Rollout
from stepcredit.data.records import Step
from stepcredit.diagnose.falls import falls
from stepcredit.diagnose.graph import state_graph

browser, show = test_view_browser.browser, test_view_browser.show
until, query = test_view_browser.until, test_view_browser.query
HOSTILE = "</script><img src=x onerror=alert(1)>\u202e{{x}} __proto__ %"


def way(name, outcome, *states, group="maze", words="I go {}."):
    """A run that goes from state to state; what it does is named by where it leads."""
    steps = [Step(state=a, action=f"to {b}", text=words.format(b)) for a, b in pairwise(states)]
    return Rollout(
        group=group, rollout=name, outcome=outcome, task="Leave the maze", steps=steps, final_state=states[-1]
    )


def maze():
    """Left wins, right loses; one run comes back and then wins."""
    return [
        way("a", 1.0, "door", "left", "garden"),
        way("b", 1.0, "door", "left", "garden"),
        way("c", 0.0, "door", "right", "cellar"),
        way("d", 0.0, "door", "right", "cellar"),
        way("e", 1.0, "door", "right", "door", "left", "garden"),
        way("f", None, "door", "door"),
    ]


@pytest.fixture
def draw(show, tmp_path):
    """Opens the graph of these rollouts."""

    def open_(rollouts, query="", selector=".tg-node", **how):
        batch = Batch.from_records(rollouts)
        path = write_page(tmp_path / "task.html", batch, [credit.assign(batch, "grpo")], title="Mazes", redact=False)
        page = show(None, f"#/group/0{query}", base=path.as_uri(), **how)
        page.wait_for_selector(selector)
        return page

    return open_


def node(page, name):
    return page.locator(f'.tg-node[aria-label^="{name},"]')


def panel(page):
    return page.locator(".tg-panel").inner_text()


def places(page):
    return {
        n.get_attribute("aria-label").split(",")[0]: n.evaluate("n => n.getCTM().e")
        for n in page.locator(".tg-node").all()
    }


def test_equal_states_are_one_node_with_share_interval_ends_and_levels(draw):
    page = draw(maze())
    assert page.locator("h1").inner_text() == "Leave the maze"
    assert "6 runs, 3 succeeded · 5 states, 6 ways" in page.locator(".tg-head").inner_text()
    right = node(page, "right")
    assert right.get_attribute("aria-label") == "right, 3 runs, 33% succeeded (6.1% to 79%), paths part into 2"
    assert "33%" in right.text_content() and "3 runs" in right.text_content()
    assert right.locator(".tg-fill").count() == 1 and right.locator(".tg-whisker").count() == 1
    assert "✗ 2" in node(page, "cellar").text_content() and "✓ 3" in node(page, "garden").text_content()
    door = node(page, "door").get_attribute("aria-label")
    assert "paths part into 2" in door and "1 run of unknown outcome here" in door and "some steps stay here" in door
    at = places(page)
    assert (
        at["door"] < at["left"] <= at["right"] < at["cellar"] or at["door"] < at["right"] <= at["left"] < at["cellar"]
    )


def test_ways_are_as_thick_as_many_took_them_and_the_harmful_one_is_marked(draw):
    page = draw(maze())
    widths = {
        w.get_attribute("data-key"): float(
            w.locator(".tg-line").evaluate("n => getComputedStyle(n).strokeWidth.slice(0, -2)")
        )
        for w in page.locator(".tg-way").all()
    }
    assert len(widths) == 5 and max(widths.values()) > 2 * min(widths.values())
    harm = page.locator(".tg-way.harm")
    said = " ".join(h.get_attribute("aria-label") for h in harm.all())
    assert harm.count() == 2 and "to cellar, 2 times" in said and "to right, 3 times" in said
    assert "successes fall here, from 33% to 0%" in said and "from 60% to 33%" in said
    assert sorted(page.locator(".tg-badge").all_text_contents()) == ["▼ 33% → 0%", "▼ 60% → 33%"]
    hint = page.get_by_role("button", name=re.compile("to cellar.*33% → 0%", re.S)).first
    hint.click()
    assert "Successes fall here: 33% of the runs before, 0% of those that went this way" in panel(page)


def test_a_node_opens_to_read_with_links_to_the_steps(draw):
    page = draw(maze())
    node(page, "right").click()
    words = panel(page)
    for told in ("Reached after 1 step at the earliest", "33% succeeded (6.1% to 79%), 3 runs", "to cellar", "to door"):
        assert told in words
    assert node(page, "right").get_attribute("aria-pressed") == "true" and "at=n" in query(page)
    page.get_by_role("link", name="failed c step 1").click()
    page.wait_for_selector(".step.selected")
    assert query(page) == "#/run/maze/c/1"


def test_a_way_opens_with_the_words_of_the_runs_that_took_it(draw):
    page = draw(maze())
    page.locator('.tg-way[aria-label^="Way from door to right"]').dispatch_event("click")
    page.wait_for_selector(".tg-taken .tg-words")
    assert page.locator(".tg-taken").count() == 3 and "I go right." in panel(page)
    page.get_by_role("link", name="Run c, step 0").click()
    page.wait_for_selector(".step.selected")
    assert query(page) == "#/run/maze/c/0"


def test_a_chosen_run_is_highlighted_and_told_where_it_leaves_a_success(draw):
    page = draw(maze())
    page.get_by_role("button", name="failed c 2 steps").click()
    lit = [n.get_attribute("aria-label").split(",")[0] for n in page.locator(".tg-node.lit").all()]
    assert sorted(lit) == ["cellar", "door", "right"] and "run=2" in query(page)
    assert page.locator(".tg-way.lit").count() == 2 and page.locator(".tg-node.dim").count() == 2
    page.wait_for_selector(".tg-badge.told")
    assert "✗ leaves success" in page.locator(".tg-badge.told").all_text_contents()
    page.keyboard.press("j")
    assert page.locator('.tg-runs [aria-pressed="true"] .isolate').inner_text() == "d"
    page.keyboard.press("Escape")
    assert page.locator(".lit").count() == 0 and query(page) == "#/group/0"


def test_arrow_keys_walk_states_and_ways_and_enter_reads(draw):
    page = draw(maze())
    focused = "document.activeElement.getAttribute('aria-label')"
    page.keyboard.press("ArrowRight")
    assert page.evaluate(focused).startswith("door")
    page.keyboard.press("ArrowRight")
    first = page.evaluate(focused)
    assert first.startswith("Way from door to")
    page.keyboard.press("ArrowDown")
    if page.evaluate(focused) == first:
        page.keyboard.press("ArrowUp")
    second = page.evaluate(focused)
    assert second.startswith("Way from door to") and second != first
    page.keyboard.press("Enter")
    assert page.locator(".tg-way.chosen").count() == 1 and "A way" in panel(page)
    page.keyboard.press("ArrowRight")
    assert page.evaluate(focused).split(",")[0] in ("left", "right")
    page.keyboard.press("ArrowLeft")
    assert page.evaluate(focused).startswith(("Way from door", "door"))
    assert page.locator('.tg-plane svg [tabindex="0"]').count() == 1
    page.keyboard.press("Escape")
    assert page.locator(".tg-panel").count() == 0


def test_wheel_drag_buttons_and_keys_move_the_plane(draw):
    page = draw(maze())
    now = "document.querySelector('.tg-plane svg > g').getAttribute('transform')"
    seen = [page.evaluate(now)]

    def moved():
        seen.append(page.evaluate(now))
        assert seen[-1] != seen[-2]

    box = page.locator(".tg-plane").bounding_box()
    page.mouse.move(box["x"] + 200, box["y"] + 60)
    page.mouse.wheel(0, 200)
    page.wait_for_timeout(50)
    moved()
    page.mouse.down()
    page.mouse.move(box["x"] + 300, box["y"] + 120, steps=4)
    page.mouse.up()
    moved()
    page.get_by_role("button", name="Nearer (+)").click()
    moved()
    page.keyboard.press("-")
    moved()
    page.get_by_role("button", name="Fit").click()
    moved()
    assert seen[-1] == seen[0] and page.locator(".chosen").count() == 0


def test_dragging_from_a_node_does_not_choose_it(draw):
    page = draw(maze())
    box = node(page, "door").bounding_box()
    page.mouse.move(box["x"] + 20, box["y"] + 20)
    page.mouse.down()
    page.mouse.move(box["x"] + 90, box["y"] + 60, steps=4)
    page.mouse.up()
    assert page.locator(".chosen").count() == 0
    node(page, "door").click()
    assert page.locator(".tg-node.chosen").count() == 1


def test_without_states_the_runs_are_a_tree_whose_straight_stretches_fold(draw):
    plain = lambda name, outcome, *words: Rollout(  # noqa: E731
        group="t", rollout=name, outcome=outcome, steps=[Step(action=w, text=w) for w in words]
    )
    tail = [f"step {i}" for i in range(9)]
    page = draw([plain("a", 1.0, "open", *tail), plain("b", 0.0, "open", "fall", "wait")])
    fold = page.locator(".tg-node.stretch")
    assert fold.count() == 1 and page.locator(".tg-node").count() == 7
    fold.click()
    assert "7 states in a row" in panel(page)
    page.get_by_role("button", name="Unfold").click()
    until(page, "document.querySelectorAll('.tg-node').length === 13")
    assert page.locator(".segments", has_text="Same actions").count() == 0


def test_the_same_runs_can_be_put_together_by_what_they_did(draw):
    page = draw(maze())
    page.get_by_role("radio", name="Same actions").check()
    until(page, "document.querySelectorAll('.tg-node').length > 5")
    assert "as=actions" in query(page) and page.locator('.tg-node[aria-label^="start,"]').count() == 1


def test_hostile_names_and_states_are_drawn_as_text(draw):
    bad = [
        way(f"{HOSTILE} {k}", float(k), HOSTILE, f"{HOSTILE} {k} \ud800", "end", group=HOSTILE, words=HOSTILE + " {}")
        for k in (0, 1)
    ]
    page = draw(bad)
    assert page.locator(".tg-node").count() == 4 and page.locator(".page img").count() == 0
    assert "</script><img src=x onerror=alert(1)>⟨U+202E⟩" in page.locator(".tg-node").first.get_attribute("aria-label")
    page.locator(".tg-node").first.click()
    page.locator(".tg-wayline").first.click()
    page.locator(".tg-way .tg-line").last.dispatch_event("click")
    page.wait_for_selector(".tg-taken .tg-words")
    assert "⟨U+202E⟩" in panel(page) and "\u202e" not in page.locator("main").inner_text()


def test_names_of_methods_of_objects_are_ids_like_others(draw):
    page = draw(
        [
            way("__proto__", 1.0, "constructor", "__proto__", "toString"),
            way("constructor", 0.0, "constructor", "valueOf"),
        ]
    )
    assert page.locator(".tg-node").count() == 4
    page.locator(".tg-runs button").first.click()
    assert page.locator(".tg-node.lit").count() == 3


def wide(count):
    """A graph of this many states on 12 levels, whose paths cross."""
    level = count // 12
    return [
        way(f"r{i}", float(i % 3 == 0), "start", *(f"s{d}-{(i * (d + 3)) % level}" for d in range(12)))
        for i in range(level * 3)
    ]


def test_hundreds_of_nodes_are_drawn_fit_and_moved_without_drawing_them_anew(draw):
    page = draw(wide(300))
    assert page.locator(".tg-node").count() > 200
    page.keyboard.press("0")
    inside = page.evaluate(
        """(() => { const p = document.querySelector('.tg-plane').getBoundingClientRect();
        return [...document.querySelectorAll('.tg-node .tg-box')].every((n) => { const b = n.getBoundingClientRect();
        return b.left >= p.left - 1 && b.right <= p.right + 1
          && b.top >= p.top - 1 && b.bottom <= p.bottom + 1; }); })()"""
    )
    assert inside
    page.evaluate(
        "window.first = document.querySelector('.tg-node'); window.changed = 0; "
        "new MutationObserver((all) => { changed += all.filter((m) => m.type === 'childList').length; })"
        ".observe(document.querySelector('.tg-plane svg'), {childList: true, subtree: true})"
    )
    page.mouse.move(700, 500)
    for _ in range(20):
        page.mouse.wheel(0, -60)
    page.wait_for_timeout(60)
    assert page.evaluate("changed") == 0 and page.evaluate("first.isConnected")


def test_nodes_do_not_overlap(draw):
    page = draw(wide(120), selector=".tg-node")
    boxes = page.evaluate(
        "[...document.querySelectorAll('.tg-node .tg-box')].map((n) => n.getBoundingClientRect().toJSON())"
    )
    for i, a in enumerate(boxes):
        for b in boxes[:i]:
            assert (
                a["right"] <= b["left"] + 1
                or b["right"] <= a["left"] + 1
                or a["bottom"] <= b["top"] + 1
                or b["bottom"] <= a["top"] + 1
            )


def test_what_is_left_out_is_said(show):
    parts = site([run("g", k, float(k), [step("x")]) for k in range(2)])
    rollouts = [way(str(k), float(k), "a", "b" * (k + 1)) for k in range(2)]
    graph = state_graph(rollouts).to_dict(limit=2)
    parts["/api/group/g0"] = {
        "gid": "g0",
        "group": "g",
        "task": None,
        "graph": graph | {},
        "tree": None,
        "runs": [{"id": k, "rollout": str(k), "outcome": float(k), "steps": 1} for k in range(2)],
    }
    page = show(parts, "#/group/g0")
    page.wait_for_selector(".tg-node")
    assert page.locator(".notice").inner_text() == "2 of 3 nodes are shown, the most visited."
    assert page.locator(".tg-node").count() == 2


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_on_a_phone_the_levels_are_a_list_that_fits(draw, scheme):
    page = draw(maze(), selector=".tg-list", viewport=(390, 844), scheme=scheme)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    levels = page.locator(".tg-list h2").all_inner_texts()
    assert levels[0].startswith("Start") and levels[1].startswith("Level 1")
    row = page.locator(".tg-row", has_text="right").filter(has_text="33% succeeded (6.1% to 79%)")
    assert "to cellar" in row.inner_text() and "falls" in row.inner_text()
    row.locator(".tg-wayline", has_text="cellar").click()
    page.wait_for_selector(".tg-taken .tg-words")
    sheet = page.locator(".tg-panel").bounding_box()
    assert sheet["x"] == 0 and sheet["width"] == 390 and sheet["y"] + sheet["height"] <= 845
    page.locator(".tg-taken a").first.click()
    page.wait_for_selector(".step.selected")


def test_the_list_is_a_text_form_of_the_whole_graph_on_any_screen(draw):
    page = draw(maze(), "?view=list", selector=".tg-list")
    words = page.locator(".tg-list").inner_text()
    for name in ("door", "left", "right", "garden", "cellar", "to garden", "100% succeeded"):
        assert name in words


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_on_graph_list_and_panel(draw, scheme):
    try:
        from axe_playwright_python.sync_playwright import Axe
    except ImportError:
        skip_or_fail("axe", "axe-playwright-python is not installed")
    page = draw(maze(), "?run=2", scheme=scheme)
    found = []
    for screen in ("?run=2&at=n0", "?at=e0-1", "?view=list&run=2") if scheme == "light" else ("?run=2&at=e0-1",):
        page.goto(page.url.split("#")[0] + f"#/group/0{screen}")
        page.wait_for_timeout(200)
        violations = Axe().run(page).response["violations"]
        found += [(screen, v["id"], [n["html"][:200] for n in v["nodes"]][:3]) for v in violations]
    assert found == []


def test_texts_of_the_graph_keep_a_contrast_of_four_and_a_half(draw):
    for scheme in ("light", "dark"):
        page = draw(maze(), "?run=2", scheme=scheme)
        page.wait_for_selector(".tg-badge.told")
        assert page.evaluate(CONTRAST) == []


CONTRAST = """(() => {
  const ground = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
  const rgb = (c) => { ground.clearRect(0, 0, 1, 1); ground.fillStyle = c; ground.fillRect(0, 0, 1, 1);
    return [...ground.getImageData(0, 0, 1, 1).data].slice(0, 3); };
  const light = (c) => { const [r, g, b] = rgb(c).map((v) => { v /= 255;
      return v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4; });
    return .2126 * r + .7152 * g + .0722 * b; };
  const low = [];
  for (const text of document.querySelectorAll('.tg-plane svg text')) {
    const own = text.parentElement.querySelector(
      ':scope > rect, :scope > path:not(.tg-hit):not(.tg-line):not(.tg-lit)');
    const box = text.closest('.tg-way, .tg-top, .tg-fork, .tg-end') ? own
      : text.closest('.tg-node').querySelector('.tg-box');
    const paper = box ? getComputedStyle(box).fill
      : getComputedStyle(document.querySelector('.tg-plane')).backgroundColor;
    const [a, b] = [light(getComputedStyle(text).fill), light(paper)].sort((p, q) => q - p);
    if ((a + .05) / (b + .05) < 4.5) low.push([text.className.baseVal, text.textContent, (a + .05) / (b + .05)]);
  }
  return low;
})()"""


def test_falls_count_the_successes_that_a_way_lacks():
    graph = state_graph(maze())
    found = graph.to_dict()
    cost = {
        (found["nodes"][e["from"]]["label"], found["nodes"][e["to"]]["label"]): f
        for e, f in zip(found["edges"], falls(graph.success, found["nodes"], found["edges"]), strict=True)
    }
    assert cost["right", "cellar"] == pytest.approx(2 / 3) and cost["right", "door"] == pytest.approx(-2 / 3)
    assert cost["door", "right"] == pytest.approx(3 * 0.6 - 1) and cost["door", "door"] is None
