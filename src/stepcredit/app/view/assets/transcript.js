(() => {
  "use strict";

  /* A run as people know it from chat: who said what, calls and results folded to a line, findings where they belong.

     Opening {run, folds}: what stood before the first step   Step {run, step, i, view, folds, compact?}: one step
     view: {source, scale, selected, worst, onSelect}; SC.Steps loads steps a page at a time; SC.summary(step): one line */

  const { html, fmt, given, say } = SC;
  const PAGE = 100;

  /** Steps of a run, asked for a page at a time. tell() is called whenever some have come. */
  SC.Steps = class {
    constructor(id, n, tell) {
      Object.assign(this, { id, n, tell, pages: new Map(), errors: new Map() });
    }
    path(page) {
      return `/api/run/${encodeURIComponent(this.id)}/steps?from=${page * PAGE}&to=${Math.min(
        this.n,
        (page + 1) * PAGE,
      )}`;
    }
    load(page) {
      if (this.pages.has(page)) return this.pages.get(page);
      const asked = SC.api.get(this.path(page)).then(
        (answer) => {
          this.pages.set(page, answer.steps);
          this.errors.delete(page);
          this.tell();
          return answer.steps;
        },
        (error) => {
          this.pages.delete(page);
          this.errors.set(page, error);
          this.tell();
          return [];
        },
      );
      this.pages.set(page, asked);
      return asked;
    }
    /** The step, or null while it is on its way. */
    get(i) {
      const page = Math.floor(i / PAGE),
        got = this.errors.has(page) ? null : this.load(page);
      return Array.isArray(got) ? (got[i % PAGE] ?? null) : null;
    }
    /** The step if it is here already. */
    peek(i) {
      const got = this.pages.get(Math.floor(i / PAGE));
      return Array.isArray(got) ? (got[i % PAGE] ?? null) : null;
    }
    error(i) {
      return this.errors.get(Math.floor(i / PAGE)) ?? null;
    }
    retry(i) {
      this.errors.delete(Math.floor(i / PAGE));
      this.tell();
    }
    async all(heard) {
      const out = [];
      for (let page = 0; page * PAGE < this.n; page++) {
        out.push(...(await this.load(page)));
        heard?.(Math.min(1, out.length / this.n));
      }
      return out;
    }
  };

  /** Arguments of a call as people write them. */
  SC.callLine = (call) => {
    let args = call.arguments;
    if (typeof args === "string") {
      try {
        args = JSON.parse(args);
      } catch {
        return SC.line(args, 110);
      }
    }
    if (args === null || typeof args !== "object" || Array.isArray(args)) return SC.line(args ?? "", 110);
    return SC.line(
      Object.entries(args)
        .map(([k, v]) => `${k}: ${typeof v === "string" ? JSON.stringify(v) : JSON.stringify(v)}`)
        .join(", "),
      110,
    );
  };
  SC.summary = (step) => {
    if (!step) return "";
    if (step.calls?.length)
      return step.calls.map((c) => `${say(c.name)}(${step.calls.length > 1 ? "" : SC.callLine(c)})`).join(", ");
    return SC.line(step.text || step.action || step.reasoning || step.observation || "(empty)", 110);
  };
  /** A step in a few words, for a narrow place: the first argument of a call by its value alone. */
  SC.brief = (step) => {
    if (!step?.calls?.length || step.calls.length > 1) return SC.summary(step);
    const [call] = step.calls;
    let args = call.arguments;
    if (typeof args === "string") {
      try {
        args = JSON.parse(args);
      } catch {
        return SC.summary(step);
      }
    }
    const all = args && typeof args === "object" && !Array.isArray(args) ? Object.entries(args) : [];
    if (!all.length) return SC.summary(step);
    const [[, first], ...rest] = all;
    return SC.line(
      [`${say(call.name)} ${SC.line(first, 110)}`, ...rest.map(([k, v]) => `${say(k)}: ${JSON.stringify(v)}`)].join(", "),
      110,
    );
  };
  const ROLES = {
    system: "System",
    developer: "System",
    user: "User",
    tool: "Tool",
    function: "Tool",
    assistant: "Assistant",
  };
  const roleName = (message) => (message.name ? say(message.name) : (ROLES[message.role] ?? say(message.role)));
  const sizeOf = (text, run, step, field) => {
    const n = (step ?? run).cut?.[field] ?? text.length;
    return n > 400 ? ` · ${fmt.count(n)} characters` : "";
  };
  /** A text of a message as a part that is clipped where it is high; what the server cut is read whole on demand. */
  const bodyOf = ({ run, step, field, id, folds, text, draw, whole = draw }) =>
    html`<${SC.Clipped} id=${`${id}c`} folds=${folds} part=${{
      run: run.id,
      step: step ? step.i : -1,
      field,
      held: say(text).length,
      length: (step ?? run).cut?.[field],
      draw: whole,
    }}>${draw(text)}<//>`;
  const asPretty = (t) => html`<${SC.Pretty} value=${t} />`;
  const asProse = (t) => html`<${SC.Prose} text=${t} />`;

  function Result({ message, id, folds, run, step, field }) {
    const text = say(message.content ?? ""),
      failed = message.error === true;
    return html`<${SC.Folded} id=${id} folds=${folds} open=${
      failed || (text.length < 240 && text.split("\n").length < 5)
    } kind=${`result ${failed ? "failed" : ""}`}
      summary=${html`<span class="fold-sign" aria-hidden="true">↳</span><b>
        ${message.name ? say(message.name) : "result"}</b>${failed && html`<${SC.Badge} kind="bad" mark="!">failed<//>`}
        <span class="clip fold-line">${SC.line(text, 110) || "(empty)"}</span><small>${sizeOf(text, run, step, field)}</small>`}>
      ${() => html`${bodyOf({ run, step, field, id, folds, text: message.content ?? "", draw: asPretty })}
        ${(message.images ?? []).map(
          (url, k) => html`<${SC.Picture} key=${k} url=${url} run=${run} step=${step}
          field=${`${field}.images.${k}`} />`,
        )}`}<//>`;
  }
  function Said({ message, id, folds, run, step, field }) {
    const system = ["system", "developer"].includes(message.role),
      text = say(message.content ?? "");
    const body = html`${bodyOf({ run, step, field, id, folds, text, draw: asProse })}
      ${(message.images ?? []).map(
        (url, k) => html`<${SC.Picture} key=${k} url=${url} run=${run} step=${step}
        field=${`${field}.images.${k}`} />`,
      )}`;
    if (system && text.length > 160) {
      return html`<${SC.Folded} id=${id} folds=${folds} kind="system" summary=${html`<b>${roleName(message)}</b>
        <span class="clip fold-line">${SC.line(text, 110)}</span><small>${sizeOf(text, run, step, field)}</small>`}>${() => body}<//>`;
    }
    return html`<div class=${`said ${system ? "system" : "user"}`}><div class="said-who">
      <${SC.Who} name=${roleName(message)} role=${!message.name} /><b class="isolate">${roleName(message)}</b>
      ${
        message.name &&
        message.role !== "assistant" &&
        html`<small>${ROLES[message.role] ?? say(message.role)}
        </small>`
      }</div><div class="said-body">${body}</div></div>`;
  }
  SC.Opening = ({ run, folds }) =>
    (run.context ?? []).length > 0 &&
    html`<section class="opening" aria-label="Before the first step">
    ${run.context.map((m, k) =>
      ["tool", "function"].includes(m.role)
        ? html`<${Result} key=${k} message=${m}
      id=${`c${k}`} folds=${folds} run=${run} field=${`context.${k}`} />`
        : html`<${Said} key=${k} message=${m}
      id=${`c${k}`} folds=${folds} run=${run} field=${`context.${k}`} />`,
    )}</section>`;

  function Call({ call, id, folds, run, step, k, reply }) {
    return html`<${SC.Folded} id=${id} folds=${folds} kind="call" summary=${html`<span class="fold-sign"
      aria-hidden="true">ƒ</span><b class="mono">${say(call.name)}</b><span class="clip fold-line mono">
      ${SC.callLine(call)}</span>`}>
      ${() =>
        bodyOf({
          ...{ run, step, field: `calls.${k}`, id, folds, text: call.arguments, whole: asPretty },
          draw: (value) => html`<${SC.Arguments} value=${value} />`,
        })}<//>${reply}`;
  }
  /** Arguments: long texts among them (code, patches) are shown as such below the rest. */
  SC.Arguments = ({ value }) => {
    let args = value;
    if (typeof args === "string") {
      try {
        args = JSON.parse(args);
      } catch {
        return html`<${SC.Pretty} value=${value} />`;
      }
    }
    if (args === null || typeof args !== "object" || Array.isArray(args)) return html`<${SC.Pretty} value=${value} />`;
    const long = Object.entries(args).filter(([, v]) => typeof v === "string" && v.includes("\n"));
    const rest = Object.entries(args).filter(([, v]) => !(typeof v === "string" && v.includes("\n")));
    return html`${
      (rest.length > 0 || !long.length) &&
      html`<${SC.Pretty}
      value=${JSON.stringify(Object.fromEntries(rest))} />`
    }
      ${long.map(([name, text]) => html`<p class="arg-name mono">${say(name)}</p><${SC.Code} text=${text} />`)}`;
  };

  function Flags({ run, i, view }) {
    const says = run.blame.filter((b) => b.step === i && b.status !== "clean" && !SC.isBaseline(b.by)),
      wrong = says.filter((b) => b.label < 0).length,
      right = says.filter((b) => b.label > 0).length;
    return html`${i === view.worst && html`<${SC.Badge} kind="bad" mark="▼">worst step<//>`}
      ${
        wrong > 0 &&
        i !== view.worst &&
        html`<${SC.Badge} kind="bad" mark="✗">
        ${wrong} say${wrong === 1 ? "s" : ""} wrong<//>`
      }${
        right > 0 &&
        !wrong &&
        html`<${SC.Badge} kind="good"
        mark="✓">right<//>`
      }
      ${SC.marksOn(run.id, i).map((m) => html`<${SC.MarkBadge} mark=${m} />`)}`;
  }

  /** One step. */
  SC.Step = ({ run, step, i, view, folds, compact = false }) => {
    if (!step) {
      const error = view.steps?.error(i);
      return html`<article class="step waiting"><div class="skeleton"></div>${
        error &&
        html`<p class="quiet">
        ${say(error.message)} <button type="button" class="text" onClick=${() => view.steps.retry(i)}>try again</button>
        </p>`
      }</article>`;
    }
    const agent = step.agent ?? run.numbers?.agent?.[i],
      name = given(agent) ? say(agent) : "Assistant";
    const value = view.source?.values[i],
      lint = (run.lint ?? []).filter((f) => f.step === i),
      o = step.origin ?? {};
    const replies = step.replies ?? [],
      calls = step.calls ?? [],
      taken = new Set();
    const asResult = (m, k) =>
      html`<${Result} key=${`r${k}`} message=${m} id=${`${i}r${k}`} folds=${folds} run=${run} step=${step}
        field=${`replies.${k}`} />`;
    const answered = (call) => {
      const k = replies.findIndex((m, at) => !taken.has(at) && given(call.id) && m.call === call.id);
      if (k < 0) return null;
      taken.add(k);
      return asResult(replies[k], k);
    };
    const facts = [
      given(o.seconds) && fmt.seconds(o.seconds),
      given(o.cost) && fmt.money(o.cost),
      given(o.output_tokens) && `${fmt.tokens(o.output_tokens)} tokens`,
    ]
      .filter(Boolean)
      .join(" · ");
    const body = html`${
      step.reasoning &&
      html`<${SC.Folded} id=${`${i}t`} folds=${folds} kind="thought" summary=${html`<b>Thought</b>
        <span class="clip fold-line">${SC.line(step.reasoning, 110)}</span><small>
        ${sizeOf(step.reasoning, run, step, "reasoning")}</small>`}>
        ${() => bodyOf({ run, step, field: "reasoning", id: `${i}t`, folds, text: step.reasoning, draw: asProse })}<//>`
    }
      ${step.text && bodyOf({ run, step, field: "text", id: `${i}x`, folds, text: step.text, draw: asProse })}
      ${(step.images ?? []).map(
        (url, k) => html`<${SC.Picture} key=${k} url=${url} run=${run} step=${step}
        field=${`images.${k}`} />`,
      )}
      ${
        given(step.action) &&
        step.action !== step.text &&
        !calls.length &&
        html`<p class="action">
        <small>Action</small> <code>${say(step.action)}</code></p>`
      }
      ${calls.map(
        (c, k) => html`<${Call} key=${k} call=${c} id=${`${i}k${k}`} folds=${folds} run=${run} step=${step}
        k=${k} reply=${answered(c)} />`,
      )}
      ${replies.map((m, k) =>
        taken.has(k) ? null : ["tool", "function", "environment"].includes(m.role) || !m.role ? asResult(m, k) : null,
      )}
      ${
        !replies.length &&
        given(step.observation) &&
        asResult({ role: "tool", name: "observation", content: step.observation }, "o")
      }
      ${o.error && html`<p class="finding bad"><b>The call failed</b> ${say(o.error)}</p>`}
      ${lint.map(
        (f) => html`<p class=${`finding ${f.severity === "error" ? "bad" : "warn"}`}>
        <b>Lint: ${say(f.severity)}</b> ${say(f.message)} <code>${say(f.rule)}</code></p>`,
      )}`;
    const after = replies.map((m, k) =>
      taken.has(k) || ["tool", "function", "environment"].includes(m.role) || !m.role
        ? null
        : html`<${Said} key=${`s${k}`} message=${m} id=${`${i}s${k}`} folds=${folds} run=${run} step=${step}
          field=${`replies.${k}`} />`,
    );
    return html`<article class=${`step ${view.selected === i ? "selected" : ""} ${
      view.worst === i ? "worst-step" : ""
    }`} aria-label=${`Step ${i}, ${name}`} aria-current=${view.selected === i ? "step" : null}>
      <div class="step-rail"><${SC.Who} name=${name} role=${!given(agent)} /></div>
      <div class="step-main"><header class="step-head" onClick=${(e) =>
        view.narrow && !compact && e.target.closest(".badge, .swatch") && view.onSelect(i)}><b class="isolate step-agent">${name}</b>
          ${
            compact
              ? html`<a class="quiet plain" href=${SC.runHash(run.id, i)}>step ${i}
            </a>`
              : html`<button type="button" class="step-number" aria-pressed=${view.selected === i}
            onClick=${() => view.onSelect(i)}>step ${i}</button>`
          }
          ${
            view.source &&
            html`<span title=${`${view.source.title}: ${fmt.signed(value)}`}>
            <${SC.Swatch} value=${value} scale=${view.scale} /></span>`
          }
          <${Flags} run=${run} i=${i} view=${view} /><small class="step-facts num">${facts}</small>${
            view.narrow &&
            !compact &&
            html`<button type="button" class="more step-open" aria-haspopup="dialog"
            aria-label=${`Details and marks of step ${i}`} onClick=${() => view.onSelect(i)}>Details</button>`
          }</header>
        <div class="step-body" onClick=${(e) =>
          !compact &&
          view.selected !== i &&
          !e.target.closest("a, button, summary, pre") &&
          !getSelection().toString() &&
          view.onSelect(i, { quiet: true })}>${body}</div>${after}</div></article>`;
  };
})();
