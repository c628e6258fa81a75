(() => {
  "use strict";

  /* Two runs of a task side by side, from where they part. */

  const { html, fmt, given, say, useState, useEffect, useMemo, useRef } = SC;

  const deed = (step) =>
    JSON.stringify(
      step?.calls?.length ? step.calls.map((c) => [c.name, c.arguments]) : (step?.action ?? step?.text ?? null),
    );
  /** The first step at which two runs did something else. */
  SC.parting = (a, b) => {
    let i = 0;
    while (i < Math.min(a.length, b.length) && deed(a[i]) === deed(b[i])) i++;
    return i;
  };

  /** What numbers of both runs are by: the chosen source if both have it, else the first that tells steps apart. */
  SC.common = (mine, theirs, chosen) => {
    const both = mine.filter((s) => theirs.some((t) => t.key === s.key));
    return (
      both.find((s) => s.key === chosen?.key) ??
      SC.firstSource(both) ??
      SC.firstSource(theirs.filter((t) => both.some((s) => s.key === t.key)))
    );
  };
  function Side({ run, steps, from, title, folds, focus, by }) {
    const [shown, setShown] = useState(6),
      source = useMemo(() => by && SC.sources(run).find((s) => s.key === by), [run, by]);
    const view = {
      source,
      scale: source ? SC.scale(source.values) : 1,
      selected: null,
      worst: SC.lead(run).worst,
      steps,
      onSelect: () => null,
    };
    const end = Math.min(run.n, from + shown);
    return html`<section class="side" aria-label=${title}><header class="side-head"><h3 ref=${focus} tabindex="-1">
      ${title} <a href=${SC.runHash(run.id)} class="isolate">${say(run.rollout)}</a></h3>
      <${SC.Outcome} value=${run.outcome} /></header>
      ${from >= run.n && html`<p class="quiet">This run ends before it.</p>`}
      ${Array.from({ length: Math.max(0, end - from) }, (_, k) => from + k).map(
        (i) => html`<${SC.Step} key=${i}
        run=${run} step=${steps.get(i)} i=${i} view=${view} folds=${folds} compact=${true} />`,
      )}
      ${
        end < run.n &&
        html`<button type="button" class="more" onClick=${() => setShown(shown + 12)}>
        ${fmt.plural(run.n - end, "more step")}</button>`
      }</section>`;
  }

  SC.Compare = ({ run, steps, other, source, onClose, onOther }) => {
    const { data, error, retry } = SC.useApi(`/api/run/${encodeURIComponent(other)}`),
      redraw = SC.useRedraw(),
      focus = useRef();
    const theirs = useMemo(() => (data ? new SC.Steps(data.id, data.n, redraw) : null), [data]);
    const folds = useMemo(() => [new Map(), new Map()], [other]),
      known =
        run.jumps?.divergence?.sibling === other || String(run.jumps?.divergence?.sibling) === String(other)
          ? run.jumps.divergence
          : null;
    const [part, setPart] = useState(null);
    useEffect(() => {
      let live = true;
      setPart(null);
      if (known) setPart({ mine: known.step, theirs: known.sibling_step });
      else if (theirs)
        Promise.all([steps.all(), theirs.all()]).then(([a, b]) => {
          const at = SC.parting(a, b);
          if (live) setPart({ mine: at, theirs: at });
        });
      return () => {
        live = false;
      };
    }, [theirs, known]);
    useEffect(() => {
      if (part && data) focus.current?.focus({ preventScroll: false });
    }, [part, data]);
    const choice = html`<div class="compare-head"><h2>Side by side</h2><label class="field inline"><span>with</span>
      <select value=${other} onChange=${(e) => onOther(e.target.value)}>
      ${run.siblings.map(
        (s) => html`<option key=${s.id} value=${s.id}>
      ${say(s.rollout)}: ${SC.outcome(s.outcome)}, ${fmt.plural(s.steps, "step")}</option>`,
      )}</select></label>
      <button type="button" onClick=${onClose}>Back to the run <kbd>d</kbd></button></div>`;
    if (error) return html`${choice}<${SC.Failure} error=${error} retry=${retry} />`;
    SC.unnamed(data);
    if (!data || !part) return html`${choice}<${SC.Loading} what="the other run" />`;
    const by = SC.common(SC.sources(run), SC.sources(data), source);
    return html`<section class="compare" aria-label="Two runs side by side">${choice}
      <p class="quiet compare-told">${
        part.mine === 0 && part.theirs === 0
          ? "They part at the first step."
          : part.mine === part.theirs
            ? `Up to step ${part.mine} both did the same; here is what came then.`
            : `Both came to the same state before step ${part.mine} here and step ${part.theirs} there; here is what came then.`
      }${by && html` <span class="compare-by">The numbers: ${by.kind === "credit" ? "credit" : "blame"} by <b>${by.title}</b>.</span>`}</p>
      <div class="sides"><${Side} run=${run} steps=${steps} from=${part.mine} title="This run" folds=${folds[0]}
        by=${by?.key} focus=${focus} /><${Side} run=${data} steps=${theirs} from=${part.theirs} title="The other run"
        by=${by?.key} folds=${folds[1]} /></div></section>`;
  };
})();
