(() => {
  "use strict";

  /* Which runs are shown, and in which order: the address says it.

     SC.filterRuns(runs, query, hits) -> rows   SC.sortRuns(runs, rows, sort) -> rows   SC.tally(values) -> [[name, count], …]
     SC.useSearch(q, runs)   SC.filtersOf(query) -> names of those that are set   Filters {runs, query, found, rows, orders: [[sort, words], …]} */

  const { html, fmt, given, say, useState, useEffect, useMemo, useRef } = SC;

  const OUTCOMES = [
    ["", "All"],
    ["failed", "Failed"],
    ["succeeded", "Succeeded"],
    ["unknown", "Unknown"],
  ];
  const YESNO = {
    lint: (i, c) => (c.lint?.[i] ?? 0) > 0,
    marks: (i, c) => (SC.markCounts().get(String(c.id[i])) ?? c.marks?.[i] ?? 0) > 0,
  };

  /** The rows that a query asks for, unordered. hits: Map of row -> found words, or null. */
  SC.filterRuns = (runs, query, hits) => {
    const c = runs.columns,
      rows = [];
    const has = (name, i, want) => (c[name]?.[i] ?? []).some((x) => String(x) === want);
    const words = (query.q ?? "").toLowerCase();
    for (let i = 0; i < runs.n; i++) {
      if (query.outcome && SC.outcome(runs.at("outcome", i)) !== query.outcome) continue;
      if (query.task && String(runs.at("gid", i)) !== query.task) continue;
      if (query.agent && !has("agents", i, query.agent)) continue;
      if (query.tool && !has("tools", i, query.tool)) continue;
      if (query.error && String(runs.at("error", i) ?? "") !== query.error) continue;
      if (query.lint && YESNO.lint(i, c) !== (query.lint === "yes")) continue;
      if (query.marks && YESNO.marks(i, c) !== (query.marks === "yes")) continue;
      if (
        words &&
        !hits?.has(i) &&
        ![runs.at("task", i), runs.at("group", i), runs.at("rollout", i)].some(
          (t) => given(t) && String(t).toLowerCase().includes(words),
        )
      )
        continue;
      rows.push(i);
    }
    return rows;
  };
  const words = new Intl.Collator("en", { numeric: true });
  const ORDERS = {
    run: "task",
    outcome: "outcome",
    steps: "steps",
    worst: "worst_score",
    tokens: "tokens",
    cost: "cost",
    time: "seconds",
    lint: "lint",
    marks: "marks",
    started: "started",
  };
  /** Rows in the order that sort names: "cost" rising, "-cost" falling; what is not known goes last. */
  SC.sortRuns = (runs, rows, sort) => {
    const down = sort?.startsWith("-"),
      column = runs.columns[ORDERS[sort?.replace("-", "")]];
    if (!column) return rows;
    const compare = (a, b) =>
      typeof a === "string" || typeof b === "string" ? words.compare(String(a), String(b)) : a - b;
    return rows.slice().sort((i, j) => {
      const a = column[i],
        b = column[j];
      if (!given(a) || !given(b)) return given(a) ? -1 : given(b) ? 1 : i - j;
      return (down ? compare(b, a) : compare(a, b)) || i - j;
    });
  };
  /** What a column of names holds, most frequent first: [[name, count], …]. */
  SC.tally = (values) => {
    const seen = new Map();
    for (const v of values.flat()) if (given(v)) seen.set(String(v), (seen.get(String(v)) ?? 0) + 1);
    return [...seen].sort((a, b) => b[1] - a[1]);
  };
  SC.title = (state, name) => state?.error_types?.find((e) => e.name === name)?.title ?? name;

  /** Runs whose texts hold q: {hits: Map row -> {step, where, snippet}, total, cut, busy, error}. */
  SC.useSearch = function useSearch(q, runs) {
    const [found, set] = useState({ q: "", hits: null }),
      [round, again] = useState(0);
    useEffect(() => {
      if (!q || q.length < 2 || !runs) {
        set({ q: "", hits: null });
        return undefined;
      }
      const asked = new AbortController(),
        { signal } = asked;
      set((old) => ({ ...old, busy: true }));
      const timer = setTimeout(
        () =>
          SC.api.get(`/api/search?q=${encodeURIComponent(q)}&limit=2000`, { signal }).then(
            (answer) => {
              if (signal.aborted) return;
              const hits = new Map();
              for (const hit of answer.hits) {
                const i = runs.row(hit.id);
                if (i !== undefined && !hits.has(i)) hits.set(i, hit);
              }
              set({ q, hits, total: answer.total, cut: answer.cut });
            },
            (error) => !signal.aborted && set({ q, hits: null, error }),
          ),
        250,
      );
      return () => {
        asked.abort();
        clearTimeout(timer);
      };
    }, [q, runs, round]);
    return { ...found, retry: () => again(round + 1) };
  };

  /** What the most failed runs have in common: a row of filters. */
  function Common({ runs, query }) {
    const { state } = SC.useStore(),
      errors = useMemo(() => SC.tally(runs.columns.error ?? []).slice(0, 5), [runs]);
    if (!errors.length) return null;
    return html`<p class="common"><span class="quiet">Most common errors</span>${errors.map(
      ([name, n]) => html`<button key=${name} type="button" class="chip" aria-pressed=${query.error === name}
      onClick=${() => SC.setQuery({ error: query.error === name ? null : name })}>
        ${say(SC.title(state, name))} <small class="num">${fmt.count(n)}</small></button>`,
    )}</p>`;
  }

  SC.filtersOf = (query) => ["q", "outcome", "task", "agent", "tool", "error", "lint", "marks"].filter((k) => query[k]);
  SC.Filters = function Filters({ runs, query, found, rows, orders }) {
    const { state, marks } = SC.useStore(),
      c = runs.columns,
      box = useRef();
    const [typed, setTyped] = useState(query.q ?? "");
    useEffect(() => {
      if (document.activeElement !== box.current) setTyped(query.q ?? "");
    }, [query.q]);
    SC.useKeys("Runs", [["/", "search", () => box.current?.focus()]]);
    const tallies = useMemo(
      () => ({
        outcome: SC.tally((c.outcome ?? []).map(SC.outcome)),
        agents: SC.tally(c.agents ?? []),
        tools: SC.tally(c.tools ?? []),
        error: SC.tally(c.error ?? []),
        tasks: [
          ...new Map(runs.ids.map((_, i) => [String(runs.at("gid", i)), runs.at("task", i) ?? runs.at("group", i)])),
        ],
        lint: (c.lint ?? []).some((n) => n > 0),
        marks: (c.marks ?? []).some((n) => n > 0) || SC.markCounts().size > 0,
      }),
      [runs, marks],
    );
    const many = Object.fromEntries(tallies.outcome);
    const outcomes = OUTCOMES.filter(([v]) => !v || many[v]).map(([v, words]) => [v, words, v ? many[v] : runs.n]);
    const pick = (name) => (value) => SC.setQuery({ [name]: value || null });
    const named = (list, words = (x) => x) =>
      list.slice(0, 300).map(([name, n]) => [name, `${words(name)} (${fmt.count(n)})`]);
    const either = [
      ["yes", "with"],
      ["no", "without"],
    ];
    const used = SC.filtersOf(query),
      narrow = SC.useMedia("(max-width: 920px)"); // no head of a table to press
    const select = (label, name, options, all) =>
      html`<${SC.Select} bare=${true} label=${label} all=${all} value=${query[name]} onChange=${pick(name)}
        options=${options} />`;
    return html`<form class="filters" role="search" onSubmit=${(e) => e.preventDefault()}>
        ${
          outcomes.length > 2 &&
          html`<${SC.Segments} label="Outcome" options=${outcomes} value=${query.outcome ?? ""}
          onChange=${pick("outcome")} />`
        }
        <label class="searchbox"><span class="hidden">Search tasks and contents</span><${SC.Icon} name="search" />
          <input type="search" ref=${box} value=${typed} placeholder="Search tasks and contents" autocomplete="off"
            spellcheck=${false}
            onInput=${(e) => {
              setTyped(e.target.value);
              SC.setQuery({ q: e.target.value || null });
            }} /><kbd aria-hidden="true">/</kbd></label>
      <details class="filters-more" open=${innerWidth > 720 || used.some((k) => k !== "q" && k !== "outcome")}>
        <summary>More filters</summary><div class="filters-row">
        ${
          tallies.tasks.length > 1 &&
          tallies.tasks.length <= 300 &&
          select(
            "Task",
            "task",
            tallies.tasks.map(([g, t]) => [g, SC.line(t, 70)]),
            "Any task",
          )
        }
        ${tallies.agents.length > 1 && select("Agent", "agent", named(tallies.agents), "Any agent")}
        ${tallies.tools.length > 0 && select("Tool", "tool", named(tallies.tools), "Any tool")}
        ${
          tallies.error.length > 0 &&
          select(
            "Error type",
            "error",
            named(tallies.error, (e) => SC.title(state, e)),
            "Any error type",
          )
        }
        ${
          tallies.lint &&
          select(
            "Lint findings",
            "lint",
            [
              ["yes", "With lint findings"],
              ["no", "Without lint findings"],
            ],
            "Any lint state",
          )
        }
        ${
          tallies.marks &&
          select(
            "Marks",
            "marks",
            [
              ["yes", "Marked"],
              ["no", "Not marked"],
            ],
            "Any marks",
          )
        }</div></details></form>
      <div class="under"><p class="found quiet" role="status">${
        found.busy
          ? "searching …"
          : html`${
              rows.length === runs.n
                ? `All ${fmt.plural(runs.n, "run")}`
                : `${fmt.count(rows.length)} of ${fmt.plural(runs.n, "run")}`
            }${
              found.cut ? `; the first ${fmt.count(found.hits?.size ?? 0)} with these words` : ""
            }${found.error && rows.length ? `; the texts could not be searched: ${say(found.error.message)}` : ""}`
      }
        ${
          used.length > 0 &&
          html` <button type="button" class="text" onClick=${() => {
            setTyped("");
            SC.setQuery(Object.fromEntries(used.map((k) => [k, null])));
          }}>clear</button>`
        }</p>${
          narrow &&
          html`<label class="field inline sort-by"><span>Sort by</span><select value=${query.sort ?? ""}
            onChange=${(e) => SC.setQuery({ sort: e.target.value || null })}><option value="">as read</option>${orders.map(
              ([sort, words]) => html`<option key=${sort} value=${sort}>${words}</option>`,
            )}</select></label>`
        }<${Common} runs=${runs} query=${query} /></div>`;
  };
})();
