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
          <span class="clip strip-what">${SC.summary(step) || (given(agent) ? say(agent) : "")}</span>
        <span class="strip-flags" aria-hidden="true">${i === worst ? "▼" : marked.has(i) ? "!" : ""}</span>
          ${
            source &&
            html`<${SC.Bar} value=${value} scale=${scale} sd=${source.sd?.[i]} /><span class="num strip-v">
              ${fmt.short(value)}</span>`
          }</button></div>`;
      }} />`;
  };

  /** All that is known of one step. */
  SC.Panel = ({ run, i, steps, sources, source, onSelect, onSource, onClose, scales }) => {
    const says = useMemo(
      () => SC.voices(run).flatMap((v) => v.says.filter((b) => b.step === i).map((b) => ({ ...v, blame: b }))),
      [run, i],
    );
    const remarks = (run.blame ?? []).filter((b) => given(b.remarks?.[i])),
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
        onClick=${() => onSource(s.key)} title=${say([s.doc, ...s.notes].filter(Boolean).join(" · "))}>${s.title}
        </button></th><td><${SC.Bar} value=${s.values[i]} scale=${scales[s.key]} sd=${s.sd?.[i]} /></td>
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
      ["state", run.numbers?.state?.[i]],
      ["span", o.id],
    ].filter(([, v]) => given(v) && v !== false);
    return html`<div class="panel-in"><header class="panel-top"><h2>Step ${i} <span class="quiet">${SC.fmt.nth(i, run.n).replace(`${i} `, "")}</span>
      </h2><div class="walk">
        <button type="button" class="icon" aria-label="Step before (k)" disabled=${i === 0}
          onClick=${() => onSelect(i - 1)}><${SC.Icon} name="left" /></button>
        <button type="button" class="icon" aria-label="Step after (j)" disabled=${i === run.n - 1}
          onClick=${() => onSelect(i + 1)}><${SC.Icon} name="right" /></button>
        <button type="button" class="icon panel-close" aria-label="Close" onClick=${onClose}><${SC.Icon} name="close" />
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
          ${b.error && html`<p>${say(SC.title(SC.store.state, b.error))}</p>`}<${SC.Grounds} blame=${b} />
            <${SC.Evidence} evidence=${b.evidence} /></li>`,
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
        class="quiet">No method could credit this run.</p>`
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
