(() => {
  "use strict";

  /* The screen of one task: all its runs as one graph. #/group/GID?run=ID&at=KEY&as=actions&view=list
     Places: taskgraph_layout.js. Words: taskgraph_words.js. What is chosen, and the graph as a list: taskgraph_panel.js. */

  const { html, fmt, given, say, useEffect, useLayoutEffect, useMemo, useRef, useState } = SC;
  const { WIDE, HIGH } = SC.graphLayout;
  const { shape, parts, placeName, endWords, nodeWords, linkWords, brief, fit } = SC.graphWords;
  const EDGE = WIDE - 14;

  /* Drawing. */

  const act = (go) => ({
    onClick: go,
    onKeyDown: (event) => {
      if (event.key !== "Enter" && event.key !== " ") return;
      event.preventDefault();
      event.stopPropagation();
      go();
    },
  });

  function Node({ n, lit, dim, chosen, first, onPick }) {
    const name = n.stretch ? `${n.stretch.length} states in a row` : placeName(n),
      ends = endWords(n);
    const tall = given(n.success),
      at = (v) => 10 + v * (WIDE - 76);
    return html`<g class=${`tg-node ${lit ? "lit" : ""} ${dim ? "dim" : ""} ${chosen ? "chosen" : ""} ${n.stretch ? "stretch" : ""}`}
      role="button" tabindex=${first ? 0 : -1} data-key=${n.key} aria-pressed=${String(chosen)} aria-label=${nodeWords(n)}
      transform=${`translate(${n.x} ${n.y})`} ...${act(() => onPick(n))} ...${SC.tip(nodeWords(n))}>
      ${n.stretch && html`<rect class="tg-under" x="4" y="-4" width=${WIDE - 8} height=${HIGH} rx="9" />`}
      <rect class="tg-box" width=${WIDE} height=${HIGH} rx="9" />
      <text class="tg-name" x="10" y="19">${fit(name, WIDE - (n.loop ? 60 : 22), 12.5)}</text>
      ${n.loop && html`<text class="tg-small" x=${EDGE} y="18" text-anchor="end" aria-hidden="true">${n.loop.harm && html`<tspan class="tg-falls">▼ </tspan>`}↺ ${n.loop.visits}</text>`}
      <g class="tg-share" data-l=${shape(n.success)}><rect class="tg-track" x="10" y="29" width=${WIDE - 76} height="7" rx="3.5" />
        ${
          tall &&
          html`<rect class="tg-fill" x="10" y="29" width=${Math.max(3, n.success * (WIDE - 76))} height="7" rx="3.5" />
          ${given(n.low) && html`<path class="tg-whisker" d=${`M${at(n.low)} 42.5H${at(n.high)}M${at(n.low)} 39.5v6M${at(n.high)} 39.5v6`} />`}`
        }</g>
      <text class="tg-percent" x=${EDGE} y="36" text-anchor="end">${given(n.success) ? fmt.share(n.success) : "?"}</text>
      <text class="tg-small" x=${EDGE} y="48" text-anchor="end">${fmt.plural(n.who.size, "run")}</text>
      ${parts(n) && html`<g class="tg-fork" transform=${`translate(${WIDE} ${HIGH / 2})`}><path d="M0 -9L9 0L0 9L-9 0Z" />
        <text x="0" y="3.5" text-anchor="middle">${n.out.length}</text></g>`}
      ${ends.map(
        ([count, mark, kind], i) => html`<g class=${`tg-end ${kind}`} key=${mark}
        transform=${n.out.length ? `translate(${10 + 42 * i} ${HIGH + 1})` : `translate(${WIDE + 6} ${HIGH / 2 - 11 * ends.length + 22 * i})`}>
        <rect width="38" height="20" rx="6" /><text x="19" y="14.5" text-anchor="middle">${mark} ${count}</text></g>`,
      )}</g>`;
  }

  function Way({ l, lit, dim, chosen, names, badge, onPick }) {
    const words = linkWords(l),
      label = l.ways.length > 1 ? `${l.ways.length} actions` : brief(l.ways[0].label);
    return html`<g class=${`tg-way ${lit ? "lit" : ""} ${dim ? "dim" : ""} ${chosen ? "chosen" : ""} ${l.harm ? "harm" : ""} ${
      l.back ? "back" : ""
    }`} role="button" tabindex="-1" data-key=${l.key} aria-pressed=${String(chosen)}
      aria-label=${`Way from ${placeName(l.a).slice(0, 40)} to ${placeName(l.b).slice(0, 40)}: ${words}${badge ? `, ${badge.join(", ")}` : ""}`}
      ...${act(() => onPick(l))} ...${SC.tip(words)}>
      <path class="tg-hit" d=${l.d} style=${{ strokeWidth: Math.max(14, l.thick) }} />
      <path class="tg-line" d=${l.d} data-l=${shape(l.ways.length > 1 ? null : l.ways[0].success)} style=${{ strokeWidth: l.thick }} />
      ${lit && html`<path class="tg-lit" d=${l.d} />`}
      ${(names || lit || chosen) && html`<text class="tg-label" x=${l.label[0]} y=${l.label[1]} text-anchor=${l.label[2]}>
        ${fit(label, SC.graphLayout.GAP - 26, 11)}</text>`}</g>`;
  }
  /** What stands out on ways, above all else. */
  function Badges({ l, told }) {
    const notes = [...(told ?? []).map((words) => `✗ ${words}`), ...(l.harm ? [`▼ ${fmt.share(l.a.success)} → ${fmt.share(l.falls.success)}`] : [])];
    return notes.map((note, i) => {
      const width = note.length * 6 + 12,
        [x, y, anchor] = l.badge,
        left = anchor === "end" ? x - width : anchor === "start" ? x : x - width / 2;
      return html`<g key=${note} class=${`tg-badge ${i < (told?.length ?? 0) ? "told" : ""}`} transform=${`translate(${left} ${y + 20 * i})`}>
        <rect width=${width} height="18" rx="5" /><text x=${width / 2} y="13" text-anchor="middle">${note}</text></g>`;
    });
  }

  function Scene({ placed, run, at, badges, onPick }) {
    const names = placed.links.length <= 60 && placed.kind === "states",
      above = (l) => (l.harm ? 1 : 0) + (l.runs.has(run) ? 2 : 0) + (badges.has(l.key) ? 4 : 0);
    return html`<${SC.Fragment}>${placed.links
      .filter((l) => l.a !== l.b)
      .toSorted((p, q) => above(p) - above(q))
      .map(
        (l) => html`<${Way} key=${l.key} l=${l} lit=${given(run) && l.runs.has(run)} dim=${given(run) && !l.runs.has(run)}
        chosen=${l.key === at} names=${names} badge=${badges.get(l.key)} onPick=${onPick} />`,
      )}${placed.nodes.map(
        (n) => html`<${Node} key=${n.key} n=${n} lit=${given(run) && n.who.has(run)} dim=${given(run) && !n.who.has(run)}
        chosen=${n.key === at} first=${n === placed.roots[0]} onPick=${onPick} />`,
      )}<g class="tg-top" aria-hidden="true">${placed.links
        .filter((l) => l.a !== l.b && (l.harm || badges.has(l.key)))
        .map((l) => html`<${Badges} key=${l.key} l=${l} told=${badges.get(l.key)} />`)}</g><//>`;
  }

  /* The plane: zoom by wheel, buttons and keys; drag; arrow keys. What moves is set on the element, not drawn anew. */

  function Plane({ placed, run, at, badges, onPick, title }) {
    const svg = useRef(),
      view = useRef({ x: 0, y: 0, k: 1 }),
      drag = useRef(null);
    const put = (next) => {
      view.current = next;
      const { x, y, k } = next;
      svg.current.firstElementChild.setAttribute("transform", `translate(${x} ${y}) scale(${k})`);
      svg.current.dataset.far = String(k < 0.5);
    };
    const fitAll = (least = 0.05) => {
      const { width, height } = svg.current.getBoundingClientRect(),
        k = Math.min(1.25, (width - 48) / (placed.width + 46), (height - 96) / placed.height);
      if (k >= least) put({ k, x: (width - (placed.width + 46) * k) / 2, y: (height - placed.height * k) / 2 + 8 });
      else {
        const root = placed.roots[0];
        put({ k: 0.9, x: 48, y: height / 2 - root.cy * 0.9 });
      }
    };
    const zoom = (by, x, y) => {
      const { width, height } = svg.current.getBoundingClientRect(),
        now = view.current,
        k = Math.min(3, Math.max(0.05, now.k * by)),
        [cx, cy] = [x ?? width / 2, y ?? height / 2];
      put({ k, x: cx - ((cx - now.x) * k) / now.k, y: cy - ((cy - now.y) * k) / now.k });
    };
    const bring = (item) => {
      const { width, height } = svg.current.getBoundingClientRect(),
        { x, y, k } = view.current;
      const [mx, my] = item.middle ?? [item.x + WIDE / 2, item.cy],
        half = item.a ? 40 : WIDE / 2 + 20;
      const into = (p, pad, size) => Math.min(size - pad - p, Math.max(pad - p, 0));
      put({ k, x: x + into(mx * k + x, half * k + 16, width), y: y + into(my * k + y, HIGH * k, height) });
    };
    const focus = (item) => {
      bring(item);
      const node = svg.current.querySelector(`[data-key="${item.key}"]`);
      svg.current.querySelectorAll('[tabindex="0"]').forEach((other) => other.setAttribute("tabindex", "-1"));
      node?.setAttribute("tabindex", "0");
      node?.focus({ preventScroll: true });
    };
    useLayoutEffect(() => fitAll(0.8), [placed]); // smaller, its words cannot be read
    useEffect(() => {
      const item = placed.byKey.get(at);
      if (item) bring(item.a && item.a === item.b ? item.a : item);
    }, [at, placed]);
    useEffect(() => {
      const node = svg.current;
      const wheel = (event) => {
        event.preventDefault();
        const box = node.getBoundingClientRect();
        if (event.shiftKey) put({ ...view.current, x: view.current.x - (event.deltaX || event.deltaY) });
        else zoom(Math.exp(-Math.max(-120, Math.min(120, event.deltaY)) / 400), event.clientX - box.left, event.clientY - box.top);
        SC.hideTip();
      };
      node.addEventListener("wheel", wheel, { passive: false });
      return () => node.removeEventListener("wheel", wheel);
    }, [placed]);
    const arrow = (event) => {
      const here = document.activeElement?.closest?.("[data-key]");
      const inside = here && svg.current.contains(here);
      if (!inside && document.activeElement?.closest?.(".tg-panel, .tg-list")) return false;
      focus(inside ? SC.graphLayout.walk(placed, here.dataset.key, event.key, run) : (placed.byKey.get(at) ?? placed.roots[0]));
      return true;
    };
    SC.useKeys("Graph", [
      ["ArrowRight", "onward: to the ways from here, then along one", arrow],
      ["ArrowLeft", "back", arrow],
      ["ArrowUp ArrowDown", "another state of this level, another way", arrow],
      ["Enter", "read the state or the way", () => false],
      ["+ =", "nearer", () => zoom(1.25)],
      ["-", "farther", () => zoom(0.8)],
      ["0", "the whole graph", () => fitAll()],
    ]);
    const down = (event) => {
      if (event.button !== 0) return;
      drag.current = { x: event.clientX, y: event.clientY, from: view.current, moved: false };
    };
    const move = (event) => {
      const d = drag.current;
      if (!d) return;
      if (!event.buttons) {
        drag.current = null;
        return;
      }
      const [dx, dy] = [event.clientX - d.x, event.clientY - d.y];
      if (!d.moved && Math.hypot(dx, dy) < 4) return;
      if (!d.moved) svg.current.setPointerCapture(event.pointerId);
      d.moved = true;
      SC.hideTip();
      put({ ...d.from, x: d.from.x + dx, y: d.from.y + dy });
    };
    const stopClick = (event) => {
      if (drag.current?.moved) event.stopPropagation();
      drag.current = null;
    };
    return html`<div class="tg-plane"><svg ref=${svg} role="group" aria-label=${title} onPointerDown=${down} onPointerMove=${move}
      onClickCapture=${stopClick}><g><${Scene} placed=${placed} run=${run} at=${at} badges=${badges} onPick=${onPick} /></g></svg>
      <div class="tg-zoom" role="group" aria-label="Zoom">
        <button type="button" class="icon" aria-label="Nearer (+)" onClick=${() => zoom(1.25)}>+</button>
        <button type="button" class="icon" aria-label="Farther (-)" onClick=${() => zoom(0.8)}>−</button>
        <button type="button" onClick=${() => fitAll()}>Fit<kbd>0</kbd></button></div><${Key} /></div>`;
  }
  const Key = () => html`<div class="tg-key legend" aria-hidden="true">
    <span class="key"><svg width="30" height="14"><path d="M1 3.5h28" class="tg-line" data-l="x" style=${{ strokeWidth: 1.5 }} />
      <path d="M1 10h28" class="tg-line" data-l="x" style=${{ strokeWidth: 6 }} /></svg>runs that went this way</span>
    <span class="key"><svg width="18" height="18"><g class="tg-fork" transform="translate(9 9)"><path d="M0 -8L8 0L0 8L-8 0Z" /></g></svg>
      paths part</span>
    <span class="key"><svg width="44" height="14"><g class="tg-share" data-l="2"><rect class="tg-track" y="1" width="44" height="6" rx="3" />
      <rect class="tg-fill" y="1" width="26" height="6" rx="3" /><path class="tg-whisker" d="M16 11.5H38M16 9v5M38 9v5" /></g></svg>
      success, 95% interval</span>
    <span class="key"><b class="tg-falls">▼</b>successes fall most</span><span class="key"><b>↺</b>loop: steps that stay here</span>
    <span class="key"><b class="tg-ends">✓</b><b class="tg-falls">✗</b>runs that end here</span></div>`;

  /* The runs of the task. */

  function RunList({ group, runs, run, onRun }) {
    const start = `${group}/`,
      own = runs.every((r) => String(r.rollout).startsWith(start)) ? start.length : 0;
    return html`<ul class="tg-runs" aria-label="Runs of this task">${runs.map(
      (r) => html`<li key=${r.id} class=${r.id === run ? "on" : ""}>
      <button type="button" class="bare" aria-pressed=${String(r.id === run)} onClick=${() => onRun(r.id === run ? null : r.id)}>
        <${SC.Outcome} value=${r.outcome} words=${false} /><span class="clip isolate">${say(r.rollout).slice(own)}</span>
        <small class="num">${fmt.plural(r.steps, "step")}</small></button>
      ${SC.store.runs?.row(r.id) !== undefined && html`<a href=${SC.runHash(r.id)} aria-label=${`Read run ${say(r.rollout)}`}>read</a>`}
      </li>`,
    )}</ul>`;
  }

  /** Where the chosen run is blamed, and where it leaves the way of a success; key of a link -> [words]. */
  function useBadges(placed, run) {
    const { data } = SC.useApi(run && SC.outcome(run.outcome) !== "succeeded" ? `/api/run/${encodeURIComponent(run.id)}` : null);
    return useMemo(() => {
      const out = new Map();
      const put = (step, words) => {
        if (!given(step)) return;
        const l = placed.links.find((l) => l.a !== l.b && l.ways.some((e) => e.steps.some(([r, s]) => r === run.id && s === step)));
        if (l) out.set(l.key, [...(out.get(l.key) ?? []), words]);
      };
      put(data?.jumps?.divergence?.step, "leaves success");
      put(data?.jumps?.worst, "blamed");
      return out;
    }, [placed, data, run]);
  }

  function Loaded({ group, query }) {
    const small = SC.useMedia("(max-width: 720px)"),
      actions = query.as === "actions" && group.tree,
      graph = actions ? group.tree : group.graph;
    const run = group.runs.find((r) => String(r.id) === query.run) ?? null,
      asList = (query.view ?? (small ? "list" : "graph")) === "list";
    const [open, setOpen] = useState(() => new Set());
    const model = useMemo(() => SC.graphLayout.model(graph, group.runs), [graph]),
      placed = useMemo(() => ({ ...SC.graphLayout.place(SC.graphLayout.fold(model, open)), kind: graph.kind }), [model, open]);
    const badges = useBadges(placed, run),
      at = placed.byKey.get(query.at) ?? null;
    const pick = (item) => {
      SC.hideTip();
      SC.setQuery({ at: item?.key ?? null });
      if (item) SC.announce(item.a ? linkWords(item) : nodeWords(item));
    };
    const onRun = (id) => {
      SC.setQuery({ run: id });
      const r = group.runs.find((one) => one.id === id);
      SC.announce(r ? `Path of run ${say(r.rollout)}, ${SC.outcome(r.outcome)}` : "All paths");
    };
    const turn = (by) => () => {
      const i = group.runs.indexOf(run);
      onRun(group.runs[i < 0 ? (by > 0 ? 0 : group.runs.length - 1) : (i + by + group.runs.length) % group.runs.length]?.id);
    };
    SC.useKeys("Task", [
      ["j", "path of the next run", turn(1)],
      ["k", "path of the run before", turn(-1)],
      [
        "Escape",
        "close what is chosen",
        () => {
          if (!at && !run) return false;
          SC.setQuery(at ? { at: null } : { run: null });
          return true;
        },
      ],
    ]);
    const won = group.runs.filter((r) => SC.outcome(r.outcome) === "succeeded").length;
    const words = `${fmt.plural(graph.nodes.length, graph.kind === "states" ? "state" : "place")}, ${fmt.plural(
      model.links.length,
      "way",
    )}`;
    const unfold = (n) => {
      setOpen(new Set([...open, ...n.stretch.map((m) => m.key)]));
      SC.setQuery({ at: n.stretch[0].key });
    };
    const inner = { group, model, placed, run: run?.id ?? null, at, badges, onPick: pick, onUnfold: unfold };
    return html`<div class="page tg"><div class="tg-head"><div><p class="crumbs"><a href="#/runs">Runs</a>
        <span aria-hidden="true"> / </span><b class="isolate">${say(group.group)}</b></p>
      <h1 class="lines2 isolate" title=${say(group.task ?? "").slice(0, 2000)}>${SC.line(group.task ?? `Task ${group.group}`, 400)}</h1>
      <p class="quiet">${fmt.plural(group.runs.length, "run")}, ${fmt.count(won)} succeeded · ${words}</p></div>
      <div class="tg-tools">${
        group.tree &&
        html`<${SC.Segments} label="Runs meet in" value=${actions ? "actions" : ""}
        onChange=${(v) => SC.setQuery({ as: v || null, at: null })} options=${[
          ["", "Same state"],
          ["actions", "Same actions"],
        ]} />`
      }<${SC.Segments} label="Show as" value=${asList ? "list" : "graph"} onChange=${(v) => SC.setQuery({ view: v })} options=${[
        ["graph", "Graph"],
        ["list", "List"],
      ]} /></div></div>
      ${graph.cut && html`<p class="notice">${say(graph.cut)}.</p>`}
      <div class=${`tg-grid ${asList ? "as-list" : ""} ${at ? "two" : ""}`}><aside class="tg-side" aria-label="Runs">
        <${SC.GraphHints} ...${inner} /><h2>Runs <small>choose one to see its path</small></h2>
        <${RunList} group=${group.group} runs=${group.runs} run=${run?.id} onRun=${onRun} /></aside>
      <section class="tg-main" aria-label=${asList ? "Levels" : "Graph"}>${
        asList
          ? html`<${SC.GraphList} ...${inner} />`
          : html`<${Plane} placed=${placed} run=${run?.id ?? null} at=${at?.key} badges=${badges} onPick=${pick}
        title=${`${words}. Arrow keys walk, Enter reads.`} />`
      }</section>
      ${at && html`<aside class="tg-panel" aria-label="What is chosen"><${SC.GraphPanel} ...${inner} /></aside>`}</div></div>`;
  }

  function Group({ args, query }) {
    const { runs } = SC.useStore(),
      { data, error, retry } = SC.useApi(given(args[0]) ? `/api/group/${encodeURIComponent(args[0])}` : null);
    const out = html`<a class="button" href="#/runs">All runs</a>`;
    if (error?.status === 404)
      return html`<${SC.Blank} title="No such task" action=${out}>These runs hold no task of this name.<//>`;
    if (error) return html`<${SC.Failure} error=${error} retry=${retry} />`;
    if (!given(args[0])) return html`<${SC.Blank} title="No task" action=${out}>The address names none.<//>`;
    if (!data || !runs) return html`<${SC.Loading} what="the task" />`;
    if (!data.graph?.nodes?.length)
      return html`<${SC.Blank} title="No steps">The runs of this task hold no step.<//>`;
    return html`<${Loaded} key=${data.gid} group=${data} query=${query} />`;
  }
  SC.screens.set("group", {
    under: "runs",
    title: ({ args }) => {
      const runs = SC.store.runs,
        row = runs?.group(args[0])[0];
      return `Task ${row === undefined ? (args[0] ?? "") : runs.at("group", row)}`;
    },
    component: Group,
  });
})();
