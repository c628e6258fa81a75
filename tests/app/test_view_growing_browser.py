"""A page whose files change, and whose searches are given up, in a real browser."""

import json
import threading

from test_view_browser import browser, show, until  # noqa: F401
from test_view_growing import _at_once, asking, opened, row  # noqa: F401
from view_kit import full, save, serving, some

from stepcredit.app.view.answers import Head
from stepcredit.app.view.looking import Looking
from stepcredit.app.view.memory import Memory
from stepcredit.app.view.rows import part
from stepcredit.data import Batch


def test_new_traces_are_told_and_read_where_the_page_stands(tmp_path, asking, show):  # noqa: F811
    folder = tmp_path / "traces"
    folder.mkdir()
    save(folder / "b.jsonl", some()[:3])
    ask = asking(folder)
    page = show({}, "#/run/p/bad", base=f"{ask.url}/")
    assert page.locator(".news").count() == 0
    save(folder / "a.jsonl", [full("new", 0, 0.0, "look")])
    page.wait_for_selector(".news")
    assert "1 file is new since these runs were read" in page.locator(".news").inner_text()
    page.get_by_role("button", name="Read again").click()
    until(page, "SC.store.runs.n === 4")
    page.wait_for_selector(".news", state="detached")
    assert "#/run/p/bad" in page.url and page.locator("h1").inner_text() == "Do p."
    page.wait_for_selector("text=about drop")
    page.keyboard.press("e")
    until(page, "SC.store.saving?.state === 'saved'")
    (mark,) = ask.look.marks.all()
    assert (mark.group, mark.rollout) == ("p", "bad"), "the ids of runs are others now"


def test_trees_that_are_added_appear(tmp_path, show):  # noqa: F811
    path = tmp_path / "trees.jsonl"
    path.write_text(row(1))
    with serving(Looking(Memory([], Head()), None, {"trees": [path]})) as ask:
        page = show({}, "#/trees", base=f"{ask.url}/")
        until(page, "document.querySelectorAll('.tree-line').length === 1")
        until(page, "Boolean(SC.store.news)")
        with path.open("a") as file:
            file.write(row(2))
        until(page, "document.querySelectorAll('.tree-line').length === 2")


class Slow(Memory):
    """Searches for "slow" until it is stopped."""

    def __init__(self):
        super().__init__([part(Batch.from_records(some()), [], names=[])], Head())
        self.began, self.ended = threading.Event(), threading.Event()

    def find(self, words, limit, stop=None):
        if words != "slow":
            return super().find(words, limit, stop)
        self.began.set()
        try:
            while True:
                stop.look()
                self.ended.wait(0.01)
        finally:
            self.ended.set()


def test_a_search_that_runs_is_given_up_when_other_words_are_typed(show):  # noqa: F811
    slow = Slow()
    with serving(Looking(slow)) as ask:
        page = show({}, "#/runs", base=f"{ask.url}/")
        box = page.get_by_placeholder("Search tasks and contents")
        box.fill("slow")
        assert slow.began.wait(30) and not slow.ended.is_set()
        box.fill("about drop")
        page.wait_for_selector(".hit mark")
        assert slow.ended.wait(30), "the server works on for nobody"
        assert (
            page.locator(".vitem").count() == 1 and json.loads(page.evaluate("JSON.stringify(SC.store.error)")) is None
        )
