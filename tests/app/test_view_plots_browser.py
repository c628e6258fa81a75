"""The screens of training and of boards in a real browser."""

import re

import pytest
from test_view_browser import browser, failing, show, until  # noqa: F401
from view_site import site

HOSTILE = "<b>bold</b> \u202e" + "very long name " * 20
VERSIONS = [0, 10, 20, 30]


def line(values, name="", **more):
    return {"name": name, "at": VERSIONS, "values": values, "low": None, "high": None} | more


def metric(name, *series, part="outcomes", unit="share", source="runs"):
    return {
        "name": name,
        "title": name.title(),
        "unit": unit,
        "doc": f"about {name}",
        "part": part,
        "source": source,
        "series": list(series),
    }


def histogram(method, counts):
    return {
        "method": method,
        "at": VERSIONS,
        "edges": [-1.5, -0.5, 0.5, 1.5],
        "counts": counts,
        "levels": [0.05, 0.25, 0.5, 0.75, 0.95],
        "quantiles": [[-1, -0.5, 0, 0.5, 1]] * 3 + [[None] * 5],
    }


def training(**more):
    success = line([0.1, 0.25, None, 0.75], low=[0, 0.1, None, 0.6], high=[0.3, 0.5, None, 0.9], n=[8, 8, 0, 8])
    both = line([0.5, 0.5, 0.25, 0], "gigpo"), line([0.75, 0.75, 0.5, 0.25], HOSTILE)
    return {
        "checkpoints": VERSIONS,
        "axis": "policy version",
        "methods": ["gigpo", HOSTILE],
        "metrics": [
            metric("success", success),
            metric("zero", *both, part="methods"),
            metric("unjudged", line([0, 0, 0, 0], "gigpo"), line([0.5, 0, 0, 0], HOSTILE), part="methods"),
            metric(
                "eval", line([1.0, 2.0, 3.0, 4.0], "a"), line([2.0, 2.0, 2.0, 2.0], "b"), unit="", source="training"
            ),
            metric("kl", line([1e-9, 2e-9, 1e9, None], "a"), part="training", unit="", source="training"),
        ],
        "histograms": [
            histogram("gigpo", [[1, 2, 3], [3, 2, 1], [0, 4, 0], [0, 0, 0]]),
            histogram(HOSTILE, [[9, 0, 0]] * 4),
        ],
        "notes": ["a note"],
    } | more


def row(name, value, low=None, high=None, baseline=False):
    return {"name": name, "value": value, "low": low, "high": high, "baseline": baseline}


def board(figure, rows, better="higher", **more):
    return {
        "title": "diagnose, logs",
        "suite": "diagnose",
        "where": "logs",
        "figure": figure,
        "metric": figure,
        "doc": f"about {figure}",
        "better": better,
        "chance": 0.5,
        "interval": "90%",
        "source": "a.json",
        "date": "2026-01-01",
        "version": "1",
        "rows": rows,
    } | more


def boards():
    rows = [row("grpo", 0.7, 0.4, 0.9), row("salt", 0.8, 0.3, 0.9), row("random", 0.5, 0.45, 0.55, True)]
    rows.append(row(HOSTILE, 0.2))
    other = board("calls", [row("grpo", 10), row("salt", 5)], "lower", where="worlds", chance=None, interval="")
    return {"boards": [board("exact", rows), board("near", rows[:2]), other], "notes": []}


def parts(dynamics=None, bench=None):
    made = site(failing(), pages={"dynamics": dynamics is not None, "bench": bench is not None})
    return made | {"/api/dynamics": dynamics or {}, "/api/bench": bench or {}}


def fits(page):
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.parametrize(("viewport", "scheme"), [((1440, 900), "light"), ((390, 844), "dark")])
def test_training_draws_every_part_and_fits(show, viewport, scheme):  # noqa: F811
    page = show(parts(training()), "#/dynamics", viewport=viewport, scheme=scheme)
    assert page.locator("h2").all_inner_texts() == ["Outcomes", "Credit by gigpo"]
    assert page.locator(".plot h3").all_inner_texts() == ["Success", "Eval", "How credit is spread", "Zero", "Unjudged"]
    assert "4 policy versions, 0 to 30; 4 logged steps" in page.locator(".page-head").inner_text()
    assert page.get_by_text("every step is judged").is_visible()
    assert page.locator(".notice").inner_text() == "a note"
    fits(page)
    success = page.locator(".plot", has_text="about success")
    assert success.locator(".plot-point").count() == 3  # what is not known is no point, and breaks the line
    assert success.locator(".plot-line > path:not(.band)").first.get_attribute("d").count("M") == 2
    assert page.locator(".plot.wide .ridge rect.lost").count() == 2
    name = success.locator("svg[role=group]").get_attribute("aria-label")
    assert "policy version 30: 75%, 60% to 90%" in name


def test_lines_differ_by_dash_and_marker_and_their_points_are_walked_by_arrow_keys(show):  # noqa: F811
    page = show(parts(training()), "#/dynamics")
    plot = page.locator(".plot", has_text="about eval")
    dashes = plot.locator(".plot-box g.plot-line[aria-hidden] > path:last-child").evaluate_all(
        "all => all.map(p => p.getAttribute('stroke-dasharray'))"
    )
    assert len(set(dashes)) == 2
    assert plot.locator(".plot-point circle:not(.aim)").count() == 4
    assert plot.locator(".plot-point rect:not(.aim)").count() == 4
    assert sorted(t.strip() for t in plot.locator(".plot-end, .plot-key").all_text_contents()) == ["a", "b"]
    points = plot.locator(".plot-point")
    assert [p for p in points.evaluate_all("all => all.map(p => p.getAttribute('tabindex'))") if p == "0"] == ["0"]
    points.first.focus()
    page.keyboard.press("ArrowRight")
    here = "document.activeElement.getAttribute('aria-label')"
    assert page.evaluate(here) == "a, step 10: 2"
    page.keyboard.press("ArrowDown")
    assert page.evaluate(here).startswith("b, step 10: 2")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowLeft")
    assert page.evaluate(here) == "a, step 0: 1"
    assert page.locator(".tip").inner_text() == "a, step 0: 1"


def test_numbers_of_a_chart_are_a_table_and_another_method_can_be_chosen(show):  # noqa: F811
    page = show(parts(training()), "#/dynamics")
    success = page.locator(".plot", has_text="about success")
    assert success.locator("table").count() == 0
    success.locator("summary").click()
    cells = success.locator("tbody tr").all_inner_texts()
    assert [re.split(r"\s+", c.strip(), maxsplit=2) for c in cells][1] == ["10", "25%", "10% to 50%"]
    assert "–" in cells[2]
    page.get_by_label("Credit by").select_option(HOSTILE)
    until(page, "document.querySelector('h2 .isolate').textContent.startsWith('<b>bold')")
    assert page.locator("main b b, main h2 b").count() == 0
    page.get_by_role("button", name="Other methods").click()
    until(page, "document.querySelectorAll('.plot-ghosts path').length === 2")
    assert "others=1" in page.evaluate("location.hash")


def test_the_rest_of_a_log_is_drawn_when_it_is_opened(show):  # noqa: F811
    page = show(parts(training()), "#/dynamics")
    assert page.get_by_text("about kl", exact=True).count() == 0
    page.locator(".plot-rest > summary").click()
    assert page.get_by_text("about kl", exact=True).is_visible()
    page.locator(".plot-rest input").fill("nothing like it")
    until(page, "!document.querySelector('.plot-rest .plot')")


def test_one_checkpoint_and_none_at_all(show):  # noqa: F811
    single = {"name": "", "at": [5], "values": [0.5], "low": [0.25], "high": [0.75], "n": [8]}
    one = training(checkpoints=[5], metrics=[metric("success", single)], histograms=[], methods=[], notes=[])
    page = show(parts(one), "#/dynamics")
    assert "1 policy version, 5. More than one makes a course." in page.locator(".page-head").inner_text()
    assert page.locator(".plot-point .whisker").count() == 1
    page = show(parts({"checkpoints": []}), "#/dynamics")
    assert page.locator("h1").inner_text() == "No training to show"


def names(page):
    return [t[:8] for t in page.locator(".pdots tbody .clip").all_inner_texts()]


@pytest.mark.parametrize(("viewport", "scheme"), [((1440, 900), "dark"), ((390, 844), "light")])
def test_boards_show_rows_best_first_with_baselines_marked(show, viewport, scheme):  # noqa: F811
    page = show(parts(bench=boards()), "#/bench", viewport=viewport, scheme=scheme)
    assert page.locator("h1").inner_text() == "About exact"
    assert "Higher is better. Bars: 90% intervals." in page.locator(".page-head").inner_text()
    assert names(page) == ["salt", "grpo", "random", "<b>bold<"]
    assert page.locator("tr.baseline .badge").inner_text().strip().endswith("baseline")
    assert page.locator("tr.baseline .hollow").count() == 1
    assert page.locator("tbody .range").count() == 3
    labels = page.locator("td[data-s]").evaluate_all("all => all.map(c => c.getAttribute('aria-label'))")
    assert labels[1:3] == ["grpo: 0.700, 0.400 to 0.900", "random: 0.500, 0.450 to 0.550, baseline"]
    fits(page)


def test_boards_are_filtered_sorted_and_walked_and_baselines_always_stay(show):  # noqa: F811
    page = show(parts(bench=boards()), "#/bench")
    page.get_by_label("Order").select_option("sure")
    until(page, "document.querySelector('.pdots tbody .clip').textContent === 'random'")
    assert names(page)[:3] == ["random", "grpo", "salt"]
    page.get_by_label("Names with").fill("GRPO")
    until(page, "document.querySelectorAll('.pdots tbody tr').length === 2")
    assert names(page) == ["random", "grpo"]
    page.locator("td[data-s='0']").focus()
    page.keyboard.press("ArrowDown")
    assert page.evaluate("document.activeElement.dataset.s") == "1"
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowUp")
    assert page.evaluate("document.activeElement.dataset.s") == "0"
    assert page.locator(".boards-count").inner_text() == "1 method of 3, 1 baseline, which always stay"
    page.get_by_label("Names with").fill("")
    page.get_by_label("Measured on").select_option("1")
    until(page, "document.querySelector('h1').textContent === 'About calls'")
    page.get_by_label("Order").select_option("")
    until(page, "document.querySelector('.pdots tbody .clip').textContent === 'salt'")
    assert "Lower is better. No intervals are told." in page.locator(".page-head").inner_text()
    assert page.locator(".pdots-interval").count() == 0


def test_no_boards_are_said(show):  # noqa: F811
    page = show(parts(bench={"boards": [], "notes": ["bad.json: cannot be read as JSON"]}), "#/bench")
    assert page.locator("h1").inner_text() == "No boards to show"
    assert page.get_by_text("bad.json").is_visible()


CONTRAST = """
(selectors) => {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgb = (color) => {
    canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = color; canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const light = ([r, g, b]) => [r, g, b].map((v) => v / 255)
    .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const below = (node) => {
    for (let at = node; at; at = at.parentElement) {
      const c = rgb(getComputedStyle(at).backgroundColor);
      if (c[3] === 255) return c;
    }
    return [255, 255, 255];
  };
  const out = [];
  for (const [selector, property, least] of selectors)
    for (const node of document.querySelectorAll(selector)) {
      const a = light(rgb(getComputedStyle(node)[property])), b = light(below(node));
      const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
      if (ratio < least) out.push(`${selector} ${property} ${ratio.toFixed(2)}`);
    }
  return [...new Set(out)];
}
"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_words_and_marks_of_charts_have_contrast(show, scheme):  # noqa: F811
    data = training()
    many = [line([k, k + 1.0, k + 2.0, k + 3.0], f"run {k}") for k in range(8)]
    data["metrics"].append(metric("many", *many, unit="", source="training"))
    page = show(parts(data, boards()), "#/dynamics", scheme=scheme)
    assert page.locator(".plot", has_text="about many").locator(".plot-key, .plot-end").count() == 8
    marks = [
        (".plot-grid text", "fill", 4.5),
        ("g.plot-line[aria-hidden] > path:not(.band)", "stroke", 3),
        (".plot-end", "fill", 4.5),
        (".plot-key[data-s]", "color", 4.5),
        (".ridge rect:not(.aim)", "fill", 3),
        (".ridge text", "fill", 4.5),
    ]
    assert page.evaluate(CONTRAST, marks) == []
    page.evaluate("location.hash = '#/bench'")
    page.wait_for_selector(".pdots")
    marks = [
        (".dot:not(.hollow)", "fill", 3),
        (".hollow", "stroke", 3),
        (".range", "stroke", 3),
        (".pdots th", "color", 4.5),
    ]
    assert page.evaluate(CONTRAST, marks) == []
