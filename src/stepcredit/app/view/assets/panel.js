(() => {
  "use strict";

  /* Beside the transcript: the strip of all steps, and what is known of the chosen one.

     Strip {run, steps, source, scale, selected, worst, onSelect, narrow}   Panel {run, i, steps, sources, source, …} */

  const { html, fmt, given, say, useState, useMemo, useRef, useEffect } = SC;

  /** The strip beside the transcript: a row a step. Narrow: a line of cells. */
  SC.Strip = ({ run, steps, source, scale, selected, worst, onSelect, narrow }) => {
    const list = useRef(),
      line = useRef();
    useEffect(() => {
      if (!given(selected)) return;
      list.current?.show(selected);
      if (!document.activeElement?.classList.contains("strip-row")) return;
      requestAnimationFrame(() => document.querySelector('.strip-row[aria-current="step"]')?.focus({ preventScroll: true }));
    }, [selected, narrow]);
    useEffect(() => {
      const box = line.current,
        cell = box?.querySelector('[aria-current="step"]');
      if (cell) box.scrollLeft = cell.offsetLeft - box.clientWidth / 2;
    }, [selected, narrow]);
    const told = (i) =>
      `Step ${i}${given(run.numbers?.agent?.[i]) ? `, ${say(run.numbers.agent[i])}` : ""}${
        source ? `: ${fmt.signed(source.values[i])}` : ""
      }${given(source?.sd?.[i]) ? `, spread ${fmt.plain(source.sd[i])}` : ""}${i === worst ? ", worst step" : ""}`;
    const marked = new Set((run.lint ?? []).map((f) => f.step));
    if (narrow) {
      const from = run.n > 400 ? Math.max(0, Math.min(run.n - 400, (selected ?? 0) - 200)) : 0;
      return html`<div class="cells" ref=${line} role="group" aria-label="Steps">${Array.from(
        { length: Math.min(run.n, 400) },
        (_, k) => from + k,
      ).map(
        (i) => html`<button key=${i} type="button" class=${`cell ${i === worst ? "worst-cell" : ""}`}
        data-l=${source && SC.level(source.values[i], scale)} aria-label=${told(i)} aria-current=${
          i === selected ? "step" : null
        } onClick=${() => onSelect(i)}>${i}</button>`,
      )}</div>`;
    }
    return html`<${SC.VirtualList} own=${true} className="strip-list" count=${run.n} estimate=${30} handle=${list}
      role="list" label="Steps" tabindex="-1" item=${(i) => {
        const value = source?.values[i],
          agent = run.numbers?.agent?.[i],
          step = steps.peek(i);
        return html`<div role="listitem"><button type="button" class=${`strip-row ${i === worst ? "worst-row" : ""}`}
        aria-current=${i === selected ? "step" : null} aria-label=${told(i)} onClick=${() => onSelect(i)}
        tabindex=${i === (selected ?? 0) ? 0 : -1}>
        <span class="num strip-n">${i}</span>${given(agent) ? html`<${SC.Who} name=${agent} />` : ""}
          <span class="clip strip-what" ...${SC.tip(SC.summary(step))}>${SC.brief(step) || (given(agent) ? say(agent) : "")}</span>
        <span class="strip-flags" aria-hidden="true">${i === worst ? "▼" : marked.has(i) ? "!" : ""}</span>
          ${
            source &&
            html`<${SC.Bar} value=${value} scale=${scale} sd=${source.sd?.[i]} /><span class="num strip-v">
              ${fmt.short(value, scale)}</span>`
          }</button></div>`;
      }} />`;
  };

  /* What a verdict rests on: sentences of what is known by name, the rest folded as it is. */

  const evidenceWords = (v) => {
    if (Array.isArray(v)) {
      const one = (x) =>
        typeof x === "object" && x !== null ? evidenceWords(x) : typeof x === "number" ? fmt.plain(x) : SC.line(x, 40);
      return v.slice(0, 6).map(one).join(typeof v[0] === "object" ? "; " : ", ") + (v.length > 6 ? ", …" : "");
    }
    if (typeof v === "object" && v !== null)
      return Object.entries(v)
        .filter(([, x]) => given(x) && x !== false)
        .slice(0, 12)
        .map(([k, x]) => `${say(k).replaceAll("_", " ")} ${typeof x === "number" ? fmt.plain(x) : SC.line(x, 80)}`)
        .join(", ");
    return typeof v === "number" ? fmt.plain(v) : SC.line(v, 60);
  };
  const ofRuns = (n, what = "run") => fmt.plural(n, what);
  const fared = (won, n) =>
    n === 1 && (won === 0 || won === 1)
      ? won
        ? "it succeeded"
        : "it failed"
      : won === n
        ? "all succeeded"
        : won === 0
          ? "none succeeded"
          : `${fmt.plain(won)} of ${fmt.count(n)} succeeded`;
  const counted = (x) => typeof x?.runs === "number" && typeof x.successes === "number";
  /** key -> sentence; null where the value is not of the shape that is known. */
  const SENTENCES = {
    siblings: (n, e) =>
      typeof n === "number" && typeof e.successes === "number"
        ? `${ofRuns(n, "other run")} of this task: ${fared(e.successes, n)}.`
        : null,
    same_step: (v) =>
      !counted(v)
        ? null
        : v.runs
          ? `${ofRuns(v.runs, "other run")} took this step too: ${fared(v.successes, v.runs)}.`
          : "No other run took this step.",
    other_steps: (v) =>
      counted(v)
        ? `${ofRuns(v.runs, "run")} took another step here: ${fared(v.successes, v.runs)}${
            given(v.low) && given(v.high) ? ` (likely between ${fmt.share(v.low)} and ${fmt.share(v.high)})` : ""
          }.`
        : null,
    others_did: (v) =>
      Array.isArray(v) && v.every((one) => counted(one) && given(one.action))
        ? v.length > 0 &&
          html`Others did here: ${v.map(
            (one) => html`<p class="others-did"><code>${SC.line(one.action, 120)}</code> (${ofRuns(one.runs)}: ${fared(
              one.successes,
              one.runs,
            )})</p>`,
          )}`
        : null,
    others_ended: (n) => (typeof n === "number" ? n > 0 && `${ofRuns(n)} ended here.` : null),
    before: (v, e) =>
      [v, e.after, e.fall].every((x) => typeof x === "number")
        ? `The outcome to be expected fell here from ${fmt.plain(v)} to ${fmt.plain(e.after)}.`
        : null,
    out_of_steps: (v) => (typeof v === "boolean" ? v && "This run was ended by its limit of steps." : null),
    place: (v) =>
      v === "states"
        ? "Compared are runs that came to the same state."
        : typeof v === "string"
          ? "Compared are runs that did the same up to here."
          : null,
    example: (v, e, run) => {
      if (!given(v?.rollout)) return null;
      const other = run.siblings.find((s) => say(s.rollout) === say(v.rollout)),
        at = given(v.step) && v.step >= 0 ? v.step : null,
        words = `run ${say(v.rollout)}${given(at) ? `, step ${at}` : ""}`;
      return html`For example ${other ? html`<a href=${SC.runHash(other.id, at)}>${words}</a>` : words}${
        given(v.action) ? html`: <code>${SC.line(v.action, 120)}</code>` : ", which ended here"
      }`;
    },
  };
  const WITH = { siblings: ["successes"], before: ["after", "fall"] };
  SC.Evidence = ({ run, evidence }) => {
    const all = evidence ?? {},
      told = new Set(),
      lines = [];
    for (const [key, words] of Object.entries(SENTENCES)) {
      if (!Object.hasOwn(all, key) || !given(all[key])) continue;
      const line = words(all[key], all, run);
      if (line === null) continue;
      [key, ...(WITH[key] ?? [])].forEach((k) => told.add(k));
      if (line) lines.push(html`<div key=${key}>${line}</div>`);
    }
    const rest = Object.entries(all).filter(
      ([k, v]) => !told.has(k) && k !== "members" && given(v) && v !== false && !(Array.isArray(v) && !v.length),
    );
    return html`${lines.length > 0 && html`<div class="grounds-told">${lines}</div>`}${
      rest.length > 0 &&
      html`<details class="grounds-rest"><summary class="quiet">${lines.length ? "More" : "What this rests on"}</summary>
        <dl class="facts">${rest.slice(0, 20).map(
          ([k, v]) => html`<div key=${k}><dt>${say(k).replaceAll("_", " ")}</dt><dd>${evidenceWords(v)}</dd></div>`,
        )}</dl></details>`
    }`;
  };
  /** A name that may be broken after each "_". */
  const broken = (name) =>
    say(name)
      .split("_")
      .map((part, k) => (k ? html`_<wbr />${part}` : part));

  /** All that is known of one step. */
  SC.Panel = ({ run, i, steps, sources, source, onSelect, onSource, onClose, scales }) => {
    const says = useMemo(
      () => SC.voices(run).flatMap((v) => v.says.filter((b) => b.step === i).map((b) => ({ ...v, blame: b }))),
      [run, i],
    );
    const noted = (run.blame ?? []).filter((b) => given(b.remarks?.[i])),
      remarks = noted.filter(
        (b) => b.by !== "combined" || !noted.some((other) => other !== b && other.remarks[i] === b.remarks[i]),
      ),
      credit = sources.filter((s) => s.kind === "credit"),
      blame = sources.filter((s) => s.kind === "blame");
    const evidence = Object.entries(run.numbers?.evidence ?? {}).filter(([, v]) => v.some(given)),
      step = steps.get(i),
      o = step?.origin ?? {};
    const [all, setAll] = useState(false);
    const first = credit.filter((s) => given(s.values[i]) && s.values[i] !== 0);
    const some = [...new Set([...credit.filter((s) => s === source), ...first, ...credit])].slice(0, 8);
    const listed = all || credit.length <= 10 ? credit : credit.filter((s) => some.includes(s));
    const lines = (list) =>
      html`<table class="credits"><thead class="hidden"><tr><th>method</th><th>bar</th><th>credit</th></tr></thead>
        <tbody>${list.map(
          (s) => html`<tr key=${s.key} class=${s.key === source?.key ? "now" : ""}>
      <th scope="row"><button type="button" class="text" aria-pressed=${s.key === source?.key}
        onClick=${() => onSource(s.key)} title=${say([s.doc, ...s.notes].filter(Boolean).join(" · "))}>
        ${broken(s.title)}</button></th><td><${SC.Bar} value=${s.values[i]} scale=${scales[s.key]} sd=${s.sd?.[i]} /></td>
      <td class="num">${
        s.kind === "blame" ? (given(s.values[i]) ? fmt.plain(-s.values[i]) : "not judged") : fmt.signed(s.values[i])
      }${given(s.sd?.[i]) ? html`<small> ± ${fmt.plain(s.sd[i])}</small>` : ""}</td></tr>`,
        )}</tbody></table>`;
    const facts = [
      ["model", o.model],
      ["time", given(o.seconds) && fmt.seconds(o.seconds)],
      ["cost", given(o.cost) && fmt.money(o.cost)],
      ["tokens in", given(o.input_tokens) && fmt.count(o.input_tokens)],
      ["tokens out", given(o.output_tokens) && fmt.count(o.output_tokens)],
      ["reward", given(run.numbers?.reward?.[i]) && fmt.plain(run.numbers.reward[i])],
      ["state", run.numbers?.state?.[i] !== "?" && run.numbers?.state?.[i]],
      ["span", o.id],
    ].filter(([, v]) => given(v) && v !== false);
    return html`<div class="panel-in"><header class="panel-top"><h2>Step ${i} <span class="quiet">${SC.fmt.nth(i, run.n).replace(`${i} `, "")}</span>
      </h2><div class="walk">
        <button type="button" class="icon" aria-label="Step before (k)" ...${SC.tip("Step before (k)")} disabled=${i === 0}
          onClick=${() => onSelect(i - 1)}><${SC.Icon} name="left" /></button>
        <button type="button" class="icon" aria-label="Step after (j)" ...${SC.tip("Step after (j)")} disabled=${i === run.n - 1}
          onClick=${() => onSelect(i + 1)}><${SC.Icon} name="right" /></button>
        <button type="button" class="icon panel-close" aria-label="Close" ...${SC.tip("Close (Esc)")} onClick=${onClose}><${SC.Icon} name="close" />
          </button></div></header>
      <${SC.MarkForm} run=${run} i=${i} />
      <section><h3>Who says so</h3>${
        !says.length && !remarks.length
          ? html`<p class="quiet">Nobody speaks of this step.</p>`
          : html`<ul class="says">${says.map(
              ({ by, kind, baseline, blame: b }) => html`<li>
          <p><${SC.Badge} kind=${b.label < 0 ? "bad" : b.label > 0 ? "good" : ""} mark=${
            b.label < 0 ? "✗" : b.label > 0 ? "✓" : "·"
          }>${b.label < 0 ? "wrong" : b.label > 0 ? "right" : "neutral"}<//> <${SC.Voice}
            ...${{ by, kind, baseline }} />${
              given(b.confidence)
                ? html` <small>confidence ${fmt.plain(b.confidence)}
            </small>`
                : ""
            }</p>
          ${b.error && html`<p>${say(SC.title(SC.store.state, b.error))}</p>`}<${SC.Grounds} blame=${b}
            told=${says.map((v) => v.by)} /><${SC.Evidence} run=${run} evidence=${b.evidence} /></li>`,
            )}
        ${remarks.map((b) => html`<li><p class="quiet"><b>${SC.naming(b.by)}</b>: ${say(b.remarks[i])}</p></li>`)}</ul>`
      }</section>
      <section><h3>Credit</h3>${
        credit.length
          ? html`${lines(listed)}${
              credit.length > listed.length &&
              html`<button type="button" class="more"
                onClick=${() => setAll(true)}>All ${credit.length} methods</button>`
            }`
          : html`<p
        class="quiet">${
            Object.keys(run.credit ?? {}).length
              ? "No credit: there is no other run of this task to compare with."
              : "No method could credit this run."
          }</p>`
      }
        ${
          source?.notes.length > 0 &&
          html`<p class="quiet notes-line">
          ${source.title}: ${source.notes.map(say).join("; ")}</p>`
        }</section>
      ${
        blame.length > 0 &&
        html`<section><h3>Blame scores <small>more to the left: more to blame</small></h3>
        ${lines(blame)}</section>`
      }
      ${
        evidence.length > 0 &&
        html`<section><h3>Evidence</h3><table class="plain-table"><tbody>
        ${evidence.map(
          ([name, v]) => html`<tr><th scope="row">${say(name).replaceAll("_", " ")}</th><td class="num">
        ${given(v[i]) ? fmt.plain(v[i]) : html`<span class="quiet">not known</span>`}</td></tr>`,
        )}</tbody></table>
        </section>`
      }
      ${
        Object.keys(step?.extra ?? {}).length > 0 &&
        html`<section><h3>More in the file</h3><table class="plain-table"><tbody>${Object.entries(step.extra)
          .slice(0, 20)
          .map(
            ([k, v]) => html`<tr><th scope="row">${say(k)}</th><td class="num clip">${SC.line(v, 80)}</td></tr>`,
          )}</tbody></table></section>`
      }
      ${
        facts.length > 0 &&
        html`<section><h3>Call</h3><table class="plain-table"><tbody>
        ${facts.map(([name, v]) => html`<tr><th scope="row">${name}</th><td class="num clip">${say(v)}</td></tr>`)}
        </tbody></table></section>`
      }</div>`;
  };
})();
