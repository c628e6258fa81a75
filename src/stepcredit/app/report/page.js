/* Blocks: up to 25 rollouts of a task, drawn when they come near the window, painted when the method changes. */

const BLOCK = 25;
let blocks = [], order = [], place = new Map(), current = -1, chosen = false;
const near = new Set();
const observer = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) {
    near[isIntersecting ? "add" : "delete"](target.block);
    if (isIntersecting) paint(target.block);
  }
}, { rootMargin: "400px" });

function layOut() {
  observer.disconnect();
  near.clear();
  [blocks, order, place] = [[], [], new Map()];
  for (const g of chosenGroups()) {
    const rollouts = chosenRollouts(g);
    for (let at = 0; at < rollouts.length; at += BLOCK) block(g, rollouts.slice(at, at + BLOCK), at === 0);
    order.push(...rollouts);
  }
  $("groups").replaceChildren(...blocks.map((b) => b.node));
  if (!blocks.length) $("groups").append(el("p", { class: "quiet empty" }, "No rollout fits."));
  const shown = `${plural(order.length, "rollout")} of ${plural(blocks.filter((b) => b.first).length, "task")}`;
  $("found").textContent = order.length === R.name.length ? "" : shown;
  if (current < 0 || !place.has(rolloutOf[current])) {
    current = R.start[order.find((r) => length(r) > 0)] ?? -1;
    chosen = false;
    document.body.classList.remove("reading");
    showHint();
  }
  if (current >= 0) paint(place.get(rolloutOf[current]));
  for (const b of blocks) observer.observe(b.node);
}

function block(g, rollouts, first) {
  const node = el("section", { class: "block", "aria-label": `Task ${G.name[g]}` });
  const [label, cell] = [innerWidth > 640 ? 150 : 0, document.body.classList.contains("digits") ? 46 : 19];
  const perLine = Math.max(1, Math.floor(($("groups").clientWidth - label) / cell));
  const lines = rollouts.reduce((sum, r) => sum + Math.max(1, Math.ceil(length(r) / perLine)), 0);
  node.style.containIntrinsicSize = `auto ${lines * 27 + rollouts.length * 3 + (first ? 76 : 0)}px`;
  node.block = { node, g, rollouts, first, method: -1 };
  blocks.push(node.block);
  for (const r of rollouts) place.set(r, node.block);
}

function groupHeader(g) {
  const { known, mean, wins } = groupStats[g], n = G.start[g + 1] - G.start[g];
  const mix = el("span", { class: "mix", "aria-hidden": "true" });
  const success = D.binary && known;
  if (success) mix.style.setProperty("--share", wins / known);
  const told = success ? `${count(wins)} of ${plural(known, "rollout")} succeed${wins === 1 ? "s" : ""}`
    : known ? `mean outcome ${minus(String(+mean.toPrecision(3)))}, ${plural(n, "rollout")}` : plural(n, "rollout");
  return el("header", { class: "group" }, el("h2", {}, el("span", { class: "quiet" }, "Task "), G.name[g]),
    el("p", { class: "told" }, success ? mix : null, told, known && known < n ? `, ${plural(n - known, "outcome")} unknown` : ""),
    prompt(g));
}

function prompt(g) {
  if (G.task[g] < 0) return G.brief[g] === null ? null : el("p", { class: "prompt", dir: "auto" }, G.brief[g]);
  const node = el("details", { class: "prompt" }, el("summary", { dir: "auto" }, `${G.brief[g]} …`));
  node.addEventListener("toggle", () => node.append(words(text(G.task[g]))), { once: true });
  return node;
}

function row(r) {
  const label = `Rollout ${R.name[r]}, ${outcomeWord(R.outcome[r])}, ${plural(length(r), "step")}`;
  const strip = el("div", { class: "strip", role: "listbox", "aria-orientation": "horizontal", "aria-label": label });
  for (let p = R.start[r]; p < R.start[r + 1]; p++) {
    const cell = document.createElement("div");
    cell.id = `c${p}`;
    cell.className = hits && found(stepAt(p)) ? "cell hit" : "cell";
    cell.setAttribute("role", "option");
    cell.setAttribute("aria-selected", String(chosen && p === current));
    cell.tabIndex = p === current ? 0 : -1;
    strip.append(cell);
  }
  if (!length(r)) strip.append(el("span", { class: "quiet" }, "no steps"));
  const name = el("span", { class: "name", title: R.name[r] }, R.name[r]);
  return el("div", { class: "row" }, el("div", { class: "who" }, badge(R.outcome[r]), name), strip);
}

function paint(b) {
  if (!b.node.childElementCount) b.node.append(...(b.first ? [groupHeader(b.g)] : []), ...b.rollouts.map(row));
  if (b.method === method) return;
  b.method = method;
  for (const r of b.rollouts) {
    const best = peak(r);
    for (let p = R.start[r]; p < R.start[r + 1]; p++) {
      const cell = $(`c${p}`), v = creditAt(p);
      cell.dataset.l = level(v);
      cell.textContent = short(v);
      cell.classList.toggle("peak", p === best);
      if (v === null) cell.setAttribute("aria-label", "not judged");
      else cell.removeAttribute("aria-label");
    }
  }
  if (chosen) mark(current);
}

function peak(r) {
  let best = -1, most = 0;
  for (let p = R.start[r]; p < R.start[r + 1]; p++) {
    const size = Math.abs(creditAt(p) ?? 0);
    if (size > most) [best, most] = [p, size];
    else if (size === most) best = -1;
  }
  return best;
}

/* Which tasks and rollouts, in which order. */

let hits = null;
function found(s) {
  const ids = [S.text[s], S.observation?.[s], S.action?.[s], S.states[S.state?.[s]], ...(S.tools[s] ?? [])];
  return ids.some((i) => hits.has(i));
}

function search() {
  const needle = $("search").value.trim().toLowerCase();
  hits = needle ? new Set() : null;
  text(0);
  if (hits) texts.forEach((t, i) => t.toLowerCase().includes(needle) && hits.add(i));
  layOut();
}

const sorted = (list, key) => (key ? list.sort((a, b) => (key(b) ?? -Infinity) - (key(a) ?? -Infinity) || a - b) : list);

function chosenGroups() {
  const mixedness = (g) => (groupStats[g].mixed ? -Math.abs(0.5 - groupStats[g].wins / groupStats[g].known) : -1);
  const mean = (sign) => (g) => (groupStats[g].known ? sign * groupStats[g].mean : -Infinity);
  const key = { given: null, mixed: mixedness, high: mean(1), low: mean(-1) }[$("sort-tasks").value];
  return sorted([...G.name.keys()].filter((g) => !$("mixed").checked || groupStats[g].mixed), key);
}

function chosenRollouts(g) {
  const outcome = (sign) => (r) => (R.outcome[r] === null ? -Infinity : sign * R.outcome[r]);
  const key = { given: null, high: outcome(1), low: outcome(-1), long: length }[$("sort-rollouts").value];
  const list = [];
  for (let r = G.start[g]; r < G.start[g + 1]; r++) {
    let fits = !hits;
    for (let p = R.start[r]; !fits && p < R.start[r + 1]; p++) fits = found(stepAt(p));
    if (fits) list.push(r);
  }
  return sorted(list, key);
}

/* Choosing a step, a rollout, a method. */

let marked = [];
function mark(p) {
  for (const cell of marked) cell.classList.remove("same");
  marked = p < 0 ? [] : sameState(p).map((q) => $(`c${q}`)).filter(given);
  for (const cell of marked) cell.classList.add("same");
}

function select(p, { focus = true, read = false } = {}) {
  const old = $(`c${current}`);
  old.tabIndex = -1;
  old.setAttribute("aria-selected", "false");
  [current, chosen] = [p, true];
  paint(place.get(rolloutOf[p]));
  const cell = $(`c${p}`);
  cell.tabIndex = 0;
  cell.setAttribute("aria-selected", "true");
  if (read) document.body.classList.add("reading");
  mark(p);
  showStep(p);
  if (focus) {
    cell.focus({ preventScroll: true });
    cell.scrollIntoView({ block: "nearest" });
  }
}

function stepBy(by) {
  const r = rolloutOf[current], p = Math.max(R.start[r], Math.min(R.start[r + 1] - 1, current + by));
  if (p !== current) select(p);
}

function rolloutBy(by) {
  const r = rolloutOf[current];
  if (!chosen) return select(current);
  for (let at = order.indexOf(r) + by; order[at] !== undefined; at += by) {
    const n = length(order[at]);
    if (n) return select(R.start[order[at]] + Math.min(current - R.start[r], n - 1));
  }
}

function back() {
  document.body.classList.remove("reading");
  $(`c${current}`)?.focus();
}

function setMethod(m) {
  if (!M.length) return;
  method = (m + M.length) % M.length;
  const input = $("methods").querySelectorAll("input, option")[method];
  input.checked = input.selected = true;
  for (const tr of document.querySelectorAll("tr[data-m]")) tr.classList.toggle("now", +tr.dataset.m === method);
  for (const b of near) paint(b);
  legend();
  if (chosen) showStep(current);
  else showHint();
}

function methodSwitch() {
  if (!M.length) $("method-notes").textContent = "No credit was given: no step is judged.";
  if (M.length > 6) {
    const list = el("select", { "aria-label": "Method" }, M.map((m) => el("option", {}, m.name)));
    list.addEventListener("change", () => setMethod(list.selectedIndex));
    return [list];
  }
  return M.map((m, k) => {
    const input = el("input", { type: "radio", name: "method" });
    input.addEventListener("change", () => setMethod(k));
    return el("label", {}, input, el("span", {}, m.name));
  });
}

function showDigits(on) {
  document.body.classList.toggle("digits", on);
  $("digits").checked = on;
}

function theme() {
  const root = document.documentElement, dark = matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = (root.dataset.theme ?? (dark ? "dark" : "light")) === "dark" ? "light" : "dark";
}

/* Keys and pointer. */

const onCell = {
  ArrowLeft: () => stepBy(-1), ArrowRight: () => stepBy(1), Home: () => stepBy(-Infinity), End: () => stepBy(Infinity),
  ArrowUp: () => rolloutBy(-1), ArrowDown: () => rolloutBy(1), " ": () => select(current, { read: true }),
  Enter: () => { select(current, { read: true }); $("panel").focus(); },
};
const anywhere = {
  j: () => rolloutBy(1), k: () => rolloutBy(-1), m: () => setMethod(method + 1), M: () => setMethod(method - 1),
  n: () => showDigits(!$("digits").checked), t: theme, "/": () => $("search").focus(), "?": () => $("help").showModal(), Escape: back,
};

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || $("help").open) return;
  const typing = event.target.closest("input[type=search], select"), cell = event.target.classList.contains("cell");
  const act = (cell && onCell[event.key]) || ((!typing || event.key === "Escape") && anywhere[event.key]);
  if (!act || (current < 0 && "jk".includes(event.key))) return;
  event.preventDefault();
  act();
});

const placeOf = (event) => { const cell = event.target.closest(".cell"); return cell ? +cell.id.slice(1) : -1; };
const unhover = () => { $("tip").hidden = true; mark(chosen ? current : -1); };
$("groups").addEventListener("click", (event) => placeOf(event) >= 0 && select(placeOf(event), { read: true }));
$("groups").addEventListener("focusin", (event) => {
  const p = placeOf(event);
  if (p >= 0 && !(chosen && p === current)) select(p, { focus: false });
});
$("groups").addEventListener("pointerover", (event) => {
  const p = placeOf(event);
  unhover();
  if (p < 0 || event.pointerType !== "mouse") return;
  mark(p);
  showTip($(`c${p}`));
});
$("groups").addEventListener("pointerleave", unhover);
addEventListener("scroll", () => { $("tip").hidden = true; }, { passive: true });
addEventListener("beforeprint", () => blocks.forEach(paint));

let wait = 0;
$("search").addEventListener("input", () => { clearTimeout(wait); wait = setTimeout(search, 150); });
$("filters").addEventListener("submit", (event) => event.preventDefault());
for (const id of ["sort-tasks", "sort-rollouts", "mixed"]) $(id).addEventListener("change", layOut);
$("digits").addEventListener("change", () => showDigits($("digits").checked));
$("theme").addEventListener("click", theme);
$("help-open").addEventListener("click", () => $("help").showModal());

head();
$("methods").append(...methodSwitch());
showDigits(rolloutOf.length <= 20 * R.name.length);
layOut();
setMethod(0);
