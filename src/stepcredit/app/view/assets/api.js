(() => {
  "use strict";

  /* Where answers come from: parts of the page itself, then the server; see base.js.

     SC.api.get(path, {fresh, signal}) -> promise   SC.api.post(path, body)   SC.api.forget(start)   SC.useApi(path)
     SC.textsOf(step): [[where, text], …]   SC.findIn(step, words): {where, snippet} or null */

  const { given, useState, useEffect } = SC;

  const parts = new Map([...document.querySelectorAll("script[data-path]")].map((node) => [node.dataset.path, node]));
  const unfolded = new WeakMap();
  /** What a part holds; read once. */
  function unfold(node) {
    if (!unfolded.has(node)) unfolded.set(node, read(node));
    return unfolded.get(node);
  }
  async function read(node) {
    if (!("gzip" in node.dataset)) return JSON.parse(node.textContent);
    const bytes = Uint8Array.from(atob(node.textContent.trim()), (c) => c.charCodeAt(0));
    return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).json();
  }
  class Missing extends Error {}
  SC.Missing = Missing;
  const kept = new Map();
  async function ask(path, signal) {
    const [bare, rest] = path.split("?", 2),
      query = new URLSearchParams(rest ?? "");
    const node = parts.get(path) ?? parts.get(bare);
    if (node) {
      const value = await unfold(node);
      if (!query.has("from") || !Array.isArray(value.steps)) return value;
      const from = Number(query.get("from")),
        to = Math.min(Number(query.get("to")), value.from + value.steps.length);
      return { from, to, steps: value.steps.slice(from - value.from, to - value.from) };
    }
    if (SC.api.exported()) {
      if (bare === "/api/search") return SC.api.searchHere(query.get("q"), Number(query.get("limit") ?? 200), signal);
      throw new Missing("This page is an export and holds only a part of the runs; this is not in it.");
    }
    return SC.api.ask(path, signal);
  }
  SC.api = {
    exported: () => location.protocol === "file:" || SC.store.state?.mode === "export",
    async read(answer) {
      const text = await answer.text();
      let value = null;
      try {
        value = JSON.parse(text);
      } catch {
        /* told below */
      }
      if (!answer.ok)
        throw Object.assign(new Error(value?.error ?? `The server answered ${answer.status} ${answer.statusText}`), {
          status: answer.status,
        });
      return value;
    },
    /** signal: who asks no longer waits, nor does anybody else. */
    get(path, { fresh = false, signal } = {}) {
      if (fresh || !kept.has(path)) {
        const answer = ask(path, signal),
          drop = () => kept.get(path) === answer && kept.delete(path);
        kept.set(path, answer);
        signal?.addEventListener("abort", drop);
        answer.catch(drop);
        if (kept.size > 300) kept.delete(kept.keys().next().value);
      }
      return kept.get(path);
    },
    /** Past all parts and what is kept: the server itself. */
    async ask(path, signal) {
      let answer;
      try {
        answer = await fetch(path, { headers: { Accept: "application/json" }, credentials: "same-origin", signal });
      } catch (error) {
        if (signal?.aborted) throw error;
        throw new Error("The server does not answer. Is stepcredit view still running?");
      }
      return SC.api.read(answer);
    },
    forget: (start) => {
      for (const path of kept.keys()) if (path.startsWith(start)) kept.delete(path);
    },
    post: async (path, body) =>
      SC.api.read(
        await fetch(path, {
          method: "POST",
          credentials: "same-origin",
          body: JSON.stringify(body),
          headers: { "Content-Type": "application/json", "X-Stepcredit-Token": SC.store.state?.token ?? "" },
        }),
      ),
    /** Text search over the steps that an export holds. */
    async searchHere(q, limit, signal) {
      const words = q.toLowerCase(),
        hits = [];
      let total = 0;
      for (const [path, node] of parts) {
        if (!path.endsWith("/steps")) continue;
        signal?.throwIfAborted();
        const id = SC.decode(path.split("/")[3]);
        for (const step of (await unfold(node)).steps) {
          const hit = SC.findIn(step, words);
          if (hit && total++ < limit)
            hits.push({ id: SC.store.runs?.ids[SC.store.runs.row(id)] ?? id, step: step.i, ...hit });
        }
      }
      return { hits, total, cut: total > limit };
    },
  };
  /** Texts of a step by where they stand. */
  SC.textsOf = (step) =>
    [
      ["text", step.text],
      ["reasoning", step.reasoning],
      ...(step.calls ?? []).flatMap((c) => [
        ["call", c.name],
        ["call", c.arguments],
      ]),
      ...(step.replies ?? []).map((r) => ["reply", r.content]),
      ["observation", step.replies?.length ? null : step.observation],
      ["action", step.action === step.text ? null : step.action],
    ]
      .filter(([, t]) => given(t))
      .map(([where, t]) => [where, typeof t === "string" ? t : JSON.stringify(t)]);
  SC.findIn = (step, words) => {
    for (const [where, text] of SC.textsOf(step)) {
      const at = text.toLowerCase().indexOf(words);
      if (at >= 0)
        return {
          where,
          snippet: [
            text.slice(Math.max(0, at - 50), at),
            text.slice(at, at + words.length),
            text.slice(at + words.length, at + words.length + 90),
          ],
        };
    }
    return null;
  };
  /** {data, error, retry}: data of the last path asked for, null while it is on its way; asked for anew when files are
      others. */
  SC.useApi = (path) => {
    const { files } = SC.useStore(),
      [got, set] = useState({ path: null, data: null, error: null }),
      [round, again] = useState(0);
    useEffect(() => {
      let live = true,
        waiting;
      if (path)
        SC.api.get(path).then(
          (data) => live && set({ path, data, error: null }),
          (error) => {
            if (!live) return;
            if (error.status === 503) waiting = setTimeout(() => again((n) => n + 1), 700); // the runs are still being read
            else set({ path, data: null, error });
          },
        );
      return () => {
        live = false;
        clearTimeout(waiting);
      };
    }, [path, round, files]);
    const now = got.path === path ? got : { data: null, error: null };
    return { data: now.data, error: now.error, retry: () => again((n) => n + 1) };
  };
})();
