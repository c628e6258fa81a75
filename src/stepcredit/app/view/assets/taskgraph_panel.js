(() => {
  "use strict";

  /* What is chosen in the graph of a task, to read: GraphPanel. The graph as a list, level by level: GraphList. */

  const { html, fmt, given, say, useState } = SC;
  const { shape, parts, placeName, shareWords, endWords, brief } = SC.graphWords;
  const FEW = 3;

  const Share = ({ of }) =>
    html`<span class="tg-bar" data-l=${shape(of.success)} aria-hidden="true">${
      given(of.success) &&
      html`<i style=${{ width: `${100 * of.success}%` }}></i>${
        given(of.low) && html`<u style=${{ left: `${100 * of.low}%`, right: `${100 - 100 * of.high}%` }}></u>`
      }`
    }</span>`;
  const Ends = ({ n }) =>
    endWords(n).map(
      ([count, mark, kind, word]) => html`<${SC.Badge} key=${mark} kind=${kind} mark=${mark}>${fmt.count(count)}
      <span class="hidden"> ${word} here</span><//>`,
    );

  /** A way as a line that leads to it. */
  function WayLine({ l, to, onPick }) {
    const far = to ? l.b : l.a,
      one = l.ways.length === 1 ? l.ways[0] : null;
    return html`<li><button type="button" class="bare tg-wayline" onClick=${() => onPick(l)}>
      <span aria-hidden="true">${l.a === l.b ? "↺" : to ? "→" : "←"}</span><span class="tg-two">
      <span class="clip isolate">${one ? SC.line(brief(one.label), 100) : fmt.plural(l.ways.length, "action")}</span>
      <small class="clip isolate">${l.a === l.b ? "loop: stays here" : SC.line(placeName(far), 80)}</small></span>
      ${l.harm && html`<${SC.Badge} kind="bad" mark="▼">falls<//>`}
      <small class="num">${fmt.count(l.visits)}× ${given(one ? one.success : far.success) && html`<b>${fmt.share(one ? one.success : far.success)}</b>`}</small></button></li>`;
  }

  function Facts({ of, runs }) {
    return html`<div class="tg-facts"><${Share} of=${of} /><span>${shareWords(of)}, ${fmt.plural(runs, "run")}</span></div>`;
  }

  function Visitors({ group, pairs }) {
    const [all, setAll] = useState(false),
      named = new Map(group.runs.map((r) => [r.id, r]));
    const shown = all ? pairs : pairs.slice(0, 12);
    return html`<ul class="tg-visitors">${shown.map(([id, step]) => {
      const r = named.get(id),
        words = html`<${SC.Outcome} value=${r?.outcome} words=${false} /> <span class="isolate">${say(r?.rollout ?? id)}</span>${
          given(step) && step >= 0 && html`<small> step ${step}</small>`
        }`;
      return html`<li key=${`${id} ${step}`}>${
        SC.store.runs?.row(id) === undefined ? words : html`<a href=${SC.runHash(id, step >= 0 ? step : null)}>${words}</a>`
      }</li>`;
    })}${
      pairs.length > shown.length &&
      html`<li><button type="button" class="text" onClick=${() => setAll(true)}>${fmt.count(pairs.length - shown.length)} more</button></li>`
    }</ul>`;
  }

  /** The words of one step of one run. */
  function Taken({ run, step }) {
    const { data, error } = SC.useApi(`/api/run/${encodeURIComponent(run.id)}/steps?from=${step}&to=${step + 1}`),
      said = data?.steps?.[0];
    const reply = said && (said.replies?.find((m) => m.content)?.content ?? said.observation);
    return html`<article class="tg-taken"><header><${SC.Outcome} value=${run.outcome} words=${false} />
      <a href=${SC.runHash(run.id, step)}>Run <span class="isolate">${say(run.rollout)}</span>, step ${step}</a>
      ${given(said?.agent) && html`<small class="clip isolate">${say(said.agent)}</small>`}</header>
      ${error && html`<p class="quiet">${say(error.message)}</p>`}${!said && !error && html`<p class="quiet">Reading …</p>`}
      ${
        said &&
        html`${given(said.text) && html`<p class="tg-words" dir="auto">${SC.line(said.text, 700)}</p>`}
        ${(said.calls?.length > 0 || !given(said.text)) && html`<p class="mono tg-words" dir="auto">${SC.summary(said)}</p>`}
        ${given(reply) && html`<p class="quiet tg-words" dir="auto"><span aria-hidden="true">↳ </span>
          <span class="hidden">answer: </span>${SC.line(reply, 400)}</p>`}`
      }</article>`;
  }

  function WayPanel({ l, group, badges, run, onPick }) {
    const named = new Map(group.runs.map((r) => [r.id, r]));
    const [many, setMany] = useState(FEW);
    const all = l.ways.flatMap((e) => e.steps).filter(([, step]) => step >= 0),
      readable = all.filter(([id]) => SC.store.runs?.row(id) !== undefined && named.has(id));
    // the chosen run first, then failed ones and successes in turn
    const kind = (k) => readable.filter(([id]) => (SC.outcome(named.get(id).outcome) === "succeeded") === k && id !== run);
    const [won, lost] = [kind(true), kind(false)],
      order = readable.filter(([id]) => id === run);
    for (let i = 0; i < Math.max(won.length, lost.length); i++) order.push(...[lost[i], won[i]].filter(Boolean));
    return html`<p class="quiet">${l.a === l.b ? "A step that stays where it was" : l.back ? "A way back" : "A way"}</p>
      <h2 class="isolate">${l.ways.length === 1 ? SC.line(l.ways[0].label, 240) : `${l.ways.length} different actions`}</h2>
      ${l.ways.length === 1 ? html`<${Facts} of=${l.ways[0]} runs=${l.runs.size} />` : html`<ul class="tg-ways">${l.ways.map(
        (e, i) => html`<li key=${i}><span class="isolate">${SC.line(e.label, 160)}</span><${Facts} of=${e} runs=${new Set(e.steps.map(([r]) => r)).size} /></li>`,
      )}</ul>`}
      ${badges.has(l.key) && html`<p class="notice bad">✗ ${badges.get(l.key).join(", ")}</p>`}
      ${l.harm && html`<p class="notice bad">▼ Successes fall here: ${fmt.share(l.a.success)} of the runs before, ${fmt.share(
        l.falls.success,
      )} of those that went this way${l.ways.length > 1 ? ` by ${SC.line(l.falls.label, 60)}` : ""}.</p>`}
      <h3>Between</h3><ul class="tg-lines">${[l.a, ...(l.a === l.b ? [] : [l.b])].map(
        (n, i) => html`<li key=${i}><button type="button" class="bare tg-wayline" onClick=${() => onPick(n)}><span aria-hidden="true">${i ? "→" : "•"}</span>
        <span class="clip isolate">${n.stretch ? `${n.stretch.length} states in a row` : SC.line(placeName(n), 100)}</span>
        <small class="num">${fmt.share(n.success)}</small></button></li>`,
      )}</ul>
      <h3>What the step said</h3>
      ${order.slice(0, many).map(([id, step]) => html`<${Taken} key=${`${id} ${step}`} run=${named.get(id)} step=${step} />`)}
      ${order.length > many && html`<button type="button" class="more" onClick=${() => setMany(many + 6)}>${fmt.count(order.length - many)} more</button>`}
      ${!order.length && html`<p class="quiet">The runs that went this way are not in this page.</p>`}`;
  }

  function NodePanel({ n, group, onPick, onUnfold }) {
    const pairs = new Map();
    for (const l of [...n.out, ...(n.loop ? [n.loop] : [])])
      for (const e of l.ways) for (const [id, step] of e.steps) if (n.members.includes(e.from) && !(pairs.get(id) <= step)) pairs.set(id, step);
    for (const id of n.who) if (!pairs.has(id)) pairs.set(id, null);
    if (n.stretch)
      return html`<p class="quiet">A straight stretch</p><h2>${n.stretch.length} states in a row</h2><${Facts} of=${n} runs=${n.who.size} />
        <button type="button" class="strong" onClick=${() => onUnfold(n)}>Unfold</button>
        <ol class="tg-stretch">${n.stretch.map((m) => {
          const [id, step] = m.into[0].ways[0].steps[0],
            words = SC.line(brief(m.into[0].ways[0].label), 120);
          return html`<li key=${m.key}>${
            SC.store.runs?.row(id) === undefined || step < 0 ? words : html`<a class="plain" href=${SC.runHash(id, step)}>${words}</a>`
          }</li>`;
        })}</ol>`;
    return html`<p class="quiet">${n.depth === 0 ? "Where runs begin" : `Reached after ${fmt.plural(n.depth, "step")} at the earliest`}</p>
      <h2 class="isolate">${SC.line(placeName(n), 120)}</h2><${Facts} of=${n} runs=${n.who.size} />
      <p class="tg-signs">${parts(n) && html`<${SC.Badge} kind="accent" mark="◆">paths part into ${n.out.length}<//>`}
        ${endWords(n).map(([count, mark, kind, word]) => html`<${SC.Badge} key=${mark} kind=${kind} mark=${mark}>${fmt.plural(count, "run")} ${word} here<//>`)}</p>
      ${given(n.state) && SC.line(placeName(n), 120) !== n.state && html`<h3>State</h3><div class="tg-state"><${SC.Pretty} value=${n.state} /></div>`}
      ${n.out.length + (n.loop ? 1 : 0) > 0 && html`<h3>Ways on</h3><ul class="tg-lines">${[...n.out, ...(n.loop ? [n.loop] : [])].map(
        (l) => html`<${WayLine} key=${l.key} l=${l} to=${true} onPick=${onPick} />`,
      )}</ul>`}
      ${n.into.length > 0 && html`<h3>Ways to here</h3><ul class="tg-lines">${n.into.map((l) => html`<${WayLine} key=${l.key} l=${l} to=${false} onPick=${onPick} />`)}</ul>`}
      <h3>Runs here</h3><${Visitors} group=${group} pairs=${[...pairs]} />`;
  }

  /** What to look at first. */
  SC.GraphHints = ({ placed, onPick }) => {
    const harm = placed.links.filter((l) => l.harm).sort((p, q) => q.fall - p.fall),
      forks = placed.nodes.filter(parts).sort((p, q) => q.who.size - p.who.size);
    return html`${harm.length > 0 && html`<h2>Where successes fall most</h2><ul class="tg-lines">${harm.map(
      (l) => html`<li key=${l.key}><button type="button" class="bare tg-wayline" onClick=${() => onPick(l)}><span class="tg-falls" aria-hidden="true">▼</span>
        <span class="tg-two"><span class="clip isolate">${SC.line(brief(l.falls.label), 100)}</span>
        <small class="clip isolate">${l.a === l.b ? "loop: stays here" : SC.line(placeName(l.b), 80)}</small></span>
        <small class="num">${fmt.share(l.a.success)} → <b>${fmt.share(l.falls.success)}</b></small></button></li>`,
    )}</ul>`}${forks.length > 0 && html`<h2>Where paths part</h2><ul class="tg-lines">${forks.slice(0, 5).map(
      (n) => html`<li key=${n.key}><button type="button" class="bare tg-wayline" onClick=${() => onPick(n)}><span aria-hidden="true">◆</span>
        <span class="clip isolate">${SC.line(placeName(n), 80)}</span><small class="num">${fmt.plural(n.out.length, "way")}</small></button></li>`,
    )}</ul>`}`;
  };

  SC.GraphPanel = (inner) => {
    const { at, onPick } = inner;
    return html`<button type="button" class="icon bare tg-close" aria-label="Close" onClick=${() => onPick(null)}><${SC.Icon} name="close" /></button>
      ${at.a ? html`<${WayPanel} key=${at.key} l=${at} ...${inner} />` : html`<${NodePanel} key=${at.key} n=${at} ...${inner} />`}`;
  };

  /* The list. */

  SC.GraphList = ({ placed, run, at, onPick, badges }) => {
    const levels = placed.rows.map((row) => row.toSorted((p, q) => q.who.size - p.who.size));
    return html`<div class="tg-list">${levels.map(
      (row, i) => html`<section key=${i} aria-label=${i ? `Level ${i}` : "Start"}><h2>${i ? `Level ${i}` : "Start"}
        <small> ${fmt.plural(row.length, "state")}</small></h2><ul>${row.map(
        (n) => html`<li key=${n.key} class=${`tg-row ${n.key === at?.key ? "chosen" : ""} ${given(run) && n.who.has(run) ? "lit" : ""} ${
          given(run) && !n.who.has(run) ? "off" : ""
        }`}><button type="button" class="bare tg-rowname" aria-pressed=${String(n.key === at?.key)} onClick=${() => onPick(n)}>
          <span class="lines2 isolate">${n.stretch ? `${n.stretch.length} states in a row` : SC.line(placeName(n), 120)}</span>
          <span class="tg-rowfacts"><${Share} of=${n} /><span>${shareWords(n)}</span><span>${fmt.plural(n.who.size, "run")}</span>
          ${parts(n) && html`<span>◆ parts into ${n.out.length}</span>`}<${Ends} n=${n} /></span></button>
          ${n.out.length > 0 && html`<ul class="tg-lines">${n.out.map((l) => html`<li key=${l.key}><button type="button" class="bare tg-wayline"
            onClick=${() => onPick(l)}><span aria-hidden="true">→</span><span class="tg-two"><span class="clip isolate">${
              l.ways.length === 1 ? SC.line(brief(l.ways[0].label), 100) : fmt.plural(l.ways.length, "action")
            }</span><small class="clip isolate">${SC.line(placeName(l.b), 80)}</small></span>
            ${badges.has(l.key) && html`<${SC.Badge} kind="bad" mark="✗">${badges.get(l.key).join(", ")}<//>`}
            ${l.harm && html`<${SC.Badge} kind="bad" mark="▼">falls<//>`}
            <small class="num">${fmt.count(l.visits)} ×</small></button></li>`)}</ul>`}</li>`,
      )}</ul></section>`,
    )}</div>`;
  };
})();
