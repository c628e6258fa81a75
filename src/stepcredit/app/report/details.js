/* The panel beside the cells: one step, or where to look first. */

const part = (name, ...body) => el("section", {}, el("h3", {}, name), ...body);
const words = (t) => el("div", { class: "words", dir: "auto" }, t === "" ? "(empty)" : t);
const said = (name, t) => (given(t) ? part(name, words(t)) : null);

function stepList(places, task = () => "") {
  const line = (q) => {
    const r = rolloutOf[q], v = creditAt(q), where = `${task(r)}${R.name[r]}, step ${q - R.start[r] + 1}: `;
    return el("li", {}, button({}, () => place.has(r) && select(q, { read: true }),
      el("span", { class: "swatch", "data-l": level(v) }, short(v)), badge(R.outcome[r]),
      el("span", { class: "said" }, where + saying(stepAt(q)).slice(0, 120))));
  };
  return el("ol", { class: "steps" }, places.map(line));
}

function showHint() {
  const list = (name, places) => (places.length ? part(name, stepList(places, (r) => `${G.name[groupOf[r]]} / `)) : null);
  $("panel").replaceChildren(...[
    el("p", { class: "quiet" }, "A row is a rollout, a cell is a step, its color the credit: ", el("b", {}, "blue earned, red lost"),
      ". Choose a step to read it: click a cell, or press ", el("kbd", {}, "j"), "."),
    list("Earned most", extremes(1)), list("Lost most", extremes(-1)),
  ].filter(given));
}

function extremes(sign) {
  const all = [...rolloutOf.keys()].filter((p) => sign * creditAt(p) > 0);
  all.sort((a, b) => sign * (creditAt(b) - creditAt(a)) || a - b);
  const seen = new Map();
  for (const p of all) {
    const alike = `${groupOf[rolloutOf[p]]} ${creditAt(p)} ${saying(stepAt(p))}`;
    if (!seen.has(alike)) seen.set(alike, p);
    if (seen.size === 6) break;
  }
  return [...seen.values()];
}

function showStep(p) {
  const r = rolloutOf[p], s = stepAt(p);
  const agent = S.agent && text(S.agent[s]), action = S.action && text(S.action[s]);
  const more = Object.entries(R.more).map(([name, v]) => ` · ${name} ${plain(v[r])}`);
  $("panel").replaceChildren(...[
    panelTop(p),
    el("p", {}, badge(R.outcome[r]), ` rollout ${R.name[r]} · task ${G.name[groupOf[r]]}`, given(agent) ? ` · ${agent}` : "",
      el("span", { class: "quiet" }, more)),
    creditTable(s),
    said("Text", text(S.text[s])),
    action === text(S.text[s]) ? null : said("Action", action),
    S.tools[s] && part("Tool calls", calls(S.tools[s])),
    said("Observation", S.observation && text(S.observation[s])),
    S.state && S.state[s] >= 0 ? part("State", words(text(S.states[S.state[s]])), sameList(sameState(p))) : null,
    evidenceTable(s),
  ].filter(given));
  $("panel").scrollTop = 0;
}

function panelTop(p) {
  const r = rolloutOf[p], first = R.start[r], end = R.start[r + 1];
  const go = (to, label, sign) =>
    button({ "aria-label": label, disabled: to < first || to >= end }, () => select(to, { read: true }), sign);
  return el("div", { class: "panel-top" },
    el("h2", {}, `Step ${p - first + 1}`, el("span", { class: "quiet" }, ` of ${end - first}`)),
    el("div", { class: "walk" }, go(p - 1, "Step before", "←"), go(p + 1, "Step after", "→"),
      button({ class: "close", "aria-label": "Close (Esc)" }, back, "✕")));
}

function creditTable(s) {
  if (!M.length) return null;
  const rows = M.map((m, k) => {
    const v = m.credit[s], bar = el("span", { class: "amount", "data-l": level(v, k), "aria-hidden": "true" });
    bar.style.setProperty("--size", given(v) && m.scale ? Math.min(1, Math.abs(v) / m.scale) : 0);
    const more = Object.entries(m.extras).map(([name, x]) => `${name} ${plain(x[s])}`).join(", ");
    return el("tr", { class: k === method ? "now" : null }, el("th", { scope: "row" }, m.name), el("td", {}, bar),
      el("td", { class: "num" }, signed(v), more ? el("small", {}, ` ${more}`) : null));
  });
  return part("Credit", el("table", { class: "credits" }, el("tbody", {}, rows)));
}

function calls(ids) {
  return ids.flatMap((id, k) => {
    if (k % 2) return [];
    const sent = text(ids[k + 1]) ?? "";
    let shown = sent;
    try { shown = JSON.stringify(JSON.parse(sent), null, 2); } catch { /* not JSON, or cut: as it came */ }
    return [el("div", { class: "call" }, el("b", {}, text(id)), words(shown))];
  });
}

function evidenceTable(s) {
  const rows = [["reward", S.reward], ["tokens", S.tokens], ...Object.entries(S.evidence)].filter(([, column]) => column);
  if (!rows.length) return null;
  const line = ([name, column]) => el("tr", {}, el("th", { scope: "row" }, name), el("td", { class: "num" }, minus(plain(column[s]))));
  return part("Reward and evidence", el("table", {}, el("tbody", {}, rows.map(line))));
}

function sameList(same) {
  if (!same.length) return el("p", { class: "quiet" }, "No other step of this task was taken in this state.");
  const told = `${plural(same.length, "other step")} of this task ${same.length === 1 ? "was" : "were"} taken in this state`;
  const best = same.sort((a, b) => (creditAt(b) ?? -Infinity) - (creditAt(a) ?? -Infinity) || a - b).slice(0, 12);
  return el("div", {}, el("p", { class: "quiet" }, told, same.length > 12 ? "; the 12 with most credit:" : ":"), stepList(best));
}

function showTip(cell) {
  const p = +cell.id.slice(1), r = rolloutOf[p], others = sameState(p).length, tip = $("tip");
  const where = ` step ${p - R.start[r] + 1} of ${length(r)}${others ? ` · same state as ${plural(others, "other")}` : ""}`;
  tip.replaceChildren(el("b", {}, signed(creditAt(p))), el("span", { class: "quiet" }, where),
    el("div", { class: "said", dir: "auto" }, saying(stepAt(p)).slice(0, 160)));
  tip.hidden = false;
  const box = cell.getBoundingClientRect();
  tip.style.left = `${Math.max(8, Math.min(box.left, innerWidth - tip.offsetWidth - 8))}px`;
  tip.style.top = `${box.top > tip.offsetHeight + 70 ? box.top - tip.offsetHeight - 8 : box.bottom + 8}px`;
}

/* The head of the page: figures, comparison, lint, notes; the legend. */

function head() {
  const open = innerWidth > 640;
  const figure = ([name, value, more]) => el("div", {}, el("dt", {}, name), el("dd", {}, value, el("small", {}, ` ${more}`)));
  $("title").textContent = visible(D.title);
  $("source").textContent = visible(D.source);
  $("figures").append(...D.figures.map(figure));
  $("left-out").textContent = D.left_out;
  $("left-out").hidden = !D.left_out;
  if (D.comparison.length) $("extras").append(fold("Comparison", open, comparison()));
  if (D.findings) $("extras").append(findings(open));
  const notes = D.notes.map((n) => el("li", { class: "quiet" }, n));
  if (notes.length) $("extras").append(fold("Derived", open && notes.length < 6, el("ul", {}, notes)));
}

function comparison() {
  const columns = [...new Set(D.comparison.flatMap(Object.keys))];
  const numeric = new Set(columns.filter((k) => D.comparison.every((row) => !given(row[k]) || typeof row[k] === "number")));
  const kind = (k) => (numeric.has(k) ? "num" : null);
  const line = (row) => {
    const at = M.findIndex((m) => m.name === row.method);
    const cell = (k) => (k !== "method" ? el("td", { class: kind(k) }, numeric.has(k) ? minus(plain(row[k])) : plain(row[k]))
      : el("th", { scope: "row" }, at < 0 ? plain(row[k]) : button({}, () => setMethod(at), row[k])));
    return el("tr", { "data-m": at < 0 ? null : at }, columns.map(cell));
  };
  const heads = columns.map((k) => el("th", { scope: "col", class: kind(k) }, k.replaceAll("_", " ")));
  return el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Comparison of methods" },
    el("table", { class: "comparison" }, el("thead", {}, el("tr", {}, heads)), el("tbody", {}, D.comparison.map(line))));
}

function findings(open) {
  const skipped = D.findings.filter((f) => f.severity === "not checked"), rest = D.findings.filter((f) => !skipped.includes(f));
  const many = [...new Set(rest.map((f) => f.severity))].map((s) => [s, rest.filter((f) => f.severity === s).length]);
  const more = (f) => [["where", places(f.where)], ["why", f.why], ["mend", f.mend]].filter(([, t]) => t)
    .map(([name, t]) => el("p", { class: "quiet" }, el("i", {}, name), " ", plain(t)));
  const item = (f) => el("li", { class: `finding ${f.severity}` },
    el("p", {}, el("b", {}, f.severity), ` ${plain(f.message)} `, el("code", {}, f.rule, f.method ? `, ${f.method}` : "")), more(f));
  const title = many.length ? many.map(([s, n]) => (s === "info" ? `${n} info` : plural(n, s))).join(", ") : "nothing found";
  return fold(`Lint: ${title}`, open && rest.length > 0, el("ul", {}, rest.map(item)),
    skipped.length ? fold(`Not checked: ${plural(skipped.length, "rule")}`, false, el("ul", {}, skipped.map(item))) : null);
}

function places(where) {
  if (!given(where) || typeof where !== "object" || Array.isArray(where)) return where;
  const lists = Object.entries(where).filter(([, v]) => Array.isArray(v)), n = Math.max(0, ...lists.map(([, v]) => v.length));
  const at = (i) => lists.map(([name, v]) => `${name} ${plain(v[i])}`).join(", ");
  const shown = Array.from({ length: Math.min(n, 4) }, (_, i) => at(i)).join("; ");
  return lists.length ? shown + (n > 4 ? `; ${count(n - 4)} more` : "") : plain(where);
}

function legend() {
  const m = M[method], ends = [signed(-m.scale || 0), signed(m.scale)];
  const ramp = [-5, -4, -3, -2, -1, 0, 1, 2, 3, 4, 5].map((l) => el("span", { class: "swatch", "data-l": l }));
  const beyond = m.beyond ? `; colors end at the 98th percentile of sizes, ${plural(m.beyond, "step")} beyond` : "";
  const options = Object.entries(m.options).map(([name, v]) => `${name} ${v}`).join(", ");
  $("scale").replaceChildren(el("span", { class: "num" }, ends[0]),
    el("span", { class: "ramp", role: "img", "aria-label": `Colors from ${ends.join(" to ")}` }, ramp),
    el("span", { class: "num" }, ends[1]));
  $("method-notes").textContent = visible(`${count(m.judged)} judged, ${count(m.zero)} of them 0${beyond}${options && ` · ${options}`}`);
}
