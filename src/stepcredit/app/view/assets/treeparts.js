(() => {
  "use strict";

  /* Parts of the screen of a tree: what it is made of, the overview, the panel of a node.

     SC.treeOf(data) -> {nodes, end, kids, leaves, path, depth, low, high, best, worst, chosen}: nodes in order from the root
                     down, so that those below i are i + 1 … end[i] - 1
     NodeSigns {node, tree}   NodeValue {node, tree}   TreeMap {tree, at, onGo}   NodePanel {tree, i, kind, onGo, onClose} */

  const { html, fmt, given, say, useRef, useLayoutEffect, useState } = SC;

  SC.treeOf = (data) => {
    const nodes = data.nodes ?? [],
      n = nodes.length;
    const end = new Int32Array(n),
      kids = nodes.map(() => []),
      tops = [];
    let depth = 0;
    for (let i = 0; i < n; i++) {
      const up = nodes[i].parent;
      (given(up) && up < i ? kids[up] : tops).push(i);
      depth = Math.max(depth, nodes[i].depth);
    }
    for (let i = n - 1; i >= 0; i--) end[i] = kids[i].length ? end[kids[i].at(-1)] : i + 1;
    const leaves = [];
    for (let i = 0; i < n; i++) if (!kids[i].length) leaves.push(i);
    const values = nodes.map((x) => x.value).filter(given);
    const [least, most] = values.reduce(([a, b], v) => [Math.min(a, v), Math.max(b, v)], [0, 0]);
    const low = least,
      high = most > 1 || least < 0 ? Math.max(most, -least, 1e-12) : 1;
    const whole = leaves.filter((i) => nodes[i].ended),
      told = (whole.length ? whole : leaves).filter((i) => given(nodes[i].outcome) || given(nodes[i].value));
    const worth = (i) => [nodes[i].outcome ?? nodes[i].value, nodes[i].value ?? 0];
    const more = (a, b) => worth(a)[0] - worth(b)[0] || worth(a)[1] - worth(b)[1];
    const best = told.reduce((a, b) => (a === null || more(b, a) > 0 ? b : a), null),
      worst = told.reduce((a, b) => (a === null || more(b, a) < 0 ? b : a), null);
    const path = new Set(data.path ?? []),
      chosen = (data.path ?? []).at(-1) ?? null;
    const visits = nodes.some((x) => given(x.visits));
    const both = nodes.some((x) => x.given) && nodes.some((x, i) => i && !x.given);
    return { nodes, end, kids, tops, leaves, path, depth, low, high, best, worst, chosen, both, visits };
  };
  /** The level of the color of a value: blue above the middle of what values can be, red below. */
  const levelOf = (v, { low, high }) => {
    if (!given(v)) return "x";
    const middle = low < 0 ? 0 : (low + high) / 2;
    return SC.level(v - middle, high - middle);
  };

  const WORDS = { dropped: ["open", "−", "dropped"], failed: ["warn", "!", "not answered"], missing: ["open", "?", "not asked"] };
  SC.NodeSigns = ({ node, tree, kind }) => {
    const signs = [];
    if (node.chosen) signs.push(["accent", "★", "chosen"]);
    if (given(node.outcome) && node.ended) {
      if (kind === "rollouts") signs.push([null, node.outcome]);
      else signs.push(node.outcome >= 0.5 ? ["good", "✓", "right"] : ["bad", "✗", "wrong"]);
    } else if (node.ended) signs.push(["", "■", "ended"]);
    if (node.status && node.status !== "ended") signs.push(WORDS[node.status] ?? ["open", "", say(node.status)]);
    if (tree.both && node.given && kind !== "rollouts") signs.push(["", "▪", "given", "From what was given; nodes without this sign were made by the search"]);
    if (node.lost) signs.push(["warn", "!", "no parent"]);
    return signs.map(([color, mark, words, title]) =>
      color === null
        ? html`<${SC.Outcome} value=${mark} />`
        : html`<${SC.Badge} kind=${color} mark=${mark} title=${title}>${words}<//>`,
    );
  };
  SC.NodeValue = ({ node, tree }) => {
    const part = given(node.value) ? (node.value - tree.low) / (tree.high - tree.low || 1) : null;
    return html`<span class="node-bar" aria-hidden="true" data-l=${levelOf(node.value, tree)}>${
      part !== null && html`<i style=${{ width: `${Math.max(2, Math.min(100, 100 * part))}%` }}></i>`
    }</span>`;
  };

  /* The whole tree in a strip: a column for each leaf, a row for each depth. */

  const LEVELS = ["x", "0", "1", "2", "3", "4", "5", "-1", "-2", "-3", "-4", "-5"];
  const token = (level) =>
    level === "x" ? "--edge" : level === "0" ? "--zero" : level[0] === "-" ? `--n${level[1]}` : `--p${level}`;
  function colors(node) {
    const real = (name) => {
      node.style.color = `var(${name})`;
      return getComputedStyle(node).color;
    };
    const out = Object.fromEntries(LEVELS.map((l) => [l, real(token(l))]));
    out.ink = real("--ink");
    out.focus = real("--focus");
    node.style.color = "";
    return out;
  }
  SC.TreeMap = ({ tree, at, onGo }) => {
    const node = useRef(),
      redraw = SC.useRedraw();
    const rows = Math.min(tree.depth + 1, 28),
      high = Math.max(4, Math.min(12, Math.floor(112 / rows)));
    const place = useRef(null);
    if (place.current?.tree !== tree) {
      const from = new Int32Array(tree.nodes.length),
        to = new Int32Array(tree.nodes.length);
      let leaf = 0;
      for (let i = 0; i < tree.nodes.length; i++) if (!tree.kids[i].length) [from[i], to[i]] = [leaf, ++leaf];
      for (let i = tree.nodes.length - 1; i >= 0; i--)
        if (tree.kids[i].length) [from[i], to[i]] = [from[tree.kids[i][0]], to[tree.kids[i].at(-1)]];
      place.current = { tree, from, to, leaves: leaf || 1 };
    }
    const { from, to, leaves } = place.current;
    const draw = () => {
      const canvas = node.current,
        wide = canvas.clientWidth,
        ratio = devicePixelRatio || 1;
      canvas.width = Math.round(wide * ratio);
      canvas.height = Math.round(rows * high * ratio);
      const pen = canvas.getContext("2d"),
        ink = colors(canvas);
      pen.scale(ratio, ratio);
      const x = (leaf) => (leaf / leaves) * wide,
        gap = wide / leaves > 4 ? 1 : 0;
      const ends = new Float64Array(rows).fill(-1);
      tree.nodes.forEach((one, i) => {
        if (one.depth >= rows) return;
        const right = x(to[i]);
        if (right - ends[one.depth] < 0.5 && !tree.path.has(i)) return;
        ends[one.depth] = right;
        pen.globalAlpha = (given(one.value) ? 1 : 0.35) * (one.status === "dropped" ? 0.4 : 1);
        pen.fillStyle = ink[levelOf(one.value, tree)];
        pen.fillRect(x(from[i]), one.depth * high, Math.max(0.5, right - x(from[i]) - gap), high - 1);
      });
      const thin = high > 7 ? 2 : 1;
      pen.globalAlpha = 1;
      pen.fillStyle = ink.ink;
      for (const i of tree.path)
        if (tree.nodes[i].depth < rows)
          pen.fillRect(x(from[i]), tree.nodes[i].depth * high + high - thin - 1, Math.max(3, x(to[i]) - x(from[i]) - gap), thin);
      if (given(at) && tree.nodes[at]?.depth < rows) {
        pen.strokeStyle = ink.focus;
        pen.lineWidth = 2;
        pen.strokeRect(
          x(from[at]) + 1,
          tree.nodes[at].depth * high + 1,
          Math.max(3, x(to[at]) - x(from[at]) - 2),
          Math.max(2, high - 3),
        );
      }
    };
    useLayoutEffect(() => {
      draw();
      const sizes = new ResizeObserver(() => redraw()),
        theme = new MutationObserver(() => redraw()),
        system = matchMedia("(prefers-color-scheme: dark)");
      sizes.observe(node.current.parentElement);
      theme.observe(document.documentElement, { attributes: true, attributeFilter: ["data-theme"] });
      system.addEventListener("change", redraw);
      return () => {
        sizes.disconnect();
        theme.disconnect();
        system.removeEventListener("change", redraw);
      };
    }, [tree]);
    useLayoutEffect(draw);
    const go = (event) => {
      const box = node.current.getBoundingClientRect(),
        leaf = ((event.clientX - box.left) / box.width) * leaves,
        deep = Math.floor((event.clientY - box.top) / high);
      let hit = null;
      for (let i = 0; i < tree.nodes.length; i++)
        if (tree.nodes[i].depth <= deep && from[i] <= leaf && leaf < to[i]) hit = i;
      if (hit !== null) onGo(hit);
    };
    return html`<div class="treemap"><canvas ref=${node} style=${{ height: `${rows * high}px` }} onClick=${go}
      role="img" aria-label=${`The whole tree: ${fmt.plural(tree.nodes.length, "node")}, ${fmt.plural(
        tree.leaves.length,
        "leaf",
        "leaves",
      )}, depth ${tree.depth}`}></canvas>
      <p class="legend"><span class="key">a column for each leaf, a row for each depth</span><span class="key">value
        <span class="num">${fmt.plain(tree.low)}</span><span class="ramp" aria-hidden="true">${["-5", "-3", "-1", "1", "3", "5"].map(
          (l) => html`<span class="swatch" data-l=${l}></span>`,
        )}</span><span class="num">${fmt.plain(tree.high)}</span></span>${
          tree.path.size > 0 && html`<span class="key"><span class="map-line" aria-hidden="true"></span>chosen path</span>`
        }</p></div>`;
  };

  /* What is known of a node. */

  const Fact = ({ name, children }) => html`<tr><th scope="row">${name}</th><td class="num">${children}</td></tr>`;
  function Said({ title, text, length, pretty }) {
    if (!given(text)) return null;
    return html`<section><h3>${title}</h3>${pretty ? html`<${SC.Pretty} value=${text} />` : html`<${SC.Prose} text=${text} />`}
      ${given(length) && html`<p class="quiet">Cut here: the whole has ${fmt.count(length)} characters.</p>`}</section>`;
  }
  SC.NodePanel = ({ tree, i, kind, prompt, up, onGo, onClose }) => {
    const node = tree.nodes[i],
      folds = useRef(new Map()).current,
      [, set] = useState(0);
    if (!node) return html`<aside class="panel tree-panel" aria-label="Node"><p class="quiet">Choose a node.</p></aside>`;
    const path = [];
    for (let k = i; given(k); k = tree.nodes[k].parent) path.push(k);
    path.reverse();
    const facts = Object.entries(node.facts ?? {});
    return html`<aside class=${`panel tree-panel ${up ? "up" : ""}`} aria-label="Node" key=${i}>
      <div class="panel-top"><h2>${i === 0 && !node.lost ? "The task" : html`Node ${say(node.name)}`}
        <span class="quiet num"> depth ${node.depth}</span></h2>
        <button type="button" class="bare icon panel-close" aria-label="Close" onClick=${onClose}>
          <${SC.Icon} name="close" /></button></div>
      <p class="node-signs"><${SC.NodeSigns} node=${node} tree=${tree} kind=${kind} /></p>
      <${Said} title=${kind === "rollouts" ? "Step" : "Text"} text=${node.text || (i === 0 ? prompt : null)} length=${node.text_length} />
      <${Said} title="Answer of the world" text=${node.observation} length=${node.observation_length} pretty=${true} />
      <section><h3>Numbers</h3><table><tbody>
        <${Fact} name=${kind === "rollouts" ? "mean outcome" : "value"}>${given(node.value) ? fmt.plain(node.value) : "not known"}<//>
        ${given(node.score) && node.score !== node.value && html`<${Fact} name="score">${fmt.plain(node.score)}<//>`}
        ${given(node.visits) && html`<${Fact} name=${kind === "rollouts" ? "rollouts" : "visits"}>${fmt.count(node.visits)}<//>`}
        ${given(node.drawn) && html`<${Fact} name="right of drawn">${fmt.count(node.won ?? 0)} of ${fmt.count(node.drawn)}<//>`}
        ${given(node.outcome) && html`<${Fact} name="outcome">${fmt.plain(node.outcome)}<//>`}
        <${Fact} name="children">${fmt.count(tree.kids[i].length)}<//>
        <${Fact} name="nodes below">${fmt.count(tree.end[i] - i - 1)}<//></tbody></table>
        ${given(node.reason) && html`<p class="quiet">${say(node.reason)}</p>`}</section>
      ${given(node.run) && html`<p><a href=${SC.runHash(node.run)}>Read this run</a></p>`}
      ${
        facts.length > 0 &&
        html`<section><h3>What the policy noted</h3><table><tbody>${facts.slice(0, 40).map(
          ([name, value]) => html`<tr><th scope="row">${say(name)}</th><td class="num wrap">${
            typeof value === "object" ? SC.line(value, 200) : fmt.plain(value)
          }</td></tr>`,
        )}</tbody></table></section>`
      }
      ${
        path.length > 1 &&
        html`<section><h3>The way here</h3><ol class="way">${path.slice(-40).map(
          (k) => html`<li key=${k}><button type="button" class="bare" aria-current=${k === i ? "true" : null}
            onClick=${() => onGo(k)}><span class="num quiet">${tree.nodes[k].depth}</span><span class="clip">${
              say(tree.nodes[k].label) || (k === 0 ? "the task" : "no text")
            }</span></button></li>`,
        )}</ol>
        <${SC.Folded} id=${`whole ${i}`} folds=${folds} summary=${html`<b>Whole text</b>`}>${() =>
          html`<pre class="code plain" tabindex="0" dir="auto">${say(
            path
              .flatMap((k) => [tree.nodes[k].text, tree.nodes[k].observation])
              .filter(given)
              .join("\n"),
          )}</pre>`}<//></section>`
      }</aside>`;
  };
})();
