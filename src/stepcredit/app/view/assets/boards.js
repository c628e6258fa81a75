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
    const name = ([b]) => [several && b.source, b.suite, b.where].filter(Boolean).join(" · ") || b.title;
    return html`<div class="page boards"><header class="page-head"><div><h1 class="isolate">${say(upper(board.metric))}</h1>
      <p>${[
        `${say(upper([board.suite, board.where].filter(Boolean).join(", ")))}${board.doc ? ":" : "."}`,
        board.doc && `${say(board.doc)}.`,
        `${board.better === "lower" ? "Lower" : "Higher"} is better.`,
        board.interval ? `Bars: ${say(board.interval)}${/^\d+%$/.test(board.interval) ? " intervals" : ""}.` : "No intervals are told.",
      ]
        .filter(Boolean)
        .join(" ")}</p></div></header>
      <div class="plot-tools"><${SC.Select} label="Measured on" options=${places.map((p, i) => [String(i), name(p)])}
        value=${String(at)} onChange=${(v) => SC.setQuery({ at: v })} />
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
