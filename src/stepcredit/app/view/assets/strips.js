(() => {
  "use strict";

  /* Runs of a task side by side: a line a run, a cell a step, colored and set by credit or blame. */

  const { html, fmt, given, say, useState, useEffect, useMemo } = SC;
  const MOST = 120;

  /** Values cut to at most MOST cells; a cell of several steps shows the one furthest from 0. */
  function bins(values) {
    if (values.length <= MOST) return values.map((v, i) => [i, v]);
    return Array.from({ length: MOST }, (_, k) => {
      const from = Math.floor((k * values.length) / MOST),
        to = Math.max(from + 1, Math.floor(((k + 1) * values.length) / MOST));
      let best = from;
      for (let i = from; i < to; i++) if (Math.abs(values[i] ?? -1) > Math.abs(values[best] ?? -1)) best = i;
      return [best, values[best]];
    });
  }
  const waiting = [];
  let busy = 0;
  function pump() {
    while (busy < 4 && waiting.length) {
      busy++;
      waiting
        .pop()()
        .finally(() => {
          busy--;
          pump();
        });
    }
  }
  /** Runs are asked for four at a time, the last wanted first. */
  const fetchRun = (id) =>
    new Promise((done, fail) => {
      waiting.push(() => SC.api.get(`/api/run/${encodeURIComponent(id)}`).then(done, fail));
      pump();
    });

  function Line({ runs, i, want, scale, onSource }) {
    const id = runs.ids[i],
      n = runs.at("steps", i) ?? 0,
      worst = runs.at("worst", i),
      lost = SC.outcome(runs.at("outcome", i)) !== "succeeded" && given(worst);
    const [run, setRun] = useState(null),
      [error, setError] = useState(null);
    useEffect(() => {
      let live = true;
      fetchRun(id).then(
        (r) => {
          if (live) {
            setRun(r);
            onSource(SC.sources(r));
          }
        },
        (e) => live && setError(e),
      );
      return () => {
        live = false;
      };
    }, [id]);
    const sources = useMemo(() => (run ? SC.sources(run) : []), [run]),
      source = sources.find((s) => s.key === want),
      values = source?.values ?? new Array(n).fill(null),
      cells = bins(values);
    const told = `${fmt.plural(n, "step")}${lost ? `, worst step ${worst}` : ""}`;
    const at = (event) => {
      const cell = event.target.closest("[data-step]");
      return cell ? Number(cell.dataset.step) : null;
    };
    return html`<div class="line"><span class="line-who"><${SC.Outcome} value=${runs.at("outcome", i)} words=${false} />
      <a class="plain clip isolate" href=${SC.runHash(id)}>${say(runs.at("rollout", i))}</a></span>
      <div class=${`strip ${source ? "" : "pending"}`} role="img" aria-label=${told} onClick=${(e) => {
        const step = at(e);
        if (step !== null) SC.go(SC.runHash(id, step));
      }}>
        ${cells.map(
          ([step, v]) => html`<i key=${step} class=${`cell ${step === worst && lost ? "worst-cell" : ""}`}
          data-step=${step} data-l=${SC.level(v, scale)} title=${`step ${step}: ${fmt.signed(v)}${
            step === worst && lost ? ", worst step" : ""
          }`}></i>`,
        )}</div>
      <small class="num line-n">${lost ? `worst ${fmt.nth(worst, n)}` : fmt.plural(n, "step")}
        ${error ? " · not read" : ""}</small></div>`;
  }

  function Task({ runs, rows, want, scale, onSource }) {
    const first = rows[0],
      known = rows.filter((i) => given(runs.at("outcome", i))),
      good = known.filter((i) => runs.at("outcome", i) > 0).length,
      gid = runs.at("gid", first),
      task = runs.at("task", first);
    const [all, setAll] = useState(false),
      shown = all ? rows : rows.slice(0, 16);
    return html`<section class="task" aria-label=${`Task ${SC.line(runs.at("group", first), 60)}`}>
      <header class="task-head"><h2 class="clip isolate">${SC.line(task ?? runs.at("group", first), 200)}</h2>
        ${
          known.length > 0 &&
          html`<span class="mix"><span class="mix-bar" aria-hidden="true"
          style=${{ "--share": good / known.length }}></span>${good} of ${known.length} ${
            known.length === 1 ? "succeeds" : "succeed"
          }</span>`
        }
        ${SC.screens.has("group") && rows.length > 1 && html`<a href=${SC.groupHash(gid)}>Graph</a>`}</header>
      ${shown.map(
        (i) => html`<${Line} key=${runs.ids[i]} runs=${runs} i=${i} want=${want} scale=${scale}
        onSource=${onSource} />`,
      )}
      ${
        rows.length > shown.length &&
        html`<button type="button" class="more" onClick=${() => setAll(true)}>
        ${fmt.plural(rows.length - shown.length, "more run")}</button>`
      }</section>`;
  }

  const mixed = (runs, rows) => {
    const known = rows.map((i) => runs.at("outcome", i)).filter(given);
    return known.some((v) => v > 0) && known.some((v) => v <= 0);
  };
  SC.Strips = ({ runs, rows, query, ready }) => {
    const [sources, setSources] = useState([]),
      [scales, setScales] = useState({});
    const groups = useMemo(() => {
      const found = new Map();
      for (const i of rows) {
        const g = runs.at("gid", i);
        (found.get(g) ?? found.set(g, []).get(g)).push(i);
      }
      const list = [...found.values()];
      return query.sort
        ? list
        : list
            .map((g, k) => [g, k])
            .sort(([a, i], [b, j]) => mixed(runs, b) - mixed(runs, a) || (b.length > 1) - (a.length > 1) || i - j)
            .map(([g]) => g);
    }, [runs, rows, query.sort]);
    const heard = (list) => {
      setSources((old) => {
        const more = list.filter((s) => !old.some((o) => o.key === s.key)),
          telling = new Map(list.filter(SC.tells).map((s) => [s.key, s])),
          better = old.map((o) => (SC.tells(o) ? o : (telling.get(o.key) ?? o)));
        return more.length || better.some((s, k) => s !== old[k]) ? [...better, ...more] : old;
      });
      setScales((old) => {
        const next = { ...old };
        let changed = false;
        for (const s of list) {
          const size = SC.scale(s.values);
          if (!(next[s.key] >= size)) {
            next[s.key] = size;
            changed = true;
          }
        }
        return changed ? next : old;
      });
    };
    const want = sources.some((s) => s.key === query.by) ? query.by : (SC.firstSource(sources) ?? sources[0])?.key;
    const options = (kind, label) => {
      const some = sources.filter((s) => (kind === "credit") === (s.kind === "credit"));
      return (
        some.length > 0 &&
        html`<optgroup label=${label}>${some.map((s) => html`<option key=${s.key} value=${s.key}>${s.title}</option>`)}
          </optgroup>`
      );
    };
    return html`<div class="strips"><div class="strips-head">${
      sources.length > 0 &&
      html`<label class="field inline">
      <span>Color by</span><select value=${want} onChange=${(e) => SC.setQuery({ by: e.target.value })}>
      ${options("credit", "Credit")}${options("blame", "Who blames")}</select></label>`
    }
        <${SC.Legend} scale=${scales[want] ?? 1}><span class="key">earned stands high, lost stands low; <b
          aria-hidden="true">▾</b> the worst step</span><//></div>
      <${SC.VirtualList} count=${groups.length} estimate=${160} inset=${64} again=${groups} keeps=${ready && ((g) => runs.at("gid", groups[g][0]))} item=${(g) => html`<${Task}
        key=${g} runs=${runs} rows=${groups[g]} want=${want} scale=${scales[want] ?? 1} onSource=${heard} />`} />
        </div>`;
  };
})();
