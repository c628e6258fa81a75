"""A page is read once it has come to rest: without it a test on a busy machine reads what is about to change.

At rest is a page that asks its server for nothing, has no timer that is due within a second, and has not changed over
two frames. Playwright waits for elements to be there, not for what they say; every reading that it does at once waits
here first. `until` in test_view_browser looks at pages that are not at rest.
"""

import functools
from contextlib import contextmanager

import pytest

READS = (
    "all",
    "all_inner_texts",
    "all_text_contents",
    "bounding_box",
    "count",
    "evaluate",
    "evaluate_all",
    "get_attribute",
    "inner_text",
    "input_value",
    "is_checked",
    "is_disabled",
    "is_enabled",
    "is_hidden",
    "is_visible",
    "text_content",
)

COUNT = """
(() => {
  const timers = new Set(), { fetch, setTimeout, clearTimeout } = window;
  const work = window.__work = { asked: 0, timers };
  window.fetch = (...all) => {
    work.asked += 1;
    return fetch(...all).finally(() => { work.asked -= 1; });
  };
  window.setTimeout = (call, wait, ...all) => {
    const id = setTimeout((...given) => { timers.delete(id); call(...given); }, wait, ...all);
    if ((wait ?? 0) <= 1000) timers.add(id);
    return id;
  };
  window.clearTimeout = (id) => { timers.delete(id); clearTimeout(id); };
})();
"""

REST = """
async () => {
  const frame = () => new Promise((done) => requestAnimationFrame(done));
  let changed = true;
  const watch = new MutationObserver(() => { changed = true; });
  watch.observe(document, { subtree: true, childList: true, attributes: true, characterData: true });
  for (const end = performance.now() + 5000; changed && performance.now() < end;) {
    changed = false;
    await frame(); await frame();
    changed ||= watch.takeRecords().length > 0 || window.__work?.asked > 0 || window.__work?.timers.size > 0;
  }
  watch.disconnect();
}
"""


@contextmanager
def settled_reads():
    """Makes every reading of a page wait until it is at rest."""
    from playwright.sync_api import Locator

    with pytest.MonkeyPatch.context() as patch:
        for name in READS:
            patch.setattr(Locator, name, _after(getattr(Locator, name)))
        yield


def _after(read):
    @functools.wraps(read)
    def settled(locator, *args, **kwargs):
        settle(locator.page)
        return read(locator, *args, **kwargs)

    return settled


def settle(page):
    page.look(REST)


def prepare(page):
    """Counts what a page has under way; `page.look` evaluates at once, `page.evaluate` when the page is at rest."""
    page.add_init_script(COUNT)
    page.look = page.evaluate

    def evaluate(*args, **kwargs):
        settle(page)
        return page.look(*args, **kwargs)

    page.evaluate = evaluate
