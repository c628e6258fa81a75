(() => {
  "use strict";

  /* What people say of steps: right, wrong or neutral, with an error type and a note. Saved at once: by the server into its
     file, or, where the page cannot write, in this browser, to be downloaded.

     SC.marks.save(change) -> promise   SC.marksOn(id, step)   MarkBadge {mark}   MarkForm {run, i}   SC.markKeys(run, i) */

  const { html, fmt, given, say, useState, useEffect, useRef } = SC;

  const WORDS = { 1: ["right", "✓", "good"], "-1": ["wrong", "✗", "bad"], 0: ["neutral", "–", ""] };
  const place = () => `marks.${SC.store.state?.title ?? ""}`;
  const writable = () => Boolean(SC.store.state?.writable) && !SC.api.exported();
  const rater = () => SC.keep.get("rater") || SC.store.state?.rater || "me";
  const same = (a, b) => String(a.id) === String(b.id) && a.step === b.step && a.rater === b.rater;

  SC.marksOn = (id, step) =>
    SC.store.marks.filter(
      (m) => String(m.id) === String(id) && m.step === step && (given(m.label) || m.note || m.error),
    );
  let counted = { of: null, counts: null };
  /** id of a run -> how many of its steps are marked. */
  SC.markCounts = () => {
    const { marks } = SC.store;
    if (counted.of !== marks)
      counted = {
        of: marks,
        counts: new Map(
          SC.tally(
            [...new Set(marks.filter((m) => given(m.label) || m.note || m.error).map((m) => `${m.id}\n${m.step}`))].map(
              (k) => k.split("\n")[0],
            ),
          ),
        ),
      };
    return counted.counts;
  };
  const mine = (id, step) => SC.store.marks.find((m) => same(m, { id, step, rater: rater() })) ?? null;
  SC.MarkBadge = ({ mark }) => {
    const [words, sign, kind] = WORDS[mark.label] ?? ["note", "✎", "accent"];
    return html`<${SC.Badge} kind=${kind} mark=${sign} title=${say([mark.error, mark.note].filter(Boolean).join(": "))}>
      ${words}, ${say(mark.rater)}<//>`;
  };

  SC.marks = {
    status: null,
    /** Read all marks: the server's and those kept in this browser. */
    async load() {
      const begun = Date.now() / 1000;
      let marks = [];
      try {
        const got = await SC.api.get("/api/marks", { fresh: true });
        marks = Array.isArray(got) ? got : (got.marks ?? []);
      } catch {
        /* none */
      }
      if (!writable()) for (const m of SC.keep.get(place()) ?? []) marks = [...marks.filter((old) => !same(old, m)), m];
      const newer = SC.store.marks.filter((m) => m.asked >= begun);
      SC.put({ marks: [...marks.filter((old) => !newer.some((m) => same(m, old))), ...newer] });
    },
    async save(change) {
      const before = mine(change.id, change.step),
        asked = {
          error: null,
          note: null,
          label: null,
          ...before,
          ...change,
          rater: rater(),
          time: Date.now() / 1000,
          asked: Date.now() / 1000,
        };
      SC.put({
        marks: [...SC.store.marks.filter((m) => !same(m, asked)), asked],
        saving: { state: "saving", key: `${change.id}/${change.step}` },
      });
      try {
        if (writable()) {
          const { id, step, label, error, note } = asked,
            [group, rollout] = SC.nameOf(id), // ids are others once the traces were read again
            sent = { id, step, label, error, note, rater: asked.rater, group, rollout },
            stored = await SC.api.post("/api/marks", sent);
          SC.put({ marks: [...SC.store.marks.filter((m) => !same(m, asked)), { ...asked, ...stored }] });
          SC.api.forget("/api/agreement");
        } else {
          const kept = [...(SC.keep.get(place()) ?? []).filter((m) => !same(m, asked)), asked];
          if (!SC.keep.set(place(), kept)) throw new Error("this browser does not keep anything for this page");
        }
        SC.put({
          saving: { state: writable() ? "saved" : "kept", key: `${change.id}/${change.step}`, at: new Date() },
        });
      } catch (error) {
        SC.put({
          marks: [...SC.store.marks.filter((m) => !same(m, asked)), ...(before ? [before] : [])],
          saving: { state: "failed", key: `${change.id}/${change.step}`, error },
        });
        SC.announce(`Not saved: ${error.message}`);
        throw error;
      }
      return before;
    },
  };

  /** Mark a step and say so, with a way back. */
  let last = null;
  const undo = () => {
    if (!last) {
      SC.announce("There is no mark to undo");
      return;
    }
    const { id, step, label } = last;
    last = null;
    SC.marks.save({ id, step, label }).then(
      () => SC.toast("Mark undone"),
      () => null,
    );
  };
  function set(run, i, label) {
    const old = mine(run.id, i),
      next = old?.label === label ? null : label;
    SC.marks.save({ id: run.id, step: i, label: next }).then(
      () => {
        const words = next === null ? "mark taken back" : `marked ${WORDS[next][0]}`;
        last = { id: run.id, step: i, label: old?.label ?? null };
        SC.toast(`Step ${i} ${words}`, ["Undo", undo]);
      },
      () => null,
    );
  }
  SC.markKeys = (run, i) => [
    ["z", "undo the last mark", undo],
    ...[
      ["r", "mark the step right", 1],
      ["e", "mark the step wrong (error)", -1],
      ["u", "mark the step neutral", 0],
    ].map(([key, words, label]) => [
      key,
      words,
      () => {
        if (!given(i)) return false;
        set(run, i, label);
        return true;
      },
    ]),
  ];

  function Saving({ id, i }) {
    const { saving } = SC.useStore();
    if (saving?.key !== `${id}/${i}`) return null;
    const time = saving.at?.toTimeString().slice(0, 5);
    return html`<small class=${`saving ${saving.state}`} role="status">
      ${
        {
          saving: "saving …",
          saved: `✓ saved ${time}`,
          kept: `✓ kept in this browser ${time}`,
          failed: `✗ not saved: ${say(saving.error?.message)}`,
        }[saving.state]
      }</small>`;
  }

  /** Buttons, error type and note for one step. */
  SC.MarkForm = ({ run, i }) => {
    const { state } = SC.useStore(),
      mark = mine(run.id, i),
      [open, setOpen] = useState(false),
      [note, setNote] = useState(mark?.note ?? ""),
      timer = useRef();
    useEffect(() => {
      setNote(mine(run.id, i)?.note ?? "");
      setOpen(false);
    }, [run.id, i]);
    const keep = (change) => SC.marks.save({ id: run.id, step: i, ...change }).catch(() => null);
    const write = (text) => {
      setNote(text);
      clearTimeout(timer.current);
      timer.current = setTimeout(() => keep({ note: text || null }), 600);
    };
    const flush = () => {
      clearTimeout(timer.current);
      if ((mine(run.id, i)?.note ?? "") !== note) keep({ note: note || null });
    };
    const types = state?.error_types ?? [],
      more = open || Boolean(mark?.note || mark?.error);
    return html`<section class="marking" aria-label="Your mark"><div class="marking-row">${[
      [1, "r"],
      [-1, "e"],
      [0, "u"],
    ].map(
      ([label, key]) => html`<button key=${label} type="button" class=${`mark-${WORDS[label][2] || "none"}`}
        aria-pressed=${mark?.label === label} onClick=${() => set(run, i, label)}>
          <span aria-hidden="true">${WORDS[label][1]}</span>${WORDS[label][0]} <kbd aria-hidden="true">${key}</kbd>
            </button>`,
    )}
        <button type="button" class="bare" aria-expanded=${more} onClick=${() => setOpen(!open)}>
          <${SC.Icon} name="note" />Note</button></div>
      ${
        more &&
        html`<div class="marking-more">${
          types.length > 0 &&
          html`<label class="field"><span>Error type</span><select value=${mark?.error ?? ""}
            onChange=${(e) => keep({ error: e.target.value || null })}><option value="">not said</option>
          ${types.map((t) => html`<option key=${t.name} value=${t.name}>${say(t.title)}</option>`)}</select></label>`
        }
        <label class="field"><span>Note</span><textarea rows="2" value=${note} onInput=${(e) => write(e.target.value)}
          onBlur=${flush}></textarea></label></div>`
      }
      <${Saving} id=${run.id} i=${i} /></section>`;
  };

  /* The screen of all marks. */

  /** Marks as lines of labels: one JSON object a line. */
  SC.marks.lines = () =>
    SC.store.marks
      .filter((m) => given(m.label) || m.note || m.error)
      .map((m) => {
        const runs = SC.store.runs,
          row = runs?.row(m.id);
        return JSON.stringify({
          group: row === undefined ? null : runs.at("group", row),
          rollout: row === undefined ? null : runs.at("rollout", row),
          step: m.step,
          label: m.label,
          error: m.error ?? null,
          note: m.note ?? null,
          rater: m.rater,
          time: m.time ?? null,
        });
      })
      .join("\n");
  function download() {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([`${SC.marks.lines()}\n`], { type: "application/x-ndjson" }));
    link.download = "marks.jsonl";
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  }

  function Agreement() {
    const { data } = SC.useApi("/api/agreement"),
      pairs = data?.pairs ?? [];
    if (!pairs.length)
      return html`<p
        class="quiet">Agreement is shown once two raters have marked the same steps. Each chooses a name above.</p>`;
    return html`<div class="scroll" tabindex="0" role="region" aria-label="Agreement of raters">
      <table class="plain-table wide"><thead><tr><th scope="col">Raters</th>
      <th scope="col" class="num">Steps both marked</th><th scope="col" class="num">Same mark</th>
      <th scope="col" class="num">Cohen's kappa</th><th scope="col" class="num">95% interval</th></tr></thead>
      <tbody>${pairs.map(
        (p) => html`<tr><th scope="row">${say(p.a)} and ${say(p.b)}</th><td class="num">
        ${fmt.count(p.n)}</td><td class="num">${fmt.share(p.agree)}</td><td class="num">${fmt.plain(p.kappa)}</td>
        <td class="num">${given(p.low) ? `${fmt.plain(p.low)} to ${fmt.plain(p.high)}` : "–"}</td></tr>`,
      )}</tbody>
        </table></div>`;
  }

  function Marks({ query }) {
    const { marks, runs } = SC.useStore(),
      [name, setName] = useState(rater());
    const shown = marks
        .filter((m) => given(m.label) || m.note || m.error)
        .filter((m) => !query.rater || m.rater === query.rater)
        .sort((a, b) => (b.time ?? 0) - (a.time ?? 0)),
      raters = [...new Set(marks.map((m) => m.rater))];
    return html`<div class="page marks"><div class="page-head"><div><h1>Marks</h1><p>
      ${
        writable()
          ? "Saved at once by the server, into a file that only grows."
          : "This page cannot write a file: marks are kept in this browser until you download them."
      }</p></div>
        <div class="marks-tools"><label class="field"><span>You mark as</span>
          <input type="text" value=${name} maxlength="60" onInput=${(e) => {
            setName(e.target.value);
            SC.keep.set("rater", e.target.value.trim());
          }} /></label>
          <button type="button" class="strong" disabled=${!marks.length} onClick=${download}>Download marks</button>
            <p class="quiet marks-labels">The runs with their labels: <code>stepcredit view FILES --marks
            marks.jsonl --export-labels labels.jsonl</code></p></div></div>
      <section aria-labelledby="agree"><h2 id="agree">Agreement</h2><${Agreement} /></section>
      <section aria-label="All marks"><div class="marks-head">${shown.length > 0 && html`<h2>${fmt.plural(shown.length, "mark")}</h2>`}
        ${
          raters.length > 1 &&
          html`<${SC.Select} label="Rater" all="all" value=${query.rater}
        onChange=${(v) => SC.setQuery({ rater: v || null })} options=${raters.map((r) => [r, r])} />`
        }</div>
        ${
          !shown.length
            ? html`<${SC.Blank} inner=${true}
              title="No marks yet"><span class="with-keys">Open a run, choose a step and press <kbd>r</kbd> for right, <kbd>e</kbd> for wrong or <kbd>u</kbd> for neutral.</span><span
              class="by-touch">Open a run, choose a step and mark it right, wrong or neutral.</span><//>`
            : html`<${SC.VirtualList} role="list" label="Marks" count=${shown.length} estimate=${58} inset=${64}
              again=${shown} keeps=${(k) => `${shown[k].id}/${shown[k].step}/${shown[k].rater}`} item=${(k) => {
                const m = shown[k],
                  row = runs?.row(m.id);
                return html`<div role="listitem" class="mark-row"><${SC.MarkBadge} mark=${m} />
                  <a class="mark-at" href=${SC.runHash(m.id, m.step)}><span>step ${m.step} · <bdi>${
                    row === undefined ? say(m.id) : say(runs.at("rollout", row))
                  }</bdi></span>${row !== undefined && html` <small class="clip isolate">${say(runs.at("group", row))}</small>`}</a>
              <span class="mark-words">${m.error ? html`<b>${say(SC.title(SC.store.state, m.error))}</b> ` : ""}
                <span dir="auto">${say(m.note ?? "")}</span></span><small class="num">${fmt.when(m.time)}</small>
                </div>`;
              }} />`
        }</section></div>`;
  }
  SC.screens.set("marks", {
    nav: "Marks",
    title: () => "Marks",
    component: Marks,
    shown: (state) => state.pages?.runs !== false,
  });
})();
