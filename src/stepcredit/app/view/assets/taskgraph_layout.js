(() => {
  "use strict";

  /* From a graph of states to places on a plane: levels from left to right, few crossings. Pure functions.

     model(graph, runs): {nodes, links, roots, most, paths}: edges between the same two nodes are one link of several ways
     fold(model, open): straight stretches of 3 nodes and more become one node, but those whose key is in open
     place(drawn): adds x, y to nodes, d and middle to links; {width, height}
     walk(placed, key, move, run): where an arrow key leads to */

  const layout = (SC.graphLayout = { WIDE: 178, HIGH: 54, GAP: 118, ROW: 22, LANE: 14, THICK: 15 });

  layout.model = (graph, runs) => {
    const nodes = new Map(),
      links = new Map();
    for (const n of graph.nodes)
      nodes.set(n.id, { ...n, key: `n${n.id}`, members: [n.id], out: [], into: [], loop: null, ends: [], who: new Set(n.runs) });
    for (const e of graph.edges) {
      const a = nodes.get(e.from),
        b = nodes.get(e.to);
      if (!a || !b) continue;
      const key = `e${e.from}-${e.to}`;
      let link = links.get(key);
      if (!link) {
        link = { key, a, b, visits: 0, ways: [], runs: new Set(), fall: 0 };
        links.set(key, link);
        if (a === b) a.loop = link;
        else {
          a.out.push(link);
          b.into.push(link);
        }
      }
      link.visits += e.visits;
      link.ways.push(e);
      for (const [run] of e.steps) link.runs.add(run);
      if (e.fall > link.fall) Object.assign(link, { fall: e.fall, falls: e });
    }
    const list = [...nodes.values()],
      all = [...links.values()];
    for (const n of list) {
      n.out.sort((p, q) => q.visits - p.visits);
      n.into.sort((p, q) => q.visits - p.visits);
    }
    for (const l of all) l.ways.sort((p, q) => q.visits - p.visits);
    const paths = pathsOf(list, graph.edges, nodes);
    for (const run of runs) {
      const last = nodes.get(paths.get(run.id)?.at(-1));
      if (last?.end) last.ends.push(run);
    }
    // what costs the most successes: at most three, none of less than half of the worst
    const worst = all.filter((l) => l.fall > 0).sort((p, q) => q.fall - p.fall);
    worst.slice(0, 3).forEach((l) => (l.harm = l.fall >= worst[0].fall / 2));
    const first = list.filter((n) => n.depth === 0);
    return {
      nodes: list,
      links: all,
      roots: first.length ? first : list.slice(0, 1),
      most: Math.max(1, ...all.filter((l) => l.a !== l.b).map((l) => l.visits)),
      paths,
    };
  };

  /** run id -> ids of the nodes that it passed, in order. */
  function pathsOf(list, edges, nodes) {
    const steps = new Map();
    for (const e of edges)
      for (const [run, step] of e.steps) (steps.get(run) ?? steps.set(run, []).get(run)).push([step, e.from, e.to]);
    const paths = new Map();
    for (const [run, taken] of steps) {
      taken.sort((p, q) => p[0] - q[0]);
      paths.set(run, [taken[0][1], ...taken.map((t) => t[2])].filter((id) => nodes.has(id)));
    }
    for (const n of list) for (const run of n.runs) if (!paths.has(run)) paths.set(run, [n.id]);
    return paths;
  }

  layout.fold = (model, open) => {
    const plain = (n) =>
      n.into.length === 1 &&
      n.out.length === 1 &&
      !n.end &&
      !n.loop &&
      n.depth > 0 &&
      n.who.size === n.into[0].a.who.size &&
      !open.has(n.key);
    const copies = new Map(),
      nodes = [];
    const done = new Set();
    for (const n of model.nodes) {
      if (done.has(n)) continue;
      let head = n;
      const seen = new Set([n]);
      if (plain(n))
        while (plain(head.into[0].a) && !seen.has(head.into[0].a)) seen.add((head = head.into[0].a));
      const chain = [];
      if (plain(n))
        for (let m = head; plain(m) && !chain.includes(m); m = m.out[0].b) chain.push(m);
      const whole = chain.length >= 3;
      const made = whole
        ? { ...head, key: `s${head.id}`, members: chain.map((m) => m.id), stretch: chain, out: [], into: [] }
        : { ...n, out: [], into: [] };
      nodes.push(made);
      for (const m of whole ? chain : [n]) {
        done.add(m);
        copies.set(m, made);
      }
    }
    const links = [];
    for (const l of model.links) {
      const a = copies.get(l.a),
        b = copies.get(l.b);
      if (a === b && l.a !== l.b) continue;
      const made = { ...l, a, b };
      links.push(made);
      if (a === b) a.loop = made;
      else {
        a.out.push(made);
        b.into.push(made);
      }
    }
    for (const n of nodes) {
      n.out.sort((p, q) => q.visits - p.visits);
      n.into.sort((p, q) => q.visits - p.visits);
    }
    const at = new Map(nodes.flatMap((n) => n.members.map((id) => [id, n])));
    return { ...model, nodes, links, at, roots: model.roots.map((r) => copies.get(r)) };
  };

  /* Levels: the longest way from a root, ways back left out. */

  function levels({ nodes, roots }) {
    const state = new Map(),
      order = [];
    const visit = (start) => {
      const stack = [[start, 0]];
      state.set(start, 1);
      while (stack.length) {
        const top = stack.at(-1),
          link = top[0].out[top[1]++];
        if (!link) {
          state.set(top[0], 2);
          order.push(top[0]);
          stack.pop();
        } else if (state.get(link.b) === 1) link.back = true;
        else if (!state.has(link.b)) {
          state.set(link.b, 1);
          stack.push([link.b, 0]);
        }
      }
    };
    for (const n of [...roots, ...nodes]) if (!state.has(n)) visit(n);
    for (const n of nodes) n.level = 0;
    for (const n of order.reverse()) for (const l of n.out) if (!l.back) l.b.level = Math.max(l.b.level, n.level + 1);
    return order;
  }

  /* Rows of what stands on a level: nodes, and lanes of links that pass it. */

  function rowsOf(drawn, order) {
    const rows = [];
    const put = (item, level) => (rows[level] ??= []).push(item);
    for (const n of order) {
      n.ins = [];
      n.outs = [];
      put(n, n.level);
    }
    const tie = (a, b, weight) => {
      a.outs.push([b, weight]);
      b.ins.push([a, weight]);
    };
    for (const n of order)
      for (const l of n.out) {
        if (l.back) continue;
        l.lanes = [];
        let from = n;
        for (let level = n.level + 1; level < l.b.level; level++) {
          const lane = { lane: l, ins: [], outs: [], level };
          l.lanes.push(lane);
          put(lane, level);
          tie(from, lane, l.visits);
          from = lane;
        }
        tie(from, l.b, l.visits);
      }
    return rows.filter(Boolean);
  }

  const mean = (ties, value, otherwise) => {
    let sum = 0,
      of = 0;
    for (const [item, weight] of ties) {
      sum += weight * value(item);
      of += weight;
    }
    return of ? sum / of : otherwise;
  };
  const number = (rows) => rows.forEach((row) => row.forEach((item, i) => (item.rank = i)));
  function crossings(rows) {
    let count = 0;
    for (const row of rows) {
      const ends = row.flatMap((item) => item.outs.map(([to]) => to.rank).sort((p, q) => p - q).map((rank) => [item.rank, rank]));
      for (let i = 0; i < ends.length; i++)
        for (let k = i + 1; k < ends.length; k++) if (ends[i][0] < ends[k][0] && ends[i][1] > ends[k][1]) count++;
    }
    return count;
  }
  function sort(rows) {
    number(rows);
    let best = rows.map((row) => [...row]),
      least = crossings(rows);
    for (let sweep = 0; sweep < 10 && least > 0; sweep++) {
      const down = sweep % 2 === 0;
      for (const row of down ? rows : rows.toReversed()) {
        for (const item of row) item.want = mean(down ? item.ins : item.outs, (x) => x.rank, item.rank);
        row.sort((p, q) => p.want - q.want || p.rank - q.rank);
        row.forEach((item, i) => (item.rank = i));
      }
      const now = crossings(rows);
      if (now < least) [best, least] = [rows.map((row) => [...row]), now];
    }
    rows.forEach((row, i) => row.splice(0, row.length, ...best[i]));
    number(rows);
  }

  const room = (item) => (item.lane ? layout.LANE : layout.HIGH + layout.ROW);
  /** Nearest to what each wants, in order and apart: blocks that would overlap move together. */
  function settle(row) {
    const blocks = [];
    let offset = 0;
    row.forEach((item, i) => {
      if (i) offset += (room(row[i - 1]) + room(item)) / 2;
      item.offset = offset;
      let block = { items: [item], weight: item.lane ? 0.4 : 1, sum: (item.want - offset) * (item.lane ? 0.4 : 1) };
      while (blocks.length && blocks.at(-1).sum / blocks.at(-1).weight > block.sum / block.weight) {
        const before = blocks.pop();
        block = { items: [...before.items, ...block.items], weight: before.weight + block.weight, sum: before.sum + block.sum };
      }
      blocks.push(block);
    });
    for (const b of blocks) for (const item of b.items) item.cy = b.sum / b.weight + item.offset;
  }
  function spread(rows) {
    for (const row of rows) {
      for (const item of row) item.want = 0;
      settle(row);
    }
    for (let sweep = 0; sweep < 14; sweep++) {
      const down = sweep % 2 === 0;
      for (const row of down ? rows : rows.toReversed()) {
        for (const item of row) item.want = mean(down ? item.ins : item.outs, (x) => x.cy, item.cy);
        settle(row);
      }
    }
    for (const row of rows) {
      for (const item of row) item.want = mean([...item.ins, ...item.outs], (x) => x.cy, item.cy);
      settle(row);
    }
  }

  layout.place = (drawn) => {
    const rows = rowsOf(drawn, levels(drawn));
    sort(rows);
    spread(rows);
    const { WIDE, HIGH, GAP } = layout,
      top = Math.min(...rows.flat().map((item) => item.cy)) - HIGH / 2;
    rows.forEach((row, level) =>
      row.forEach((item) => {
        item.cy = Math.round(item.cy - top);
        item.x = level * (WIDE + GAP);
        item.y = item.cy - HIGH / 2;
      }),
    );
    for (const n of drawn.nodes) ports(n, Math.max(8, drawn.most));
    const low = drawn.links.filter((l) => l.a !== l.b).map(route);
    return {
      ...drawn,
      rows: rows.map((row) => row.filter((item) => !item.lane)),
      byKey: new Map([...drawn.nodes, ...drawn.links].map((x) => [x.key, x])),
      width: rows.length * (WIDE + GAP) - GAP,
      height: Math.max(HIGH, ...rows.flat().map((item) => item.cy + HIGH / 2), ...low),
    };
  };
  const near = (l, out) => (out ? (l.lanes?.[0] ?? l.b) : (l.lanes?.at(-1) ?? l.a));
  /** Links leave and enter beside one another, as thick as many took them. */
  function ports(n, most) {
    for (const l of n.out) l.thick = Math.max(1.5, (layout.THICK * l.visits) / most);
    for (const [list, out] of [
      [n.out, true],
      [n.into, false],
    ]) {
      const thick = (l) => Math.max(1.5, (layout.THICK * l.visits) / most) + 1.5;
      const tall = list.reduce((sum, l) => sum + thick(l), 0),
        shrink = Math.min(1, (layout.HIGH - 8) / tall);
      let y = n.cy - (tall * shrink) / 2;
      for (const l of list.toSorted((p, q) => near(p, out).cy - near(q, out).cy)) {
        l[out ? "from" : "to"] = y + (thick(l) * shrink) / 2;
        y += thick(l) * shrink;
      }
    }
  }
  function route(l) {
    const { WIDE, HIGH } = layout,
      [x1, x2] = [l.a.x + WIDE, l.b.x];
    if (l.back) {
      const low = Math.max(l.a.cy, l.b.cy) + HIGH / 2 + 12;
      l.d = `M${x1} ${l.from}C${x1 + 44} ${l.from} ${x1 + 44} ${low} ${x1} ${low}L${x2} ${low}C${x2 - 44} ${low} ${x2 - 44} ${l.to} ${x2} ${l.to}`;
      l.middle = [(x1 + x2) / 2, low];
      l.label = [l.middle[0], low - 5, "middle"];
      l.badge = [l.middle[0], low + 4, "middle"];
      return low + 10;
    }
    let [x, y] = [x1, l.from];
    l.d = `M${x} ${y}`;
    for (const stop of [...l.lanes.map((p) => [p.x, p.cy, p.x + WIDE]), [x2, l.to, x2]]) {
      const bend = (x + stop[0]) / 2;
      l.d += `C${bend} ${y} ${bend} ${stop[1]} ${stop[0]} ${stop[1]}`;
      if (stop[2] !== stop[0]) l.d += `H${stop[2]}`;
      [x, y] = [stop[2], stop[1]];
    }
    const second = l.lanes[0]?.cy ?? l.to;
    l.middle = [x1 + layout.GAP / 2, (l.from + second) / 2];
    // words stand at the end where the fewer ways crowd
    const [wx, wy, anchor] = l.a.out.length >= l.b.into.length ? [x1 + layout.GAP - 8, second, "end"] : [x1 + 14, l.from, "start"];
    l.label = [wx, wy - l.thick / 2 - 4, anchor];
    l.badge = [wx, wy + l.thick / 2 + 3, anchor];
    return 0;
  }

  /** What an arrow key leads to. On a node that ways part at, right leads to the ways, up and down choose among them. */
  layout.walk = (placed, key, move, run) => {
    const here = placed.byKey.get(key) ?? placed.roots[0];
    const best = (links) => links.find((l) => l.runs.has(run)) ?? links[0];
    if (here.a) {
      const ways = here.a.out.toSorted((p, q) => near(p, true).cy - near(q, true).cy),
        next = ways[ways.indexOf(here) + (move === "ArrowDown" ? 1 : -1)];
      return move === "ArrowRight" ? here.b : move === "ArrowLeft" ? here.a : (next ?? here);
    }
    if (move === "ArrowRight") return here.out.length > 1 ? best(here.out) : (here.out[0]?.b ?? here);
    if (move === "ArrowLeft") return best(here.into)?.a ?? here;
    const row = placed.rows[here.level];
    return row[row.indexOf(here) + (move === "ArrowDown" ? 1 : -1)] ?? here;
  };
})();
