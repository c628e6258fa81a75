(() => {
  "use strict";

  /* The screen of all runs: filters, search and order (all kept in the address), as a table or by task (strips.js). */

  const { html, fmt, given, say, useMemo, useRef } = SC;

  /** Where the worst step stands in its run. */
  const Place = ({ at, of }) =>
    html`<span class="place" aria-hidden="true"><i style=${{ left: `${of > 1 ? (100 * at) / (of - 1) : 50}%` }}></i>
      </span>`;
  const Hit = ({ hit }) =>
    html`<span class="hit lines2"><small>${given(hit.step) ? "step " : "task"}${given(hit.step) ? hit.step : ""}
      </small> ${say(hit.snippet[0])}<mark>${say(hit.snippet[1])}</mark>${say(hit.snippet[2])}</span>`;

  /** What a number counts, where no head of a column says it. */
  const unit = (narrow, n, word) => (narrow && given(n) ? ` ${fmt.plural(n, word).split(" ").at(-1)}` : "");
  const COLUMN = { time: "seconds", worst: null, run: null, outcome: null };
  /** Whether a row has nothing to say in a column: with no head above, a dash says nothing. */
  const blank = (c, runs, i) =>
    c.name === "marks"
      ? !(SC.markCounts().get(String(runs.ids[i])) ?? runs.at("marks", i))
      : c.name === "lint"
        ? !runs.at("lint", i)
        : c.num && !given(runs.at(COLUMN[c.name] ?? c.name, i));
  const WORDS = {
    run: ["A to Z", "Z to A"],
    outcome: ["failed first", "succeeded first"],
    worst: ["least clear first", "clearest first"],
    time: ["shortest first", "longest first"],
  };
  /** Orders in words: [[sort, words], …]. */
  const orders = (columns) =>
    columns.flatMap((c) => {
      const [up, down] = WORDS[c.name] ?? ["fewest first", "most first"],
        both = [
          [c.name, `${c.title}, ${c.name === "cost" ? "lowest first" : up}`],
          [`-${c.name}`, `${c.title}, ${c.name === "cost" ? "highest first" : down}`],
        ];
      return c.num || c.name === "worst" ? both.reverse() : both;
    });

  const known = (runs, name) => (runs.columns[name] ?? []).some((v) => given(v) && v !== 0);
  function columnsOf(runs, state, narrow) {
    const at = (name, i) => runs.at(name, i);
    return [
      { name: "outcome", title: "Outcome", draw: (i) => html`<${SC.Outcome} value=${at("outcome", i)} />` },
      {
        name: "run",
        title: "Run",
        draw: (i, hit) => html`<span class="run-name"><a class="plain clip" href=${SC.runHash(runs.ids[i], hit?.step)}>
          <b class="isolate">${say(at("task", i) ?? at("group", i)).slice(0, 300)}</b></a>
        <small class="clip isolate"><bdi>${say(at("group", i))}</bdi> / <bdi>${say(at("rollout", i))}</bdi>
          ${(at("agents", i) ?? []).length > 1 ? ` · ${at("agents", i).length} agents` : ""}
          ${given(at("model", i)) ? ` · ${say(at("model", i))}` : ""}</small>${hit && html`<${Hit} hit=${hit} />`}
          </span>`,
      },
      {
        name: "worst",
        title: "Worst step",
        shown: known(runs, "worst_by") || known(runs, "worst"),
        draw: (i) =>
          !given(at("worst", i))
            ? SC.outcome(at("outcome", i)) === "failed" && html`<span class="quiet">no step stands out</span>`
            : html`<span class=${`worst ${SC.outcome(at("outcome", i)) === "succeeded" ? "quietly" : ""}`}>
              <a class="plain" href=${SC.runHash(runs.ids[i], at("worst", i))}>step ${at("worst", i)}</a>
              <${Place} at=${at("worst", i)} of=${at("steps", i)} />
          <small class="clip">${say(SC.title(state, at("error", i)) ?? "") || `by ${SC.naming(at("worst_by", i))}`}
            </small></span>`,
      },
      {
        name: "steps",
        title: "Steps",
        num: true,
        draw: (i) => fmt.count(at("steps", i)) + unit(narrow, at("steps", i), "step"),
      },
      {
        name: "tokens",
        title: "Tokens",
        num: true,
        shown: known(runs, "tokens") && !known(runs, "cost"),
        draw: (i) => fmt.tokens(at("tokens", i)) + unit(narrow, at("tokens", i), "token"),
      },
      { name: "cost", title: "Cost", num: true, shown: known(runs, "cost"), draw: (i) => fmt.money(at("cost", i)) },
      {
        name: "time",
        title: "Time",
        num: true,
        shown: known(runs, "seconds"),
        draw: (i) => fmt.seconds(at("seconds", i)),
      },
      {
        name: "lint",
        title: "Lint",
        num: true,
        shown: known(runs, "lint"),
        draw: (i) =>
          at("lint", i)
            ? html`<${SC.Badge} kind="warn" mark="!">${at("lint", i)}<span class="hidden"> findings</span><//>`
            : "",
      },
      {
        name: "marks",
        title: "Marks",
        num: true,
        shown: known(runs, "marks") || SC.markCounts().size > 0,
        draw: (i) => {
          const n = SC.markCounts().get(String(runs.ids[i])) ?? at("marks", i);
          return n ? fmt.count(n) + unit(narrow, n, "mark") : "";
        },
      },
    ].filter((c) => c.shown !== false);
  }

  function Table({ runs, rows, query, hits, ready }) {
    const { state } = SC.useStore(),
      list = useRef(),
      columns = columnsOf(runs, state, SC.useMedia("(max-width: 920px)"));
    const widths = {
      outcome: "112px",
      run: "minmax(200px, 1fr)",
      worst: "minmax(180px, 260px)",
      steps: "64px",
      tokens: "74px",
      cost: "74px",
      time: "84px",
      lint: "60px",
      marks: "64px",
    };
    const style = { "--columns": columns.map((c) => widths[c.name]).join(" ") };
    const move = (by) => () => {
      const now = document.activeElement?.closest?.(".vitem"),
        at = now ? Number(now.dataset.i) + by : list.current.first();
      if (at < 0 || at >= rows.length) return;
      list.current.show(at);
      requestAnimationFrame(() =>
        requestAnimationFrame(() =>
          document.querySelector(`.runs-table .vitem[data-i="${at}"] a`)?.focus({ preventScroll: true }),
        ),
      );
    };
    SC.useKeys("Runs", [
      ["j ArrowDown", "next run", move(1)],
      ["k ArrowUp", "run before", move(-1)],
      ["Enter", "read the run", () => false],
    ]);
    const sorted = (name) => (query.sort === name ? "ascending" : query.sort === `-${name}` ? "descending" : "none");
    const turn = (c) =>
      SC.setQuery({
        sort: {
          none: c.num || c.name === "worst" ? `-${c.name}` : c.name,
          ascending: c.num || c.name === "worst" ? null : `-${c.name}`,
          descending: c.num || c.name === "worst" ? c.name : null,
        }[sorted(c.name)],
      });
    return html`<div class="runs-table" role="table" aria-label="Runs" aria-rowcount=${rows.length + 1} style=${style}>
      <div class="runs-head" role="rowgroup"><div class="runs-row" role="row" aria-rowindex="1">${columns.map(
        (c) => html`<span key=${c.name} role="columnheader" class=${c.num ? "num" : ""} aria-sort=${sorted(c.name)}>
        <button type="button" class="bare" onClick=${() => turn(c)}>${c.title}<span aria-hidden="true" class="arrow">
          ${{ none: "", ascending: "↑", descending: "↓" }[sorted(c.name)]}</span></button></span>`,
      )}</div></div>
      <${SC.VirtualList} role="rowgroup" count=${rows.length} estimate=${53} inset=${92} handle=${list} again=${rows} keeps=${ready && ((k) => runs.ids[rows[k]])}
        item=${(k) => {
          const i = rows[k],
            hit = hits?.get(i);
          return html`<div class="runs-row body" role="row" aria-rowindex=${k + 2}
          onClick=${(e) =>
            !e.target.closest("a") && !getSelection().toString() && SC.go(SC.runHash(runs.ids[i], hit?.step))}>
          ${columns.map(
            (c) => html`<span key=${c.name} role="cell" class=${`${c.num ? "num" : ""} c-${c.name} ${blank(c, runs, i) ? "none" : ""}`}>
            ${c.draw(i, hit)}</span>`,
          )}</div>`;
        }} /></div>`;
  }

  /** What was read, linted and compared, folded away. */
  function Summary({ state, notes }) {
    const lint = state.lint ?? [],
      rows = state.comparison ?? [],
      skipped = (state.methods ?? []).filter((m) => m.skipped),
      reasons = new Map();
    for (const m of skipped) {
      const name = say(m.name),
        why = say(m.skipped),
        bare = /^:? /.test(why.slice(name.length)) && why.startsWith(name) ? why.slice(name.length).replace(/^:? /, "") : why;
      reasons.set(bare, [...(reasons.get(bare) ?? []), name]);
    }
    const columns = [...new Set(rows.flatMap(Object.keys))],
      number = (k) => rows.every((row) => !given(row[k]) || typeof row[k] === "number");
    if (!notes.length && !lint.length && !rows.length && !skipped.length) return null;
    return html`<div class="notes">${
      notes.length > 0 &&
      html`<details><summary>
      ${fmt.plural(notes.length, "note")} on what was read</summary><ul>${notes.map((n) => html`<li>${say(n)}</li>`)}
      </ul></details>`
    }
      ${
        lint.length > 0 &&
        html`<details><summary>${fmt.plural(lint.length, "lint finding")} on all runs</summary><ul>
        ${lint.map(
          (f) => html`<li><b>${say(f.severity)}</b> ${say(f.message)} <code>${say(f.rule)}</code>
        ${f.why ? ` ${say(f.why)}` : ""}</li>`,
        )}</ul></details>`
      }
      ${
        rows.length > 0 &&
        html`<details><summary>${fmt.plural(rows.length, "method")} compared</summary>
          <div class="scroll" tabindex="0" role="region" aria-label="Methods compared"><table class="plain-table wide">
          <thead><tr>${columns.map(
            (k) => html`<th scope="col" class=${number(k) ? "num" : ""}>
          ${say(k).replaceAll("_", " ")}</th>`,
          )}</tr></thead>
        <tbody>${rows.map(
          (row) =>
            html`<tr>${columns.map((k, at) =>
              at
                ? html`<td class=${number(k) ? "num" : ""}>
          ${fmt.plain(row[k])}</td>`
                : html`<th scope="row">${fmt.plain(row[k])}</th>`,
            )}</tr>`,
        )}</tbody></table></div>
          </details>`
      }
      ${
        skipped.length > 0 &&
        html`<details><summary>${fmt.plural(skipped.length, "method")} not run</summary><ul>
        ${[...reasons].map(([why, names]) => html`<li><b>${names.join(", ")}</b>: ${why}</li>`)}</ul></details>`
      }</div>`;
  }

  function Runs({ query }) {
    const { state, runs, marks } = SC.useStore();
    const found = SC.useSearch(query.q, runs);
    const hits = found.q === query.q ? found.hits : null;
    const ready = (query.q ?? "").length < 2 || found.q === query.q; // among rows that are still sought, none is looked for
    const key = JSON.stringify({ ...query, view: null });
    const rows = useMemo(
      () => (runs ? SC.sortRuns(runs, SC.filterRuns(runs, query, hits), query.sort) : []),
      [runs, key, hits, query.marks && marks],
    );
    SC.visible = rows;
    SC.useKeys("Runs", [
      ["v", "table, or side by side by task", () => SC.setQuery({ view: query.view === "tasks" ? null : "tasks" })],
    ]);
    if (!runs) return html`<${SC.Loading} what="the runs" />`;
    if (!runs.n)
      return state.reading?.done === false
        ? html`<${SC.Loading} what=${say(state.reading.what || "the files")} />`
        : html`<${SC.Blank}
          title="No runs">The files that were named hold no run that could be read. <code>stepcredit view FOLDER</code> shows another folder.<//>`;
    const secrets = Object.values(state.redacted ?? {}).reduce((a, b) => a + (Number(b) || 0), 0);
    const { counts } = state,
      notes = [state.left_out, ...(state.notes ?? [])].filter(given);
    const tasks = counts?.groups ?? 0;
    return html`<div class="page runs"><div class="page-head"><div><h1 class="isolate">${say(state.title) || "Runs"}
      </h1>
        <p class="isolate">${[
          say(state.source ?? ""),
          fmt.plural(runs.n, "run"),
          tasks && fmt.plural(tasks, "task"),
          given(counts?.steps) && fmt.plural(counts.steps, "step"),
        ]
          .filter(Boolean)
          .join(" · ")}
          ${secrets > 0 ? ` · ${fmt.plural(secrets, "secret")} taken out` : ""}${
            state.reading?.done === false ? ` · reading ${say(state.reading.what)} …` : ""
          }</p></div>
        <${SC.Segments} label="View" options=${[
          ["", "Table"],
          ["tasks", "Side by side"],
        ]} value=${query.view ?? ""} onChange=${(v) => SC.setQuery({ view: v || null })} /></div>
      <${Summary} state=${state} notes=${notes} />
      ${
        !(runs.columns.outcome ?? []).some(given) &&
        html`<p class="notice">No run says whether it succeeded, so that there is nothing to compare. Where a field does:
          <code>--map outcome=FIELD</code></p>`
      }
      <${SC.Filters} runs=${runs} query=${query} found=${found} rows=${rows} orders=${orders(columnsOf(runs, state))} />
      ${
        !rows.length && found.error && !found.busy
          ? html`<${SC.Failure} error=${found.error} retry=${found.retry} />`
          : !rows.length && !found.busy
            ? html`<${SC.Blank} inner=${true} title="Nothing matches" action=${html`<button type="button"
            onClick=${() => SC.setQuery(Object.fromEntries(SC.filtersOf(query).map((k) => [k, null])))}>Clear all filters</button>`}>No run fits these filters. Clear one of them, or search for other words.<//>`
          : query.view === "tasks"
            ? html`<${SC.Strips} runs=${runs} rows=${rows} query=${query} ready=${ready} />`
            : html`<${Table} runs=${runs} rows=${rows} query=${query} hits=${hits} ready=${ready} />`
      }</div>`;
  }
  SC.screens.set("runs", {
    nav: "Runs",
    title: () => "Runs",
    component: Runs,
    shown: (state) => state.pages?.runs !== false,
  });
})();
