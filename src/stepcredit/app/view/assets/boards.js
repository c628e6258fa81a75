(() => {
  "use strict";

  /* The screen of benchmarks: a figure of a suite, the methods beside baselines. #/bench?at=…&figure=…&q=…&sort=… */

  const { html, fmt, given, say, useMemo } = SC;
  const { Dots } = SC.Plots;

  const SORTS = [
    ["", "best first"],
    ["sure", "surest first"],
    ["name", "by name"],
  ];
  const upper = (text) => text.slice(0, 1).toUpperCase() + text.slice(1);
  const placeOf = (b) => [b.source ?? "", b.suite ?? "", b.where ?? (given(b.suite) ? "" : b.title)].join("\n");

  /** What a figure is, in the board's own words: a doc that goes on from the name of the figure is told with it. */
  const titleOf = (b) =>
    upper(!b.doc ? b.metric : /^(?:of|by|with|to|over|between|per|in|at|from)\b/.test(b.doc) ? `${b.metric} ${b.doc}` : b.doc);
  /** Rows in the order asked for; "surest": by the end of the interval that speaks against the row. */
  function sorted(board, sort) {
    const sign = board.better === "lower" ? 1 : -1,
      worst = (r) => (board.better === "lower" ? (r.high ?? r.value) : (r.low ?? r.value));
    const by = {
      "": (a, b) => sign * (a.value - b.value),
      sure: (a, b) => sign * (worst(a) - worst(b)),
      name: (a, b) => String(a.name).localeCompare(String(b.name), "en"),
    };
    return [...board.rows].sort(by[sort] ?? by[""]);
  }

  function Bench({ query }) {
    const { data, error, retry } = SC.useApi("/api/bench");
    const places = useMemo(() => {
      const out = new Map();
      for (const b of data?.boards ?? []) out.set(placeOf(b), [...(out.get(placeOf(b)) ?? []), b]);
      return [...out.values()];
    }, [data]);
    if (error) return html`<${SC.Failure} error=${error} retry=${retry} />`;
    if (!data) return html`<${SC.Loading} what="the boards" />`;
    if (!places.length)
      return html`<${SC.Blank} title="No boards to show">Give what <code>stepcredit bench SUITE --json</code> printed.${" "}
        ${(data.notes ?? []).map(say).join(" ")}<//>`;
    const at = given(query.at)
      ? Math.min(Math.max(0, Number.parseInt(query.at, 10) || 0), places.length - 1)
      : Math.max(
          0,
          places.findIndex((p) => p.some((b) => b.interval)),
        );
    const place = places[at],
      board = place.find((b) => (b.figure ?? b.metric) === query.figure) ?? place[0],
      words = (query.q ?? "").toLowerCase(),
      sort = SORTS.some(([s]) => s === query.sort) ? query.sort : "";
    const rows = sorted(board, sort).filter((r) => r.baseline || String(r.name).toLowerCase().includes(words)),
      methods = rows.filter((r) => !r.baseline).length;
    const several = new Set(places.map((p) => p[0].source)).size > 1;
    const name = ([b]) => [b.suite, b.where].filter(Boolean).join(" · ") || b.title,
      part = (query.on ?? "").toLowerCase(),
      fits = (p) => `${p[0].source} ${name(p)}`.toLowerCase().includes(part),
      listed = places.map((p, i) => [i, p]).filter(([i, p]) => i === at || fits(p)),
      hits = places.filter(fits).length;
    const options = (some) => some.map(([i, p]) => html`<option key=${i} value=${String(i)}>${say(name(p))}</option>`);
    const files = [...new Set(listed.map(([, p]) => p[0].source ?? ""))];
    return html`<div class="page boards"><header class="page-head"><div><h1 class="isolate">${say(titleOf(board))}</h1>
      <p>${[
        `${say(upper([board.suite, board.where].filter(Boolean).join(", ")))}.`,
        `${board.better === "lower" ? "Lower" : "Higher"} is better.`,
        board.interval ? `Bars: ${say(board.interval)}${/^\d+%$/.test(board.interval) ? " intervals" : ""}.` : "No intervals are told.",
      ]
        .filter(Boolean)
        .join(" ")}</p></div></header>
      <div class="plot-tools"><label class="field"><span aria-hidden="true">Measured on</span>
        <select aria-label="Measured on" value=${String(at)} onChange=${(e) => SC.setQuery({ at: e.target.value })}>${
          several
            ? files.map(
                (f) => html`<optgroup key=${f} label=${say(f)}>
                ${options(listed.filter(([, p]) => (p[0].source ?? "") === f))}</optgroup>`,
              )
            : options(listed)
        }</select></label>
        ${
          places.length > 8 &&
          html`<label class="field"><span role="status">Boards with${
            part && `: ${fmt.count(hits)} of ${fmt.count(places.length)}`
          }</span><input type="search" aria-label="Boards with" value=${query.on ?? ""}
          onInput=${(e) => SC.setQuery({ on: e.target.value || null })} /></label>`
        }
        <${SC.Select} label="Figure" options=${place.map((b) => [b.figure ?? b.metric, b.metric])}
        value=${board.figure ?? board.metric} onChange=${(v) => SC.setQuery({ figure: v })} />
        <${SC.Select} label="Order" options=${SORTS} value=${sort} onChange=${(v) => SC.setQuery({ sort: v || null })} />
        <label class="field">Names with<input type="search" value=${query.q ?? ""}
          onInput=${(e) => SC.setQuery({ q: e.target.value || null })} /></label></div>
      <p class="boards-count quiet" role="status">${fmt.plural(methods, "method")}${
        words && ` of ${fmt.count(board.rows.filter((r) => !r.baseline).length)}`
      }, ${fmt.plural(rows.length - methods, "baseline")}${words && rows.length > methods ? ", which always stay" : ""}</p>
      ${(data.notes ?? []).map((n) => html`<p class="notice">${say(n)}</p>`)}
      <${Dots} rows=${rows} chance=${board.chance} interval=${board.interval} label=${`${board.title}: ${board.metric}`} />
      <p class="boards-from quiet">${[
        board.source && `From ${say(board.source)}`,
        board.date && `measured on ${say(board.date)}`,
        board.version && `stepcredit ${say(board.version)}`,
      ]
        .filter(Boolean)
        .join(", ")}</p></div>`;
  }

  SC.screens.set("bench", {
    component: Bench,
    title: () => "Benchmarks",
    nav: "Benchmarks",
    shown: (state) => Boolean(state.pages?.bench),
  });
})();
