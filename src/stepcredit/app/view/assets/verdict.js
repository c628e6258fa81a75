(() => {
  "use strict";

  /* Who says what of a run: the verdict in words, the strip of steps, and all that is known of one step.

     SC.sources(run, state): what a strip can show, [{key, title, kind, values, sd, notes, doc}]; higher is better in all:
     a method's blame is shown as lost credit.   Verdict {run, jumps, onGo} */

  const { html, fmt, given, say } = SC;

  const BASELINES = new Set(["constant", "random_step", "last_step", "first_step"]);
  SC.isBaseline = (by) => BASELINES.has(by);
  const KINDS = { people: "people", judge: "judge", method: "method" };
  /** A method's name as people read it. */
  SC.naming = (by) =>
    by === "combined"
      ? "all methods together"
      : SC.store.state?.methods?.some((m) => m.name === by)
        ? say(by)
        : say(by).replaceAll("_", " ");
  const cardOf = (by) =>
    [...(SC.store.state?.diagnosers ?? []), ...(SC.store.state?.methods ?? [])].find((d) => d.name === by);
  const docOf = (by) => {
    const card = cardOf(by);
    return card ? say([card.title, card.doc].filter(Boolean).join(". ")) : "";
  };

  /** Whether credits say nothing but that there is no other run of the task: 0 on every step. */
  SC.idle = (run, credit) => !run.siblings?.length && !credit.values.some((v) => v);

  SC.sources = (run) => {
    const told = Object.entries(run.credit ?? {}).filter(([, c]) => !SC.idle(run, c));
    const list = told.map(([name, c]) => ({
      key: `credit:${name}`,
      title: SC.naming(name),
      kind: "credit",
      values: c.values,
      sd: c.sd,
      notes: c.notes ?? [],
      doc: docOf(name),
    }));
    const voices = new Map();
    for (const b of run.blame ?? []) (voices.get(b.by) ?? voices.set(b.by, []).get(b.by)).push(b);
    for (const [by, says] of voices) {
      const scores = says.find((b) => b.scores?.some(given))?.scores,
        found = says.filter((b) => given(b.step) && b.status !== "clean");
      if (!scores && !found.length) continue;
      const values = scores ? scores.map((v) => (given(v) ? -v : null)) : new Array(run.n).fill(null);
      if (!scores) for (const b of found) values[b.step] = b.label ?? -1;
      list.push({
        key: `blame:${by}`,
        title: SC.naming(by),
        kind: scores ? "blame" : (KINDS[says[0].kind] ?? "method"),
        values,
        sd: null,
        notes: [],
        doc: docOf(by),
        baseline: SC.isBaseline(by),
      });
    }
    return list;
  };
  /* Methods that tell steps apart on any group of runs, the one of this project first. */
  const WEAK = 0.2;
  const FIRST = ["stepcredit_graph", "gigpo", "salt", "hgpo"];
  const NUMBERS = new Set(["credit", "blame"]);
  /** Whether a source tells the steps of its run apart: numbers by other numbers, who points at steps by pointing. */
  SC.tells = (s) => {
    const known = s.values.filter(given);
    if (s.values.length === 1) return known.length === 1;
    return new Set(NUMBERS.has(s.kind) ? known : s.values).size > 1;
  };
  /** Whether it gives all steps of a run one and the same number. */
  SC.flat = (s) => s.values.length > 1 && s.values.some(given) && !SC.tells(s);
  /** The source to begin with: the first credit that tells steps apart, else blame that does; null where none does. */
  SC.firstSource = (sources) => {
    const telling = sources.filter((s) => !s.baseline && SC.tells(s));
    return (
      FIRST.map((name) => telling.find((s) => s.key === `credit:${name}`)).find(Boolean) ??
      telling.find((s) => s.kind === "credit") ??
      telling.find((s) => s.kind === "blame") ??
      telling[0] ??
      null
    );
  };

  /** One line per voice: the step it blames first. */
  SC.voices = (run) => {
    const seen = new Map();
    for (const b of run.blame ?? []) (seen.get(b.by) ?? seen.set(b.by, []).get(b.by)).push(b);
    return [...seen].map(([by, says]) => {
      const wrong = says
        .filter((b) => given(b.step) && b.status !== "clean" && b.label < 0)
        .sort((a, b) => a.step - b.step);
      return {
        by,
        kind: says[0].kind,
        says,
        first: wrong[0] ?? says[0],
        step: wrong[0]?.step ?? null,
        count: wrong.length,
        baseline: SC.isBaseline(by),
      };
    });
  };

  const agentAt = (run, i, blame) =>
    given(blame?.agent) ? say(blame.agent) : given(run.numbers?.agent?.[i]) ? say(run.numbers.agent[i]) : "";
  const lower = (t) => t.replace(/^\p{Lu}(?=\p{Ll})/u, (c) => c.toLowerCase());
  SC.Voice = ({ by, kind, baseline }) =>
    html`<span class="voice" title=${docOf(by)}><b class="isolate">${SC.naming(by)}</b> <small>
      ${baseline ? "baseline" : kind === by ? "" : (KINDS[kind] ?? "")}</small></span>`;

  /** What the step did, and what came back, in a few lines. */
  function Quote({ run, step, i }) {
    const reply = step.replies?.find((m) => m.content) ?? (step.observation ? { content: step.observation } : null),
      agent = agentAt(run, i);
    return html`<blockquote class="quote">${agent && html`<${SC.Who} name=${agent} />`}<span>
      <span class=${step.calls?.length ? "mono lines2" : "lines2"} dir="auto">
      ${step.calls?.length ? SC.summary(step) : SC.line(step.text || SC.summary(step), 280)}</span>
      ${
        reply &&
        html`<small class="lines2" dir="auto"><span aria-hidden="true">↳ </span>
        <span class="hidden">answer: </span>${SC.line(reply.content, 220)}</small>`
      }</span></blockquote>`;
  }

  /** Why a step is blamed: the verdict's own reason, or, of a joint verdict, those of its parts that say this step. */
  SC.grounds = (blame) => {
    const parts = Object.entries(blame.evidence?.members ?? {}).filter(
      ([, m]) => m?.status === "found" && m.step === blame.step,
    );
    return parts.length
      ? parts.map(([by, m]) => ({ by, reason: m.reason, confidence: m.confidence }))
      : blame.reason
        ? [{ by: null, reason: blame.reason }]
        : [];
  };
  /** The reasons; told: who speaks beside of this step, and need not be repeated word for word. */
  SC.Grounds = ({ blame, told = [] }) => {
    const all = SC.grounds(blame),
      spoken = all.filter((g) => g.by && told.includes(g.by));
    return html`${
      spoken.length > 0 &&
      html`<p class="quiet">On the word of ${listed(spoken.map((g) => SC.naming(g.by)))}.</p>`
    }
      ${all
        .filter((g) => !spoken.includes(g))
        .map(
          ({ by, reason }) =>
            html`<p key=${by} class="reason" dir="auto">${by && html`<b title=${docOf(by)}>${SC.naming(by)}</b>: `}
              ${say(reason ?? "")}</p>`,
        )}`;
  };

  const mute = (v) => v.first.status === "unknown" && v.says.every((b) => !given(b.step));
  function Others({ run, lead, onGo }) {
    const others = SC.voices(run)
        .filter((v) => v.by !== lead?.by)
        .sort((a, b) => a.baseline - b.baseline),
      voices = others.filter((v) => !mute(v)),
      joint = (run.blame ?? []).find((b) => b.evidence?.members);
    const silent = [
      ...others.filter((v) => mute(v) && v.by !== "combined").map((v) => [v.by, v.first]),
      ...Object.entries(joint?.evidence.members ?? {}).filter(
        ([by, m]) => m && m.status !== "found" && !others.some((v) => v.by === by),
      ),
    ];
    if (!voices.length && !silent.length) return null;
    const says = (v) =>
      given(v.step)
        ? html`<button type="button" class="text" onClick=${() => onGo(v.step)}>step ${v.step}</button>
          ${v.count > 1 ? html` <small>and ${v.count - 1} more</small>` : ""}
          ${
            v.first.error
              ? html` <span class="quiet">${lower(say(SC.title(SC.store.state, v.first.error)))}
          </span>`
              : ""
          }${
            given(v.first.confidence)
              ? html` <small class="num">${fmt.share(v.first.confidence)} sure</small>`
              : v.kind === "people" || v.baseline
                ? ""
                : html` <small>does not say how sure</small>`
          }`
        : v.says.some((b) => given(b.step))
          ? v.says
              .filter((b) => given(b.step))
              .slice(0, 3)
              .map(
                (b, k) => html`${k ? ", " : ""}
                  <button type="button" class="text" onClick=${() => onGo(b.step)}>step ${b.step}</button>
                  ${b.label > 0 ? " is right" : given(b.label) ? " is neutral" : " has a note"}`,
              )
          : html`<span class="quiet">no step is to blame</span>`;
    return html`<div class="verdict-others">${
      voices.length > 0 &&
      html`<h3>
      ${lead ? "What others say" : "Who says what"}</h3><ul>${voices.map(
        (v) => html`<li key=${v.by}>
      <${SC.Voice} by=${v.by} kind=${v.kind} baseline=${v.baseline} /><span>${says(v)}</span></li>`,
      )}</ul>`
    }
      ${
        silent.length > 0 &&
        html`<details class="silent"><summary>
        ${fmt.plural(silent.length, "method")} found nothing</summary><dl>
        ${silent.map(
          ([by, m]) => html`<dt key=${by} title=${docOf(by)}>${SC.naming(by)}</dt><dd class="quiet">
        ${say(m.reason ?? m.status)}</dd>`,
        )}</dl></details>`
      }</div>`;
  }

  /** The verdict that heads a run: the step that the index calls worst, else the first that people or judges call wrong. */
  SC.lead = (run) => {
    const row = SC.store.runs?.row(run.id),
      by = row === undefined ? null : SC.store.runs.at("worst_by", row);
    const wrong = (run.blame ?? []).filter(
      (b) => given(b.step) && b.label < 0 && b.status !== "clean" && !SC.isBaseline(b.by),
    );
    const said = wrong.filter((b) => b.kind !== "method").sort((a, b) => a.step - b.step)[0];
    const worst = run.jumps?.worst ?? said?.step ?? null,
      fits = wrong.filter((b) => b.step === worst);
    return { worst, by, blame: fits.find((b) => b.by === by) ?? fits.find((b) => b.reason) ?? fits[0] ?? null };
  };

  /* Of these, which read the same outcomes, the joint verdict hears the first that can tell. */
  const OF_OUTCOMES = ["contrast", "credit", "other_answer", "spectrum"];
  const listed = (names) => names.join(", ").replace(/, ([^,]*)$/, " and $1");
  /** Whose say on another step the joint verdict did not hear, as a sentence; "" if nobody's. */
  SC.precedence = (lead, voices) => {
    const members = lead?.evidence?.members ?? {},
      first = OF_OUTCOMES.find((by) => members[by]?.status === "found");
    if (!first || members[first].step !== lead.step) return "";
    const unheard = OF_OUTCOMES.slice(OF_OUTCOMES.indexOf(first) + 1).filter((by) =>
      voices.some((v) => v.by === by && given(v.step) && v.step !== lead.step),
    );
    return unheard.length
      ? `${SC.naming(first)} goes before ${listed(unheard.map(SC.naming))}, which read${
          unheard.length === 1 ? "s" : ""
        } the same outcomes`
      : "";
  };

  /** How this run ended, and how one ended that succeeded: what people compare first. */
  const Ends = ({ run }) => {
    const other = run.siblings.find((s) => SC.outcome(s.outcome) === "succeeded" && s.steps > 0);
    return html`${run.n > 0 && html`<${End} id=${run.id} n=${run.n} name="This run ended with" />`}
      ${other && html`<${End} id=${other.id} n=${other.steps} name=${`Run ${say(other.rollout)}, which succeeded, with`} />`}`;
  };
  const End = ({ id, n, name }) => {
    const { data } = SC.useApi(`/api/run/${id}/steps?from=${n - 1}&to=${n}`);
    const last = data?.steps?.[0];
    const words = last && (last.text || last.calls?.map((c) => `${c.name}(${say(c.arguments)})`).join(", ") || last.action);
    return html`<p class="quote-head"><a href=${SC.runHash(id, n - 1)}>${name}</a></p>
      <blockquote class="quote" dir="auto">${words ? SC.line(words, 300) : html`<span class="quiet">…</span>`}</blockquote>`;
  };

  /** The card at the head of a run. */
  SC.Verdict = ({ run, steps, onGo, onCompare }) => {
    const { worst, by: leadBy, blame: lead } = SC.lead(run),
      voices = SC.voices(run),
      judged = voices.filter(
        (v) => given(v.step) && !v.baseline && v.by !== "combined" && v.first.confidence !== 0,
      ),
      agree = judged.filter((v) => v.step === worst).length,
      outcome = SC.outcome(run.outcome),
      rule = SC.precedence(lead, voices);
    const credits = Object.entries(run.credit ?? {}).filter(([, c]) => given(c.values[worst]) && !SC.idle(run, c)),
      against = credits.filter(([, c]) => c.values[worst] < 0).length,
      lowest = run.credit?.[leadBy]?.values[worst];
    const agent = given(worst) ? agentAt(run, worst, lead) : "",
      error = lead?.error ? lower(say(SC.title(SC.store.state, lead.error))) : "",
      named = given(worst) && (lead || outcome !== "succeeded");
    const weak = lead && given(lead.confidence) && lead.confidence < WEAK;
    const where = `${weak ? "A weak hint: step" : "Step"} ${fmt.nth(worst, run.n)}${agent ? `, ${agent}` : ""}`;
    const sentence = !named
      ? outcome === "succeeded"
        ? "This run succeeded; no step is blamed"
        : voices.some((v) => v.first.status === "clean" && !given(v.first.step))
          ? "No step is to blame"
          : outcome === "unknown"
            ? "It is not known how this run ended"
            : "Which step failed is not known"
      : error
        ? `${where}: ${error}`
        : lead
          ? `${where}${agent ? "," : ""} is to blame`
          : `${where}${agent ? "," : ""} lost the most credit`;
    const varied = credits.filter(([, c]) => new Set(c.values.filter(given)).size > 1),
      first = (varied.length ? varied : credits)
        .sort(([a], [b]) => (b === leadBy) - (a === leadBy))
        .slice(0, lead ? 3 : 5),
      remarks = named ? (run.blame ?? []).map((b) => b.remarks?.[worst]).filter(given) : [];
    return html`<section class=${`card verdict ${named && outcome !== "succeeded" ? "found" : ""}`}
      aria-labelledby="verdict">
      <div class="verdict-main"><div class="verdict-kicker"><${SC.Outcome} value=${run.outcome} />
        ${
          lead &&
          html`<span class="quiet">${lead.kind === "method" ? "found by " : "said by "}
        <${SC.Voice} by=${lead.by} kind=${[lead.by, "method"].includes(lead.kind) ? "" : lead.kind} /></span>`
        }
          ${
            judged.length > 1 &&
            named &&
            (rule
              ? html`<details class="voices-rule"><summary class="quiet">${agree} of ${judged.length} voices say step ${worst}
                </summary><span class="quiet">${rule}</span></details>`
              : html`<span class="quiet">${agree} of ${judged.length} voices say step ${worst}</span>`)
          }</div>
        <h2 id="verdict" class="isolate">${sentence}</h2>
        ${lead && html`<${SC.Grounds} blame=${lead} />`}
        ${
          !lead &&
          named &&
          credits.length > 0 &&
          html`<p class="reason">
          ${given(lowest) ? `The lowest credit of this run by ${SC.naming(leadBy)}: ${fmt.signed(lowest)}. ` : ""}
          ${fmt.plural(credits.length, "method")} ${
            credits.length === 1 ? "has" : "have"
          } a say on this step, ${against} of them against it.</p>`
        }
        ${
          !named &&
          voices[0]?.first.reason &&
          html`<p class="reason"
          dir="auto">${say(voices[0].first.reason)}</p>`
        }
        ${!named && outcome === "failed" && html`<${Ends} run=${run} />`}
        ${named && steps.get(worst) && html`<${Quote} run=${run} step=${steps.get(worst)} i=${worst} />`}
        ${[...new Set(remarks)].slice(0, 2).map((r) => html`<p class="quiet" dir="auto">${say(r)}</p>`)}
        ${
          named &&
          html`<dl class="facts">${
            given(lead?.confidence) &&
            html`<div><dt>confidence</dt><dd>
            ${fmt.plain(lead.confidence)}</dd></div>`
          }
          ${
            given(lead?.scores?.[worst]) &&
            lead.scores[worst] !== lead.confidence &&
            html`<div><dt>score</dt><dd>
            ${fmt.plain(lead.scores[worst])}</dd></div>`
          }
          ${first.map(
            ([m, c]) => html`<div key=${m}><dt>credit, ${SC.naming(m)}</dt><dd>${fmt.signed(c.values[worst])}
            ${given(c.sd?.[worst]) ? html` <small>± ${fmt.plain(c.sd[worst])}</small>` : ""}</dd></div>`,
          )}</dl>`
        }
        ${named && lead && html`<${SC.Evidence} run=${run} evidence=${lead.evidence} />`}
        <div class="verdict-go">${
          given(worst) &&
          html`<button type="button" class="strong"
          onClick=${() => onGo(worst)}>Go to step ${worst} <kbd>w</kbd></button>`
        }
          ${
            run.jumps?.divergence &&
            html`<button type="button" onClick=${onCompare}>
            <${SC.Icon} name="fork" />Where a success went another way <kbd>d</kbd></button>`
          }
          ${
            run.jumps?.disagreements?.length > 0 &&
            html`<span
            class="quiet">Methods differ on ${
              run.jumps.disagreements.length === 1 ? "step" : "steps"
            } ${run.jumps.disagreements.slice(0, 8).map(
              (i, k) => html`${k ? ", " : ""}
            <button type="button" class="text" onClick=${() => onGo(i)}>${i}</button>`,
            )} <kbd>x</kbd></span>`
          }</div>
            </div>
      <${Others} run=${run} lead=${lead} onGo=${onGo} /></section>`;
  };
})();
