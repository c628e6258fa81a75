(() => {
  "use strict";

  /* One run: the verdict, the strip, the transcript, and what is known of the chosen step. #/run/<group>/<rollout>/<step> */

  const { html, fmt, given, say, useState, useEffect, useLayoutEffect, useMemo, useRef } = SC;

  /** Which run an address means: {id, step} or null. */
  function named({ args, query }, runs) {
    if (query.by === "id") return { id: args[1], step: args[2] };
    const i = runs?.find(args[0], args[1]);
    return i === undefined ? null : { id: runs.ids[i], step: args[2] };
  }
  /** Of a run without agents: the column of agents has a name for none where other runs name theirs. */
  SC.unnamed = (data) => {
    if (data?.agents?.length === 0 && data.numbers) data.numbers.agent = null;
  };

  const FLAT = "the same number on every step: it says only how the run ended";
  function Source({ sources, source, onSource }) {
    if (!sources.length) return null;
    const flat = source && SC.flat(source);
    const group = (label, want) => {
      const some = sources.filter(want);
      return (
        some.length > 0 &&
        html`<optgroup label=${label}>${some.map(
          (s) => html`<option key=${s.key} value=${s.key}>${s.title}
          ${s.baseline ? " (baseline)" : ""}</option>`,
        )}</optgroup>`
      );
    };
    return html`<label class="field inline"><span>Color by</span>
      <select value=${source?.key ?? ""} onChange=${(e) => e.target.value && onSource(e.target.value)}>
      ${!source && html`<option value="">no color</option>`}
      ${group("Credit", (s) => s.kind === "credit")}${group("Who blames", (s) => s.kind !== "credit")}</select>
      </label>${flat && html`<small class="quiet flat-told">${FLAT}</small>`}`;
  }

  /** The task of a run: its first lines, and all of it once they are clicked. */
  function Title({ run }) {
    const [all, setAll] = useState(false),
      [cut, setCut] = useState(false),
      node = useRef(),
      task = say(SC.store.runs?.at("task", SC.store.runs.row(run.id)) ?? run.task ?? `Run ${run.rollout}`),
      whole = say(run.task ?? "").length > task.length ? say(run.task) : task;
    useLayoutEffect(() => {
      if (!all) setCut(node.current.scrollHeight > node.current.clientHeight + 2 || whole.length > 600);
    });
    return html`<h1 ref=${node} class=${`isolate ${all ? "" : "lines2"}`} onClick=${() =>
      cut && !getSelection().toString() && setAll(!all)}>${all ? SC.line(whole, 4000) : SC.line(task, 600)}</h1>
      ${
        cut &&
        html`<p><button type="button" class="text" aria-expanded=${all} onClick=${() => setAll(!all)}>${
          all ? "Less of the task" : "All of the task"
        }</button></p>`
      }`;
  }

  function Loaded({ run, step, query }) {
    const { state } = SC.useStore(),
      redraw = SC.useRedraw(),
      narrow = SC.useMedia("(max-width: 1160px)"),
      phone = SC.useMedia("(max-width: 720px)");
    const steps = useMemo(() => new SC.Steps(run.id, run.n, redraw), [run]);
    const [folds, setFolds] = useState(() => new Map()),
      list = useRef(),
      body = useRef(),
      panel = useRef(),
      quiet = useRef(false);
    const sources = useMemo(() => SC.sources(run), [run, state]),
      scales = useMemo(() => Object.fromEntries(sources.map((s) => [s.key, SC.scale(s.values)])), [sources]);
    const [wanted, setWanted] = useState(SC.keep.get("source")),
      lead = SC.lead(run),
      source =
        sources.find((s) => s.key === wanted) ??
        sources.find((s) => s.key === `blame:${lead.blame?.by}` && SC.tells(s)) ??
        SC.firstSource(sources);
    const worst = lead.worst,
      named = /^\d+$/.test(step ?? "") ? Math.min(run.n - 1, Number(step)) : null,
      selected = named ?? worst ?? (run.n ? 0 : null);
    const [sheet, setSheet] = useState(false),
      [find, setFind] = useState(null),
      [seen, setSeen] = useState(0),
      opener = useRef(null),
      up = narrow && sheet;
    const side = useRef(),
      head = 52 + (narrow ? (side.current?.offsetHeight ?? 84) + 8 : 14);

    const select = (i, { quiet: still = false, open = false } = {}) => {
      if (i < 0 || i >= run.n) return;
      quiet.current = still;
      if (open || (narrow && !still)) {
        if (open && !sheet) opener.current = document.activeElement;
        setSheet(open);
      }
      SC.go(SC.to("run", ...SC.parse(SC.runHash(run.id)).args, String(i), SC.parse(SC.runHash(run.id)).query), {
        replace: given(named),
      });
      if (i === named && !still) list.current?.scrollTo(i, head);
    };
    useLayoutEffect(() => {
      if (given(named) && !query.with) {
        if (!quiet.current) list.current?.scrollTo(named, head);
        quiet.current = false;
      }
    }, [named, query.with, run.id]);
    useEffect(() => {
      if (given(named))
        SC.announce(`Step ${fmt.nth(named, run.n)}${source ? `, ${fmt.signed(source.values[named])}` : ""}`);
    }, [named]);
    useEffect(() => {
      if (up) panel.current?.querySelector(".panel-close")?.focus({ preventScroll: true });
    }, [up]);
    const closeSheet = () => {
      const back = opener.current;
      setSheet(false);
      requestAnimationFrame(() =>
        (back?.isConnected && back.matches("button, a") ? back : document.querySelector(".step.selected .step-open"))?.focus({ preventScroll: true }),
      );
    };
    const choose = (key) => {
      setWanted(key);
      SC.keep.set("source", key);
    };
    const turn = (by) => () => {
      if (sources.length < (source ? 2 : 1)) return false;
      const at = source ? sources.indexOf(source) + by : by > 0 ? 0 : -1,
        to = sources[(at + sources.length) % sources.length];
      choose(to.key);
      SC.announce(`Colors by ${to.title}`);
      return true;
    };
    const div = run.jumps?.divergence,
      compare = (id) => SC.setQuery({ with: id }, { replace: false });
    const toCompare = () => {
      if (query.with) SC.setQuery({ with: null });
      else {
        const other = div?.sibling ?? run.siblings.find((s) => s.outcome > 0)?.id ?? run.siblings[0]?.id;
        if (!given(other)) {
          SC.toast("No other run of this task");
          return;
        }
        compare(String(other));
      }
    };
    const next = (by) => () => {
      const rows = SC.visible ?? [],
        at = rows.indexOf(SC.store.runs?.row(run.id)),
        i = rows[at + by];
      const id = at >= 0 && i !== undefined ? SC.store.runs.ids[i] : at >= 0 ? null : by > 0 ? run.next : run.prev;
      if (given(id)) SC.go(SC.runHash(id));
      else SC.toast(by > 0 ? "This is the last run" : "This is the first run");
    };
    const differ = run.jumps?.disagreements ?? [];
    const toDiffer = () => {
      if (!differ.length) {
        SC.toast("The methods do not contradict each other on this run");
        return;
      }
      const i = differ.find((d) => d > (named ?? -1)) ?? differ[0];
      select(i);
    };
    const foldAll = () => {
      const all = !folds.all;
      const fresh = new Map();
      fresh.all = all;
      setFolds(fresh);
      setSeen(seen + 1);
      SC.announce(all ? "All parts opened" : "All parts folded");
    };
    SC.useKeys("Run", [
      ["j ArrowDown", "next step", () => select((selected ?? -1) + 1)],
      ["k ArrowUp", "step before", () => select((selected ?? 1) - 1)],
      ["w", "worst step", () => (given(worst) ? select(worst) : SC.toast("No step of this run is blamed"))],
      ["x", "next step on which methods differ", toDiffer],
      ["d", "side by side with a success, from where they part", toCompare],
      ["m", "next method", turn(1)],
      ["M", "method before", turn(-1)],
      ["f", "open or fold all parts", foldAll],
      ["/", "search in this run", () => setFind(find ?? "")],
      ["n", "next run", next(1)],
      ["p", "run before", next(-1)],
      ["Home", "first step", () => select(0)],
      ["End", "last step", () => select(run.n - 1)],
      [
        "Escape",
        "close what is open",
        () => {
          if (find !== null) setFind(null);
          else if (sheet) closeSheet();
          else if (query.with) SC.setQuery({ with: null });
          else return false;
          return true;
        },
      ],
      ...SC.markKeys(run, selected),
    ]);
    const view = {
      source,
      scale: scales[source?.key],
      selected,
      worst,
      steps,
      narrow,
      onSelect: (i, how) => select(i, { quiet: true, open: narrow && !how?.quiet }),
    };
    const findings = (run.lint ?? []).filter((f) => !given(f.step) && f.severity !== "info");
    const facts = [
      fmt.plural(run.n, "step"),
      ...Object.entries(run.rewards ?? {}).map(([k, v]) => `${say(k)} ${fmt.plain(v)}`),
      ...Object.entries(run.evidence ?? {})
        .filter(([, v]) => typeof v !== "object")
        .map(([k, v]) => `${say(k)} ${fmt.plain(v)}`),
    ];
    const title = html`<${Title} run=${run} /><p class="quiet">${facts.join(" · ")}</p>`;
    return html`<div class="page run"><div class="run-head"><div class="run-title"><p class="crumbs">
      <a href="#/runs">Runs</a><span aria-hidden="true"> / </span>${
        SC.screens.has("group") && run.siblings.length > 0
          ? html`<a class="isolate" href=${SC.groupHash(run.gid)}>${say(run.group)}</a>`
          : html`<span class="isolate">
      ${say(run.group)}</span>`
      }
          <span aria-hidden="true"> / </span><b class="isolate">${say(run.rollout)}</b></p>
            ${!phone && title}</div>
        <div class="walk"><button type="button" class="icon" aria-label="Run before (p)" ...${SC.tip("Run before (p)")}
          onClick=${next(-1)}><${SC.Icon} name="left" /></button>
          <button type="button" class="icon" aria-label="Next run (n)" ...${SC.tip("Next run (n)")}
          onClick=${next(1)}><${SC.Icon} name="right" /></button>
          <button type="button" class="icon" aria-label="Search in this run (/)" ...${SC.tip("Search in this run (/)")}
            onClick=${() => setFind(find ?? "")}><${SC.Icon} name="search" /></button></div></div>
      ${phone && html`<div class="run-head"><div class="run-title">${title}</div></div>`}
      <${SC.Verdict} run=${run} steps=${steps} onGo=${(i) => select(i)} onCompare=${toCompare} />
      ${
        findings.length > 0 &&
        html`<ul class="findings">${findings.map(
          (f) => html`<li
        class=${`finding ${f.severity === "error" ? "bad" : "warn"}`}><b>Lint: ${say(f.severity)}
        </b> ${say(f.message)} <code>${say(f.rule)}</code>${f.why && html` <span class="quiet">${say(f.why)}</span>`}
        </li>`,
        )}</ul>`
      }
      ${
        query.with
          ? html`<${SC.Compare} run=${run} steps=${steps} other=${query.with}
            source=${source} onClose=${() => SC.setQuery({ with: null })} onOther=${compare} />`
          : html`<div class="run-grid"><aside class="strip-side" ref=${side} aria-label="Credit of each step">
            <div class="strip-head"><${Source} sources=${sources} source=${source} onSource=${choose} /></div>
          <${SC.Strip} run=${run} steps=${steps} source=${source} scale=${scales[source?.key]} selected=${selected}
            worst=${worst} onSelect=${(i) => select(i)} narrow=${narrow} /></aside>
        <section class="transcript" ref=${body} aria-label="Transcript" key=${seen}>
          <${SC.Opening} run=${run} folds=${folds} />
          <${SC.VirtualList} count=${run.n} estimate=${190} inset=${head} handle=${list} again=${run.id} label="Steps"
            role="group" item=${(i) => html`<${SC.Step} run=${run} step=${steps.get(i)} i=${i} view=${view}
            folds=${folds} />`} />
          ${run.n === 0 && html`<${SC.Blank} inner=${true} title="No steps">This run holds no step.<//>`}</section>
        <${narrow ? "div" : "aside"} class=${`panel ${sheet ? "up" : ""}`} ref=${panel} aria-label="The chosen step"
          role=${narrow ? "dialog" : null} onKeyDown=${(e) => {
            if (!up || e.key !== "Escape") return;
            e.stopPropagation();
            closeSheet();
          }}>
          ${
            given(selected) &&
            html`<${SC.Panel} run=${run} i=${selected} steps=${steps} sources=${sources}
          source=${source} scales=${scales} onSelect=${(i) => select(i, { open: up })} onSource=${choose}
          onClose=${closeSheet} />`
          }<//></div>`
      }
      ${
        find !== null &&
        html`<${SC.Find} run=${run} steps=${steps} folds=${folds} words=${find} onWords=${setFind} onPart=${redraw}
        onHit=${(i) => select(i)} onPlace=${(i, y) => list.current?.scrollTo(i, y)} onClose=${() => setFind(null)}
        body=${body} />`
      }</div>`;
  }

  function Run({ args, query }) {
    const { runs, state } = SC.useStore(),
      place = named({ args, query }, runs),
      path = place && `/api/run/${encodeURIComponent(place.id)}`;
    const { data, error, retry } = SC.useApi(path);
    if (!runs) return html`<${SC.Loading} what="the runs" />`;
    if (!place)
      return html`<${SC.Blank} title="No such run" action=${html`<a class="button"
        href="#/runs">All runs</a>`}>No run is named ${say(
        args.slice(0, 2).join(" / "),
      )}. ${state?.reading?.done === false ? "The files are still being read." : "It may stand in another folder."}<//>`;
    if (error) return html`<${SC.Failure} error=${error} retry=${retry} />`;
    SC.unnamed(data);
    if (!data) return html`<${SC.Loading} what="the run" />`;
    return html`<${Loaded} key=${data.id} run=${data} step=${place.step} query=${query} />`;
  }
  SC.screens.set("run", { under: "runs", title: ({ args }) => `${args[0] ?? ""} / ${args[1] ?? ""}`, component: Run });
})();
