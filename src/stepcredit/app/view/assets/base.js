/* The ground of the page. Everything is a name of one global, SC; no other global is made.

   Order of scripts and styles: SCRIPTS and STYLES of page.py, vendor/preact.umd.js, vendor/preact-hooks.umd.js,
   vendor/htm.umd.js and this first, boot.js last. Each script
   is (() => { "use strict"; … })().

   Drawing      SC.html`<p>${x}</p>` (htm on Preact), SC.Fragment, SC.useState, useEffect, useLayoutEffect, useMemo, useRef,
                useCallback. What came from a file is drawn with SC.say(x) (text that hides or reorders others is named),
                never spread into attributes. No innerHTML anywhere.
   Screens      SC.screens.set(name, {component, title(route), nav, shown(state), under}): `#/name/a/b?x=1` draws component with
                props {args: ["a", "b"], query: {x: "1"}}. nav: its word in the top bar, if it stands there; shown: whether it
                does; under: the screen whose word is lit instead.
   Addresses    SC.to(name, ...args, query?) -> "#/name/a/b?x=1"; SC.go(hash, {replace}); SC.setQuery({x: null}).
                SC.runHash(id, step?) and SC.groupHash(gid): a run by its id of /api/runs; steps count
                from 0, in code, addresses and words, as in files.
   Data         SC.api.get(path) -> promise, kept; SC.useApi(path) -> {data, error, retry}; SC.api.post(path, body).
                Parts of the page, <script type="application/json" data-path="/api/…">, answer first (text, or base64 of gzip
                where the element has data-gzip); what is no part is asked of the server, or in an export is left out. A part
                "/api/run/ID/steps" holds all steps and answers any from and to; /api/search is done here in an export.
                <script type="application/json" data-path="/api/state"> must be there in an export.
   State        SC.useStore() redraws on changes of SC.store: {state (/api/state), runs (a Runs), marks}.
                SC.store.runs: {n, columns, ids, row(id), find(group, rollout)}.
   Widths       SC.useMedia("(max-width: 720px)") -> whether it holds, now and as it changes.
   Keys         SC.useKeys(title, [[keys, words, act], …]) while a component is mounted; `?` lists them.
   Words        SC.fmt: count, plural, signed, short, plain, share, seconds, money, tokens, when, minus.
   Widgets      see list.js: VirtualList; widgets.js: Tip (SC.tip), Badge, Outcome, Who, Swatch, Bar, Legend, Segments, Select, Blank,
                Failure, Loading, Link, SC.announce(words), SC.toast(words, action?). text.js: Prose, Code, Pretty, Picture. */

globalThis.SC = (() => {
  "use strict";

  const { h, render, Fragment } = preact;
  const { useState, useEffect, useLayoutEffect, useMemo, useRef, useCallback } = preactHooks;
  const html = htm.bind(h);
  const SC = { h, html, render, Fragment, useState, useEffect, useLayoutEffect, useMemo, useRef, useCallback };

  /* Words. */

  const HIDDEN =
    /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]|\p{Surrogate}/gu;
  const named = (c) => `⟨U+${c.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}⟩`;
  /** Any value as text, with characters that hide or reorder others named. */
  SC.say = (x) => {
    if (x === null || x === undefined) return "";
    const text = typeof x === "string" ? x : typeof x === "object" ? JSON.stringify(x) : String(x);
    return text.replace(/\r\n/g, "\n").replace(HIDDEN, named);
  };
  SC.given = (x) => x !== null && x !== undefined && x !== "";
  const given = SC.given;

  const minus = (t) => t.replace("-", "−").replace("Infinity", "∞");
  const far = (size) => size >= 10000 || size < 0.0005;
  const digits = (v) =>
    v === 0 ? "0" : far(Math.abs(v)) ? v.toExponential(1).replace("e+", "e") : String(+v.toPrecision(4));
  const DASH = "–";
  /* Sums of floats that cancel leave 1e-16 and the like: nothing beside the scale, or beside 1 where none is given. */
  const slight = (v, scale) => v !== 0 && Math.abs(v) < (scale ? Math.max(NOISE, 1e-3 * scale) : NOISE);
  const NOISE = 1e-9;
  SC.fmt = {
    minus,
    count: (n) => (given(n) ? Number(n).toLocaleString("en-US") : DASH),
    /** A step as files and people count it: "8 (the 9th of 11)". */
    nth: (i, n) => {
      const k = i + 1, teen = k % 100 > 10 && k % 100 < 14;
      return `${i} (the ${k}${teen ? "th" : ({ 1: "st", 2: "nd", 3: "rd" }[k % 10] ?? "th")} of ${n})`;
    },
    plural: (n, word, many = `${word}s`) => `${SC.fmt.count(n)} ${n === 1 ? word : many}`,
    /** A number with its sign; "not judged" for none. */
    signed: (v) => (given(v) ? (v > 0 ? "+" : "") + minus(digits(v)) : "not judged"),
    plain: (v) => (!given(v) ? DASH : typeof v === "number" ? minus(digits(v)) : SC.say(v)),
    /** At most 6 signs, for cells; "≈0" for what is nothing beside the scale. */
    short: (v, scale) => {
      if (!given(v)) return "·";
      if (slight(v, scale)) return "≈0";
      const size = Math.abs(v),
        places = size < 9.995 ? 2 : size < 99.95 ? 1 : 0;
      const out =
        size === 0
          ? "0"
          : size >= 1000 || size < 0.005
            ? size.toExponential(0).replace("e+", "e")
            : size.toFixed(places);
      return (v > 0 ? "+" : v < 0 ? "−" : "") + minus(out);
    },
    share: (v) => (given(v) ? `${(100 * v).toFixed(v > 0 && v < 0.1 ? 1 : 0)}%` : DASH),
    seconds: (v) => {
      if (!given(v)) return DASH;
      if (v < 1) return `${Math.round(v * 1000)} ms`;
      if (v < 60) return `${v < 10 ? v.toFixed(1) : Math.round(v)} s`;
      const m = Math.round(v / 60);
      return v < 3600 ? `${Math.floor(v / 60)} m ${Math.round(v % 60)} s` : `${Math.floor(m / 60)} h ${m % 60} m`;
    },
    money: (v) => (given(v) ? `$${v === 0 ? "0" : v < 0.01 ? v.toPrecision(2) : v.toFixed(2)}` : DASH),
    tokens: (n) =>
      !given(n)
        ? DASH
        : n < 1000
          ? String(n)
          : n < 1e6
            ? `${(n / 1000).toFixed(n < 1e4 ? 1 : 0)}k`
            : `${(n / 1e6).toFixed(1)}M`,
    /** A time as clocks show it where the page is read. */
    when: (s) => {
      if (!given(s)) return DASH;
      const d = new Date(s * 1000),
        two = (x) => String(x).padStart(2, "0");
      return `${d.getFullYear()}-${two(d.getMonth() + 1)}-${two(d.getDate())} ${two(d.getHours())}:${two(d.getMinutes())}`;
    },
  };

  /* Color of credit: five levels a side, "0" for 0 and what is next to it, "x" for not judged. */

  SC.level = (v, scale) =>
    !given(v) || Number.isNaN(v)
      ? "x"
      : v === 0 || slight(v, scale)
        ? "0"
        : String(Math.sign(v) * Math.max(1, Math.ceil(Math.min(1, Math.abs(v) / (scale || 1)) * 5)));
  /** The size at which colors end: the 98th percentile of sizes over several lists. */
  SC.scale = (...lists) => {
    const sizes = lists
      .flat()
      .filter((v) => given(v) && Math.abs(v) >= NOISE)
      .map(Math.abs)
      .sort((a, b) => a - b);
    return sizes.length ? sizes[Math.ceil(0.98 * sizes.length) - 1] : 1;
  };
  SC.outcome = (v) => (!given(v) ? "unknown" : v > 0 ? "succeeded" : "failed");
  /** A number from 0 to 7 for a name, the same on every page: its tint. */
  SC.tint = (name) => {
    let sum = 7;
    for (const c of String(name)) sum = (sum * 31 + c.codePointAt(0)) >>> 0;
    return sum % 8;
  };

  /* What is remembered; a page from a file may be refused its storage. */

  SC.keep = {
    get: (name) => {
      try {
        return JSON.parse(localStorage.getItem(`stepcredit.${name}`));
      } catch {
        return null;
      }
    },
    set: (name, value) => {
      try {
        localStorage.setItem(`stepcredit.${name}`, JSON.stringify(value));
        return true;
      } catch {
        return false;
      }
    },
  };

  /* One store. */

  const listeners = new Set();
  SC.store = { state: null, runs: null, marks: [], error: null };
  SC.put = (change) => {
    Object.assign(SC.store, change);
    listeners.forEach((tell) => tell());
  };
  SC.useRedraw = () => {
    const [, set] = useState(0);
    return useCallback(() => set((n) => n + 1), []);
  };
  SC.useStore = () => {
    const redraw = SC.useRedraw();
    useLayoutEffect(() => {
      listeners.add(redraw);
      return () => listeners.delete(redraw);
    }, []);
    return SC.store;
  };

  SC.Runs = class {
    constructor(columns) {
      this.columns = columns;
      this.ids = columns.id ?? [];
      this.n = this.ids.length;
      this.rows = new Map(this.ids.map((id, i) => [String(id), i]));
      this.names = null;
    }
    row(id) {
      return this.rows.get(String(id));
    }
    at(name, i) {
      return this.columns[name]?.[i] ?? null;
    }
    /** Row of a run named by group and rollout, or undefined. */
    find(group, rollout) {
      this.names ??= new Map(
        this.ids
          .map((_, i) => [JSON.stringify([String(this.at("group", i)), String(this.at("rollout", i))]), i])
          .reverse(),
      );
      return this.names.get(JSON.stringify([String(group), String(rollout)]));
    }
    /** Rows of a group, in order. */
    group(gid) {
      this.groups ??= this.ids.reduce((all, _, i) => {
        const g = String(this.at("gid", i));
        (all.get(g) ?? all.set(g, []).get(g)).push(i);
        return all;
      }, new Map());
      return this.groups.get(String(gid)) ?? [];
    }
  };

  /* Addresses. */

  SC.screens = new Map();
  SC.to = (name, ...args) => {
    const query = typeof args.at(-1) === "object" && args.at(-1) !== null ? args.pop() : {};
    const pairs = Object.entries(query)
      .filter(([, v]) => given(v) && v !== false)
      .map(([k, v]) => `${encodeURIComponent(k)}=${encodeURIComponent(v)}`);
    return `#/${[name, ...args.filter(given)].map((a) => encodeURIComponent(String(a).toWellFormed())).join("/")}${
      pairs.length ? `?${pairs.join("&")}` : ""
    }`;
  };
  SC.decode = (t) => {
    try {
      return decodeURIComponent(t);
    } catch {
      return t;
    }
  };
  SC.parse = (hash) => {
    const [path, rest = ""] = hash.replace(/^#\/?/, "").split("?", 2);
    const [name, ...args] = path.split("/").map(SC.decode);
    const pairs = rest
      .split("&")
      .filter(Boolean)
      .map((p) => {
        const at = p.indexOf("=");
        return at < 0 ? [SC.decode(p), ""] : [SC.decode(p.slice(0, at)), SC.decode(p.slice(at + 1))];
      });
    return { name: name || "runs", args, query: Object.assign(Object.create(null), Object.fromEntries(pairs)) };
  };
  SC.go = (hash, { replace = false } = {}) => {
    if (hash === location.hash) return;
    if (replace) {
      history.replaceState(history.state, "", hash);
      dispatchEvent(new HashChangeEvent("hashchange"));
    } else location.hash = hash;
  };
  SC.setQuery = (change, options = { replace: true }) => {
    const { name, args, query } = SC.parse(location.hash);
    SC.go(SC.to(name, ...args, { ...query, ...change }), options);
  };
  /** Whether a media query holds, now and as it changes. */
  SC.useMedia = (query) => {
    const media = useMemo(() => matchMedia(query), [query]),
      [is, set] = useState(media.matches);
    useEffect(() => {
      const tell = () => set(media.matches);
      media.addEventListener("change", tell);
      return () => media.removeEventListener("change", tell);
    }, [media]);
    return is;
  };
  SC.useRoute = () => {
    const [route, set] = useState(() => SC.parse(location.hash));
    useLayoutEffect(() => {
      const tell = () => set(SC.parse(location.hash));
      addEventListener("hashchange", tell);
      return () => removeEventListener("hashchange", tell);
    }, []);
    return route;
  };
  /** Task and name of a run. */
  SC.nameOf = (id) => {
    const runs = SC.store.runs,
      i = runs?.row(id);
    return i === undefined ? [] : [runs.at("group", i), runs.at("rollout", i)].map(String);
  };
  SC.runHash = (id, step) => {
    const runs = SC.store.runs,
      i = runs?.row(id);
    if (i === undefined) return SC.to("runs");
    const names = [runs.at("group", i), runs.at("rollout", i)].map((x) => (SC.given(x) ? String(x) : "-"));
    const found = runs.find(...names);
    return found === i
      ? SC.to("run", ...names, given(step) ? String(step) : null)
      : SC.to("run", "id", String(id), given(step) ? String(step) : null, { by: "id" });
  };
  SC.groupHash = (gid) => SC.to("group", String(gid));

  /* Keys. */

  const bound = [];
  SC.bound = bound;
  SC.useKeys = (title, keys) => {
    const now = useRef(keys);
    now.current = keys;
    useLayoutEffect(() => {
      const entry = { title, now };
      bound.push(entry);
      return () => bound.splice(bound.indexOf(entry), 1);
    }, [title]);
  };
  const MOVES = /^(Arrow|Home$|End$)/;
  const typing = (node) =>
    node.closest?.('input:not([type="radio"]):not([type="checkbox"]), textarea, select, [contenteditable]');
  addEventListener("keydown", (event) => {
    if (
      event.ctrlKey ||
      event.metaKey ||
      event.altKey ||
      event.defaultPrevented ||
      document.querySelector("dialog[open]")
    )
      return;
    if (typing(event.target)) {
      if (event.key === "Escape") event.target.blur();
      return;
    }
    if (MOVES.test(event.key) && event.target.closest?.('input, pre, .scroll, [role="slider"]')) return;
    if (event.key.length === 1 && event.key !== "?" && SC.keep.get("keys") === "off") return;
    for (const { now } of bound.toReversed()) {
      const hit = now.current.find(([names]) => names.split(" ").includes(event.key));
      if (hit && hit[2](event) !== false) {
        event.preventDefault();
        return;
      }
    }
  });

  return SC;
})();
