"""Trees of the inspector in a real browser: the outline, its keys, the panel, filters, a phone, hostile texts."""

import json
import random

import pytest
from test_view_browser import CONTRAST, EVIL, WIDE, browser, show, until  # noqa: F401
from view_site import run, site, step

from stepcredit.app.view import trees


@pytest.fixture
def made(tmp_path):
    """Parts of a page with the trees of rows."""

    def parts(*rows, runs=()):
        path = tmp_path / "trees.jsonl"
        path.write_text("".join(json.dumps(r) + "\n" for r in rows), "utf-8")
        out = site(list(runs), pages={"runs": bool(runs), "trees": True})
        out["/api/trees"] = trees.trees(None, [path])
        for one in out["/api/trees"]:
            out[f"/api/tree/{one['id']}"] = trees.tree(None, [path], one["id"])
        return out

    return parts


def node(k, parent, text="", **more):
    return {"node": k, "parent": parent, "text": text, **more}


def small(**more):
    """The task, two first steps; below the first a right leaf (chosen), a wrong and a dropped one."""
    nodes = [
        node(0, None, value=0.5, visits=9),
        node(1, 0, "split the sum", value=0.75, visits=6),
        node(2, 0, "guess", value=0.1, visits=3),
        node(3, 1, "Answer: 7", value=0.9, visits=2, ended=True, outcome=1.0),
        node(4, 1, "Answer: 8", value=0.4, visits=1, ended=True, outcome=0.0, observation="too high"),
        node(5, 1, "never mind", kept=False),
        node(6, 2, "Answer: 9", value=0.05, ended=True, outcome=0.0, facts={"why": "luck"}, reason="it was a guess"),
    ]
    told = {"prompt": "Add 3 and 4.", "answer": "7", "right": 1.0, "spent": {"calls": 12}, "chosen": 3}
    return {"tree": 1, "kind": "search", "system": "beam", "task": "sum", "nodes": nodes, **told, **more}


def large(n=5000):
    rng, nodes = random.Random(1), [node(0, None)]
    nodes += [
        node(k, rng.randrange(max(0, k - 300), k), f"step {k} of many", value=rng.random(), visits=k % 50)
        for k in range(1, n)
    ]
    return {"tree": 1, "kind": "search", "system": "mcts", "task": "large", "nodes": nodes, "chosen": n - 1}


def items(page):
    return [t.split("\n")[0].strip() for t in page.locator('[role="treeitem"] .node-name > .clip').all_inner_texts()]


def here(page):
    return page.locator('[role="treeitem"][aria-selected="true"] .node-name > .clip').inner_text()


def test_a_page_of_trees_alone_opens_on_their_list_and_leads_to_one(show, made):  # noqa: F811
    page = show(made(small(), large(), small(kind="label", system="alphamath", task="other", prompt="")), "")
    until(page, "location.hash === '#/trees'")
    assert page.get_by_role("navigation").get_by_role("link").all_inner_texts() == ["Trees"]
    lines = page.locator(".tree-line")
    assert lines.count() == 3 and "Add 3 and 4." in lines.first.inner_text() and "7 nodes" in lines.first.inner_text()
    page.get_by_role("radio", name="labels").check()
    assert lines.count() == 1 and "alphamath" in lines.inner_text()
    page.get_by_role("radio", name="All").check()
    page.keyboard.press("/")
    page.keyboard.type("MCTS")
    until(page, "document.querySelectorAll('.tree-line').length === 1")
    page.locator(".tree-line").click()  # in its middle, where no word is
    page.wait_for_selector('[role="tree"]')
    assert page.evaluate("location.hash") == "#/tree/f0-1"


def test_the_outline_tells_text_signs_visits_value_and_the_chosen_path(show, made):  # noqa: F811
    page = show(made(small(spent={"calls": 12, "prefill": 34}, rollout="sum/0")), "#/tree/f0-0")
    assert items(page) == ["the task", "split the sum", "Answer: 7", "Answer: 8", "never mind", "guess", "Answer: 9"]
    rows = page.locator('[role="treeitem"]').all_inner_texts()
    for k, words in (
        (1, ("6×", "0.75")),
        (2, ("chosen", "right", "0.9")),
        (3, ("wrong",)),
        (4, ("dropped", "no value")),
    ):
        assert all(w in rows[k] for w in words), rows[k]
    assert ["on the chosen path" in r for r in rows] == [True, True, True, False, False, False, False]
    head = page.locator(".tree-head").inner_text()
    said = ("Add 3 and 4.", "beam", "rollout sum/0", "7 nodes", "4 leaves", "1 of 3 leaves right", "calls", "12")
    assert all(w in head for w in (*said, "tokens read", "34"))


def test_the_tree_tells_its_levels_and_what_is_open_to_those_who_do_not_see_it(show, made):  # noqa: F811
    page = show(made(small()), "#/tree/f0-0/0")
    tree = page.get_by_role("tree", name="Tree of Add 3 and 4.")
    assert tree.get_attribute("aria-activedescendant") == "node-0"
    told = page.locator('[role="treeitem"]').evaluate_all(
        "all => all.map(n => ['level', 'expanded', 'posinset', 'setsize'].map(a => n.getAttribute(`aria-${a}`)))"
    )
    assert told[:4] == [["1", "true", "1", "1"], ["2", "true", "1", "2"], ["3", None, "1", "3"], ["3", None, "2", "3"]]
    assert page.locator('[role="tree"] > :not([role="presentation"])').count() == 0
    assert "7 nodes, 4 leaves, depth 2" in page.get_by_role("img").get_attribute("aria-label")


def test_arrows_walk_open_and_close_and_letters_jump_to_leaves(show, made):  # noqa: F811
    page = show(made(small()), "#/tree/f0-0/0")
    press = page.keyboard.press
    press("ArrowDown")
    assert here(page) == "split the sum" and page.evaluate("document.activeElement.id") == "tree"
    press("ArrowLeft")
    assert items(page) == ["the task", "split the sum", "guess", "Answer: 9"]
    assert page.locator('[aria-selected="true"]').get_attribute("aria-expanded") == "false"
    press("ArrowRight")
    press("ArrowRight")
    assert here(page) == "Answer: 7"
    press("ArrowRight")
    assert here(page) == "Answer: 7"
    press("ArrowLeft")
    assert here(page) == "split the sum"
    press("End")
    assert here(page) == "Answer: 9"
    press("ArrowDown")
    assert here(page) == "Answer: 9"
    press("Home")
    press(" ")
    assert items(page) == ["the task"]
    press("w")
    assert here(page) == "Answer: 9" and page.evaluate("location.hash") == "#/tree/f0-0/6"
    press("b")
    assert here(page) == "Answer: 7"
    press("E")
    assert items(page) == ["the task", "split the sum", "guess"]
    press("c")
    assert here(page) == "Answer: 7"
    press("e")
    assert len(items(page)) == 7
    press("?")
    assert "best leaf" in page.get_by_role("dialog").inner_text()


def test_a_click_shows_the_node_in_the_panel_and_the_arrow_beside_it_turns_it(show, made):  # noqa: F811
    page = show(made(small()), "#/tree/f0-0")
    page.get_by_role("treeitem", name="Answer: 8").click()
    panel = page.locator(".panel").inner_text()
    assert all(w in panel for w in ("Node 4", "depth 2", "wrong", "Answer: 8", "too high", "0.4", "outcome"))
    page.get_by_role("treeitem", name="Answer: 9").click()
    panel = page.locator(".panel").inner_text()
    assert "it was a guess" in panel and "luck" in panel
    page.locator(".way button").nth(1).click()
    assert here(page) == "guess"
    page.locator(".node-turn").nth(1).click()
    assert items(page) == ["the task", "split the sum", "guess", "Answer: 9"] and here(page) == "guess"
    page.get_by_role("treeitem", name="the task").click()
    assert "Add 3 and 4." in page.locator(".panel").inner_text()
    page.reload()
    page.wait_for_selector('[aria-selected="true"]')
    assert here(page) == "the task"


def test_an_address_that_comes_late_takes_no_letter_from_who_types(show, made):  # noqa: F811
    page = show(made(small()), "#/tree/f0-0")
    box = page.get_by_label("Filter by text")
    box.press_sequentially("too h")
    page.look("SC.setQuery({ q: 'too' })")
    box.press_sequentially("igh")
    assert box.input_value() == "too high" and "q=too%20high" in page.evaluate("location.hash").replace("+", "%20")
    page.get_by_role("treeitem", name="the task").click()
    page.evaluate("SC.setQuery({ q: null })")
    assert box.input_value() == ""


def test_a_filter_leaves_what_has_the_words_and_what_stands_above(show, made):  # noqa: F811
    page = show(made(small()), "#/tree/f0-0")
    page.keyboard.press("/")
    page.keyboard.type("TOO HIGH")
    until(page, "document.querySelectorAll('[role=treeitem]').length === 3")
    assert items(page) == ["the task", "split the sum", "Answer: 8"]
    assert page.get_by_text("1 node has these words").is_visible()
    page.keyboard.press("Enter")
    assert here(page) == "Answer: 8"
    page.get_by_label("Filter by text").fill("answer")
    until(page, "document.querySelectorAll('[role=treeitem]').length === 6")
    assert page.locator("mark").all_inner_texts() == ["Answer"] * 3
    page.keyboard.press("Enter")
    assert here(page) == "Answer: 9"
    page.keyboard.press("Shift+Enter")
    until(page, "location.hash.startsWith('#/tree/f0-0/3?')")
    assert here(page) == "Answer: 8"
    page.get_by_label("Filter by text").fill("nowhere")
    page.wait_for_selector("text=No node has these words.")
    page.get_by_label("Filter by text").fill("")
    until(page, "document.querySelectorAll('[role=treeitem]').length === 7")


def test_five_thousand_nodes_are_drawn_where_they_are_looked_at(show, made):  # noqa: F811
    page = show(made(large()), "#/tree/f0-0")
    nodes = "document.querySelectorAll('*').length"
    page.keyboard.press("e")
    page.keyboard.press("End")
    until(page, "document.querySelector('[aria-selected=true]')?.closest('.vitem').dataset.i === '4999'")
    assert page.evaluate(nodes) < 2500
    page.keyboard.press("Home")
    until(page, "document.querySelector('[aria-selected=true]')?.id === 'node-0'")
    page.keyboard.press("c")
    until(page, "document.querySelector('[aria-selected=true]')?.textContent.includes('step 4999 of many')")
    box = page.locator('[aria-selected="true"]').bounding_box()
    assert 52 <= box["y"] <= 900 - box["height"]
    page.locator(".treemap canvas").click(position={"x": 5, "y": 3})
    until(page, "document.querySelector('[aria-selected=true]')?.id === 'node-0'")


def test_an_address_opens_the_way_to_a_node_that_is_folded_away(show, made):  # noqa: F811
    parts = made(large(400))
    deep = max(parts["/api/tree/f0-0"]["nodes"], key=lambda n: n["depth"])
    page = show(parts, f"#/tree/f0-0/{deep['id']}")
    page.wait_for_selector('[aria-selected="true"]')
    assert here(page) == deep["label"]
    page.goto(page.url.split("#")[0] + "#/tree/f0-0/99999")
    page.goto(page.url.split("#")[0] + "#/tree/f0-7")
    page.wait_for_selector("text=Not in this page")


def test_hostile_trees_run_nothing(show, made):  # noqa: F811
    nodes = [
        node(0, None, EVIL, status=EVIL, reason=EVIL, facts={EVIL: EVIL, "__proto__": {"polluted": 1}}),
        node(EVIL, 0, EVIL + " \0\u202e", observation=EVIL, ended=True, outcome=1),
        node("constructor", "__proto__", EVIL, value=1e308),
        node("x", "y", EVIL, value=-1e308),
        node("y", "x", EVIL),
    ]
    row = small(nodes=nodes, system=EVIL, prompt=EVIL, answer=EVIL, notes=[EVIL], spent={EVIL: EVIL}, kind=EVIL)
    page = show(made(row, row | {"chosen": EVIL}), "#/trees")
    assert EVIL in page.locator("main").inner_text()
    for k in range(6):
        page.goto(page.url.split("#")[0] + f"#/tree/f0-{k % 2}/{k}")
        page.wait_for_selector('[role="treeitem"]')
        page.locator("details").evaluate_all("all => all.forEach(one => { one.open = true; })")
        page.wait_for_timeout(60)
        assert EVIL in page.locator(".panel").inner_text() or k == 5
    assert page.evaluate("document.querySelectorAll('#app img, iframe, [onerror], [onclick]').length") == 0
    assert page.evaluate("window.ran") is None and page.evaluate("({}).polluted") is None


def test_the_runs_of_a_task_that_share_steps_lead_to_their_pages(show, made):  # noqa: F811
    runs = [run("p", k, float(k), [step("look"), step("take")]) for k in range(2)]
    parts = made(small(), runs=runs)
    nodes = parts["/api/tree/f0-0"]["nodes"]
    parts["/api/tree/g0"] = parts["/api/tree/f0-0"] | {"id": "g0", "kind": "rollouts", "facts": {"gid": 0}}
    parts["/api/tree/g0"]["nodes"] = [n | ({"run": 1} if n["ended"] else {}) for n in nodes]
    page = show(parts, "#/tree/g0/2")
    assert page.get_by_role("link", name="The runs of this task").get_attribute("href") == "#/group/0"
    assert "succeeded" in page.get_by_role("treeitem", name="Answer: 7").inner_text()
    page.get_by_role("link", name="Read this run").click()
    page.wait_for_selector("#verdict")
    assert page.evaluate("location.hash") == "#/run/p/1"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_contrast(show, made, scheme):  # noqa: F811
    page = show(made(small(), small(kind="label")), "#/trees", scheme=scheme)
    for screen in ("#/trees", "#/tree/f0-0", "#/tree/f0-0/6", "#/tree/f0-1?q=guess"):
        page.goto(page.url.split("#")[0] + screen)
        page.wait_for_timeout(120)
        assert page.evaluate(CONTRAST) == [], screen


def test_on_a_phone_nothing_is_wider_and_the_node_opens_over_the_outline(show, made):  # noqa: F811
    long = small(prompt="p" * 400, system="s" * 90, answer="a" * 400)
    long["nodes"] = [n | {"text": "w" * 600, "facts": {"f" * 80: "v" * 300}} for n in long["nodes"]]
    long["nodes"] += [node(f"n{k}", f"n{k - 1}" if k else 3, f"deep {k}") for k in range(60)]
    page = show(made(long, small()), "#/trees", viewport=(390, 844))
    for screen in ("#/trees", "#/tree/f0-0", "#/tree/f0-0/3", "#/tree/f0-0/60"):
        page.goto(page.url.split("#")[0] + screen)
        page.wait_for_timeout(120)
        assert page.evaluate(WIDE) == [390, []], screen
    page.goto(page.url.split("#")[0] + "#/tree/f0-1")
    page.wait_for_selector('[role="treeitem"]')
    panel = page.locator(".panel")
    assert not panel.is_visible()
    page.get_by_role("treeitem", name="Answer: 8").click()
    assert panel.is_visible() and "too high" in panel.inner_text()
    page.get_by_label("Close", exact=True).click()
    assert not panel.is_visible()
