(() => {
  "use strict";

  /* The screens of trees: `#/trees`, what there is; `#/tree/ID/NODE?q=…`, one of them as an outline. Parts: treeparts.js. */

  const { html, fmt, given, say, useMemo, useRef, useState, useEffect, useLayoutEffect } = SC;

  const KINDS = { search: "search", label: "labels", rollouts: "rollouts" };
  const FEW = 60;
  const SPENT = new Map([
    ["prefill", "tokens read"],
    ["decode", "tokens written"],
    ["draft", "draft tokens"],
    ["tool", "actions"],
    ["score", "scores"],
    ["judge", "questions"],
    ["unknown", "calls of unknown length"],
  ]);

  /* What there is. */

  function Trees({ query }) {
    const { data, error, retry } = SC.useApi("/api/trees"),
      q = (query.q ?? "").trim().toLowerCase();
    const rows = useMemo(
      () =>
        (data ?? []).filter(
          (t) =>
            (!query.kind || t.kind === query.kind) &&
            (!q || [t.title, t.rollout, t.system, t.source].some((x) => say(x).toLowerCase().includes(q))),
        ),
      [data, q, query.kind],
    );
    if (error) return html`<${SC.Failure} error=${error} retry=${retry} />`;
    if (!data) return html`<${SC.Loading} what="the trees" />`;
    if (!data.length)
      return html`<${SC.Blank}
        title="No trees"><code>stepcredit search --trees FILE</code> and <code>stepcredit label --trees FILE</code> write them.<//>`;
    const kinds = [...new Set(data.map((t) => t.kind))];
    return html`<div class="page trees"><div class="page-head"><div><h1>Trees</h1><p>${fmt.plural(data.length, "tree")} ·
      ${" "}${fmt.plural(
        data.reduce((sum, t) => sum + t.nodes, 0),
        "node",
      )}</p></div></div>
      <div class="filters"><${Box} label="Filter trees" value=${query.q} />${
        kinds.length > 1 &&
        html`<${SC.Segments} label="Kind" value=${query.kind ?? ""} onChange=${(v) => SC.setQuery({ kind: v || null })}
          options=${[["", "All", data.length], ...kinds.map((k) => [k, KINDS[k] ?? say(k), data.filter((t) => t.kind === k).length])]} />`
      }</div>
      ${!rows.length && html`<${SC.Blank} inner=${true} title="Nothing matches">No tree has these words.<//>`}
      <${SC.VirtualList} className="tree-list" role="list" label="Trees" count=${rows.length} estimate=${58} inset=${60}
        again=${rows} item=${(k) => {
          const t = rows[k];
          return html`<div role="listitem" class="tree-line"><a class="plain tree-name" href=${SC.to("tree", t.id)}>
            <b class="isolate lines2">${say(t.title)}</b></a>
            <span class="tree-facts"><${SC.Badge}>${KINDS[t.kind] ?? say(t.kind)}<//>
            ${given(t.system) && html`<span class="isolate">${say(t.system)}</span>`}
            ${given(t.rollout) && html`<span class="isolate">rollout ${say(t.rollout)}</span>`}
            <span class="num">${fmt.plural(t.nodes, "node")}</span>
            <span class="quiet isolate clip">${say(t.source)}</span></span></div>`;
        }} /></div>`;
  }

  /** A box whose words stand in the address. */
  function Box({ label, value, onEnter, children }) {
    const [text, set] = useState(value ?? ""),
      timer = useRef(0),
      box = useRef();
    useEffect(() => {
      if (document.activeElement !== box.current) set(value ?? ""); // who types is ahead of the address
    }, [value]);
    useEffect(() => () => clearTimeout(timer.current), []);
    const put = (now) => {
      set(now);
      clearTimeout(timer.current);
      timer.current = setTimeout(() => SC.setQuery({ q: now || null }), 150);
    };
    SC.useKeys("Tree", [["/", "filter by text", () => document.getElementById("tree-q").focus()]]);
    return html`<label class="searchbox"><${SC.Icon} name="search" /><input id="tree-q" type="search" ref=${box} aria-label=${label}
      placeholder=${label} value=${text} autocomplete="off" spellcheck="false" onInput=${(e) => put(e.target.value)}
      onKeyDown=${(e) => e.key === "Enter" && onEnter?.(e.shiftKey ? -1 : 1)} /><kbd>/</kbd>${children}</label>`;
  }

  /* One tree. */

  /** Places of the nodes that show. hits: those that a filter leaves, with all above them; null: no filter. */
  function outline(tree, open, hits) {
    const out = [];
    for (let i = 0; i < tree.nodes.length; ) {
      if (hits && !hits.has(i)) {
        i = tree.end[i];
        continue;
      }
      out.push(i);
      i = hits || open.has(i) ? i + 1 : tree.end[i];
    }
    return out;
  }
  function found(tree, q) {
    if (!q) return null;
    const hits = [],
      shown = new Set();
    tree.nodes.forEach((n, i) => {
      if (![n.text, n.observation, n.reason].some((t) => given(t) && say(t).toLowerCase().includes(q))) return;
      hits.push(i);
      for (let k = i; given(k) && !shown.has(k); k = tree.nodes[k].parent) shown.add(k);
    });
    return { hits, shown };
  }
  const begin = (tree) =>
    new Set(
      tree.nodes.flatMap((n, i) =>
        tree.kids[i].length && (tree.nodes.length <= FEW || n.depth < 2 || tree.path.has(i)) ? [i] : [],
      ),
    );
  const marked = (label, q) => {
    const at = q ? label.toLowerCase().indexOf(q) : -1;
    return at < 0 ? label : html`${label.slice(0, at)}<mark>${label.slice(at, at + q.length)}</mark>${label.slice(at + q.length)}`;
  };

  function Row({ tree, i, at, open, kind, q, onToggle, onPick }) {
    const node = tree.nodes[i],
      kids = tree.kids[i].length,
      up = node.parent,
      mates = given(up) ? tree.kids[up] : tree.tops;
    const label = say(node.label) || (i === 0 && !node.lost ? "the task" : "no text");
    return html`<div role="treeitem" id=${`node-${i}`} class=${`node ${tree.path.has(i) ? "on-path" : ""} ${
      node.status === "dropped" ? "dropped" : ""
    }`} aria-level=${node.depth + 1} aria-expanded=${kids ? String(open) : null} aria-selected=${String(i === at)}
      aria-setsize=${mates.length} aria-posinset=${mates.indexOf(i) + 1} style=${{ "--d": Math.min(node.depth, 24) }}
      onClick=${() => onPick(i)} onDblClick=${() => kids && onToggle(i)}>
      <span class="node-name"><span class=${`node-turn ${kids ? "" : "leaf"}`} aria-hidden="true" onClick=${(e) => {
        if (!kids) return;
        e.stopPropagation();
        onToggle(i);
      }}>${kids ? (open ? "▾" : "▸") : ""}</span>${
        tree.path.has(i) && html`<span class="node-star" title="on the chosen path">★<span class="hidden"> on the chosen path, </span></span>`
      }<span class="clip isolate">${marked(label, q)}</span>${
        kids > 0 && !open && html`<small class="num"> +${fmt.count(tree.end[i] - i - 1)}<span class="hidden"> below</span></small>`
      }</span>
      <span class="node-signs"><${SC.NodeSigns} node=${node} tree=${tree} kind=${kind} /></span>
      <span class="node-visits num">${given(node.visits) ? html`${fmt.count(node.visits)}<span aria-hidden="true">×</span><span class="hidden"> visits, </span>` : ""}</span>
      <${SC.NodeValue} node=${node} tree=${tree} />
      <span class="node-value num">${given(node.value) ? html`<span class="hidden">value </span>${fmt.plain(node.value)}` : html`<span class="quiet">–<span class="hidden"> no value</span></span>`}</span>
    </div>`;
  }

  function Tree({ args, query }) {
    const [id, node] = args,
      { data, error, retry } = SC.useApi(given(id) ? `/api/tree/${encodeURIComponent(id)}` : null);
    if (error) return html`<${SC.Failure} error=${error} retry=${retry} />`;
    if (!data) return html`<${SC.Loading} what="the tree" />`;
    if (!data.nodes?.length) return html`<${SC.Blank} title="An empty tree">It has no nodes.<//>`;
    return html`<${Outline} key=${id} id=${id} data=${data} node=${node} query=${query} />`;
  }

  function Outline({ id, data, node, query }) {
    const tree = useMemo(() => SC.treeOf(data), [data]),
      [open, setOpen] = useState(() => begin(tree)),
      [up, setUp] = useState(given(node)),
      list = useRef();
    const wanted = given(node) && /^\d+$/.test(node) ? Number(node) : null,
      at = wanted !== null && wanted < tree.nodes.length ? wanted : (tree.chosen ?? 0);
    const q = (query.q ?? "").trim().toLowerCase(),
      hits = useMemo(() => found(tree, q), [tree, q]);
    const rows = useMemo(() => outline(tree, open, hits?.shown), [tree, open, hits]),
      place = useMemo(() => new Map(rows.map((i, k) => [i, k])), [rows]);
    const is = (i) => (hits ? true : open.has(i));

    const seen = (i, set) => {
      const all = new Set(set);
      for (let k = tree.nodes[i].parent; given(k); k = tree.nodes[k].parent) all.add(k);
      return all.size === set.size ? set : all;
    };
    const go = (i, { show = true } = {}) => {
      if (!given(i)) return;
      setOpen((now) => seen(i, now));
      if (show) setUp(true);
      if (hits && !hits.shown.has(i)) SC.go(SC.to("tree", id, String(i)), { replace: true });
      else SC.go(SC.to("tree", id, String(i), { ...query }), { replace: true });
    };
    const toggle = (i, to = !open.has(i)) =>
      setOpen((now) => {
        const all = new Set(now);
        if (to) all.add(i);
        else all.delete(i);
        return all;
      });
    const first = useRef(true);
    useLayoutEffect(() => {
      const k = place.get(at);
      if (k === undefined) return;
      if (first.current) {
        first.current = false;
        if (wanted === null) return;
      }
      list.current?.show(k);
    }, [at, rows]);
    useEffect(() => {
      if (wanted === at) setOpen((now) => seen(at, now));
    }, [wanted]);

    const step = (by) => () => {
      const k = place.get(at),
        to = rows[k === undefined ? 0 : k + by];
      document.getElementById("tree")?.focus({ preventScroll: true });
      if (given(to)) go(to, { show: false });
    };
    const right = () => {
      if (!tree.kids[at].length) return;
      if (!is(at)) toggle(at, true);
      else step(1)();
    };
    const left = () => {
      if (!hits && tree.kids[at].length && open.has(at)) toggle(at, false);
      else if (given(tree.nodes[at].parent)) go(tree.nodes[at].parent, { show: false });
    };
    const next = (by) => {
      const all = hits?.hits ?? [];
      if (!all.length) return;
      const k = by > 0 ? all.findIndex((i) => i > at) : all.findLastIndex((i) => i < at);
      go(all[k < 0 ? (by > 0 ? 0 : all.length - 1) : k]);
    };
    const all = (yes) => setOpen(yes ? new Set(tree.nodes.keys()) : new Set(tree.tops));
    SC.useKeys("Tree", [
      ["ArrowDown j", "next node", step(1)],
      ["ArrowUp k", "node before", step(-1)],
      ["ArrowRight", "open, or into it", right],
      ["ArrowLeft", "close, or to its parent", left],
      ["Home", "first node", () => go(rows[0], { show: false })],
      ["End", "last node", () => go(rows.at(-1), { show: false })],
      ["b", "best leaf", () => go(tree.best)],
      ["w", "worst leaf", () => go(tree.worst)],
      ["c", "chosen leaf", () => go(tree.chosen)],
      ["e", "open all", () => all(true)],
      ["E", "close all", () => all(false)],
    ]);
    const key = (event) => {
      if (event.key === "Enter") setUp(true);
      else if (event.key === " ") {
        if (tree.kids[at].length) toggle(at);
      } else if (event.key === "*") {
        const mates = given(tree.nodes[at].parent) ? tree.kids[tree.nodes[at].parent] : tree.tops;
        setOpen((now) => new Set([...now, ...mates]));
      } else return;
      event.preventDefault();
    };
    const { facts = {} } = data;
    return html`<div class="page tree-page">
      <${Head} data=${data} tree=${tree} facts=${facts} />
      <${SC.TreeMap} tree=${tree} at=${at} onGo=${go} />
      <div class="filters tree-tools"><${Box} label="Filter by text" value=${query.q} onEnter=${next} />
        <span class="quiet num" role="status">${hits ? fmt.plural(hits.hits.length, "node has", "nodes have") + " these words" : ""}</span>
        <span class="tree-jumps"><${Jump} words="Best leaf" k="b" at=${tree.best} onGo=${go} />
        <${Jump} words="Worst leaf" k="w" at=${tree.worst} onGo=${go} />
        <${Jump} words="Chosen" k="c" at=${tree.chosen} onGo=${go} />
        <button type="button" onClick=${() => all(true)}>Open all</button>
        <button type="button" onClick=${() => all(false)}>Close all</button></span></div>
      <div class="tree-grid"><div class=${`tree-side ${tree.visits ? "" : "no-visits"}`}>
        <div class="node node-head" aria-hidden="true"><span class="node-name">${data.kind === "rollouts" ? "Step" : "Text"}</span>
          <span></span><span class="node-visits num">${data.kind === "rollouts" ? "Rollouts" : "Visits"}</span><span></span>
          <span class="num">${data.kind === "rollouts" ? "Success" : "Value"}</span></div>
        ${hits && !hits.hits.length && html`<${SC.Blank} inner=${true} title="Nothing matches">No node has these words.<//>`}
        <${SC.VirtualList} className="outline" role="tree" id="tree" tabindex="0" label=${`Tree of ${say(data.title).slice(0, 200)}`}
          aria-activedescendant=${place.has(at) ? `node-${at}` : null} onKeyDown=${key} count=${rows.length} estimate=${34}
          inset=${60} handle=${list} again=${tree} item=${(k) =>
            html`<${Row} tree=${tree} i=${rows[k]} at=${at} open=${is(rows[k])} kind=${data.kind} q=${q} onToggle=${toggle}
              onPick=${go} />`} /></div>
        <${SC.NodePanel} tree=${tree} i=${at} kind=${data.kind} prompt=${data.prompt} up=${up} onGo=${go} onClose=${() => setUp(false)} /></div></div>`;
  }

  const Jump = ({ words, k, at, onGo }) =>
    given(at) && html`<button type="button" onClick=${() => onGo(at)}>${words} <kbd>${k}</kbd></button>`;

  function Head({ data, tree, facts }) {
    const spent = Object.entries(facts.spent ?? {}).filter(([, v]) => v),
      notes = Array.isArray(facts.notes) ? facts.notes : [],
      right = tree.leaves.filter((i) => tree.nodes[i].outcome >= 0.5).length,
      told = tree.leaves.filter((i) => given(tree.nodes[i].outcome)).length;
    const words = [
      KINDS[data.kind] ?? say(data.kind),
      given(facts.system) && say(facts.system),
      given(facts.rollout) && `rollout ${say(facts.rollout)}`,
      fmt.plural(tree.nodes.length, "node"),
      fmt.plural(tree.leaves.length, "leaf", "leaves"),
      `depth ${tree.depth}`,
      told > 0 && data.kind !== "rollouts" && `${fmt.count(right)} of ${fmt.count(told)} leaves right`,
      facts.stopped === "budget" && "ended by its budget",
    ].filter(Boolean);
    return html`<div class="tree-head"><p class="crumbs"><a href="#/trees">Trees</a> / <span class="isolate">${say(data.source)}</span></p>
      <h1 class="isolate lines2">${say(data.title)}</h1><p class="quiet isolate">${words.join(" · ")}</p>
      ${given(facts.gid) && html`<p><a href=${SC.groupHash(facts.gid)}>The runs of this task</a></p>`}
      ${data.cut > 0 && html`<p class="notice">The first ${fmt.count(tree.nodes.length)} of ${fmt.count(tree.nodes.length + data.cut)} nodes.</p>`}
      ${
        (given(facts.answer) || spent.length > 0) &&
        html`<dl class="facts">${given(facts.answer) && html`<div><dt>answer</dt><dd class="isolate">${SC.line(facts.answer, 120)}${
          given(facts.right) && html` <${SC.Badge} kind=${facts.right >= 0.5 ? "good" : "bad"} mark=${facts.right >= 0.5 ? "✓" : "✗"}>${
            facts.right >= 0.5 ? "right" : "wrong"
          }<//>`
        }</dd></div>`}
          ${spent.map(([name, v]) => html`<div key=${name} title=${
            name === "unknown" ? "Calls of a model that did not say how many tokens they read and wrote" : null
          }><dt>${SPENT.get(name) ?? say(name)}</dt><dd>${fmt.plain(v)}</dd></div>`)}</dl>`
      }
      ${notes.length > 0 && html`<details class="quiet"><summary>${fmt.plural(notes.length, "note")}</summary><ul>${notes
        .slice(0, 50)
        .map((n) => html`<li>${say(n)}</li>`)}</ul></details>`}</div>`;
  }

  SC.screens.set("trees", {
    nav: "Trees",
    title: () => "Trees",
    component: Trees,
    shown: (state) => Boolean(state.pages?.trees),
  });
  SC.screens.set("tree", { title: () => "Tree", component: Tree, under: "trees" });
})();
