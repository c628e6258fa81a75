"use strict";

/* The data, and how the page words it. `p` is a place on a rollout's path; stepAt(p) the step there, which rollouts of
   a tree may share. Texts are parsed when one is first needed. */

const $ = (id) => document.getElementById(id);
const D = JSON.parse($("data").textContent);
const { groups: G, rollouts: R, steps: S, methods: M } = D;
const stepAt = (p) => (D.path ? D.path[p] : p);
const length = (r) => R.start[r + 1] - R.start[r];

let texts = null;
function text(i) {
  if (i === null || i === undefined || i < 0) return null;
  texts ??= JSON.parse($("texts").textContent);
  return texts[i];
}

const rolloutOf = new Int32Array(R.start.at(-1));
const groupOf = new Int32Array(R.name.length);
for (let r = 0; r < groupOf.length; r++) rolloutOf.fill(r, R.start[r], R.start[r + 1]);
for (let g = 0; g < G.name.length; g++) groupOf.fill(g, G.start[g], G.start[g + 1]);

const groupStats = G.name.map((_, g) => {
  const known = R.outcome.slice(G.start[g], G.start[g + 1]).filter((v) => v !== null).map(Number);
  const mean = known.reduce((a, b) => a + b, 0) / known.length;
  const wins = known.filter((v) => v > 0).length;
  return { known: known.length, mean, wins, mixed: known.some((v) => v !== known[0]) };
});

const stateIndex = new Map();
function sameState(p) {
  const g = groupOf[rolloutOf[p]], id = S.state ? S.state[stepAt(p)] : -1;
  if (id < 0) return [];
  if (!stateIndex.has(g)) {
    const met = new Map();
    for (let q = R.start[G.start[g]]; q < R.start[G.start[g + 1]]; q++) {
      const state = S.state[stepAt(q)];
      if (!met.has(state)) met.set(state, []);
      met.get(state).push(q);
    }
    stateIndex.set(g, met);
  }
  return stateIndex.get(g).get(id).filter((q) => stepAt(q) !== stepAt(p));
}

/* Credit to color: five levels a side, "0" only for exactly 0, "x" for not judged. */

let method = 0;
const creditAt = (p, m = method) => (M.length ? M[m].credit[stepAt(p)] : null);

function level(v, m = method) {
  if (v === null) return "x";
  return Number(v) === 0 ? "0" : String(Math.sign(v) * Math.ceil(Math.min(1, Math.abs(v) / M[m].scale) * 5));
}

/* Nodes. What a rollout says only ever becomes a text node or an attribute's text; characters that hide or reorder
   others are named. */

const HIDDEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069\ufeff]|\p{Surrogate}/gu;
const named = (c) => `⟨U+${c.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}⟩`;
const visible = (t) => String(t).replace(/\r\n/g, "\n").replace(HIDDEN, named);
const given = (v) => v !== null && v !== undefined && v !== false;

function el(tag, attributes, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (given(value)) node.setAttribute(name, value === true ? "" : visible(value));
  }
  for (const child of children.flat().filter(given)) node.append(child instanceof Node ? child : visible(child));
  return node;
}

function button(attributes, act, ...children) {
  const node = el("button", { type: "button", ...attributes }, ...children);
  node.addEventListener("click", act);
  return node;
}

const fold = (title, open, ...body) => el("details", { open }, el("summary", {}, title), ...body);

/* Numbers. */

const count = (n) => n.toLocaleString("en-US");
const plural = (n, word) => `${count(n)} ${word}${n === 1 ? "" : "s"}`;
const minus = (t) => t.replace("-", "−").replace("Infinity", "∞");
const signed = (v) => (v === null ? "not judged" : (v > 0 ? "+" : "") + minus(String(v)));

function plain(v) {
  if (v === null || v === undefined) return "–";
  return typeof v === "object" ? (Array.isArray(v) ? v.map(plain).join(", ") : JSON.stringify(v)) : String(v);
}

function short(v) {
  if (v === null) return "·";
  const size = Math.abs(v), places = size < 9.995 ? 2 : size < 99.95 ? 1 : 0;
  const far = size >= 1000 || size < 0.005;
  const digits = size === 0 ? "0" : far ? size.toExponential(0).replace("e+", "e") : size.toFixed(places);
  return (v > 0 ? "+" : v < 0 ? "−" : "") + minus(digits);
}

const outcomeWord = (v) => (v === null ? "outcome unknown" : `outcome ${minus(String(v))}`);

function badge(v) {
  const kind = v === null ? "unknown" : !D.binary ? "some" : v > 0 ? "win" : "loss";
  const mark = { unknown: "?", some: "", win: "✓ ", loss: "✗ " }[kind];
  return el("span", { class: `badge ${kind}`, title: outcomeWord(v) }, v === null ? mark : mark + minus(String(v)));
}

function saying(s) {
  return text(S.text[s]) || (S.action && text(S.action[s])) || text((S.tools[s] ?? [])[0]) || "";
}
