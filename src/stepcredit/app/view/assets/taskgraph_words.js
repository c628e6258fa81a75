(() => {
  "use strict";

  /* Places and ways of the graph of a task in words: for people who see it, and for those who hear it. */

  const { fmt, given, say } = SC;

  const shape = (share) => (given(share) ? String(Math.round((share - 0.5) * 10)) : "x");
  const parts = (n) => n.out.length > 1;
  const call = (x) => Array.isArray(x) && x.length === 2 && typeof x[0] === "string" && x[1] && typeof x[1] === "object";
  const flat = (x) => (call(x) ? `${say(x[0])}(${SC.callLine({ arguments: x[1] })})` : say(x).replaceAll('"', ""));
  const listed = (state) => {
    try {
      const value = /^\[/.test(state ?? "") ? JSON.parse(state) : null;
      return Array.isArray(value) ? value.map(flat) : null;
    } catch {
      return null;
    }
  };
  /** What tells a list from those that other ways lead to comes first. */
  function rareFirst(items, n) {
    const mates = (n.into[0]?.a.out ?? []).map((l) => listed(l.b.state)).filter(Boolean);
    const held = (x) => mates.filter((m) => m.includes(x)).length;
    return mates.length > 1 && mates.length <= 40 ? items.toSorted((p, q) => held(p) - held(q)) : items;
  }
  const names = new WeakMap();
  /** A place in words: its state laid flat, or what led there. Of a state that only grew, what came. */
  const placeName = (n) => names.get(n) ?? names.set(n, nameOf(n)).get(n);
  function nameOf(n) {
    if (!given(n.state)) return n.depth === 0 ? "start" : brief(n.label);
    const before = n.into[0]?.a.state,
      items = listed(n.state),
      had = listed(before);
    if (items) {
      const came = had && had.every((x) => items.includes(x)) ? items.filter((x) => !had.includes(x)) : [];
      if (came.length && had.length) return `+ ${rareFirst(came, n).join(", ")}`;
      return items.length ? rareFirst(items, n).join(", ") : n.depth === 0 ? "start" : "empty";
    }
    const trunk = before?.replace(/[\])}]$/, "");
    if (n.state.length > 24 && trunk?.length > 8 && n.state.startsWith(trunk) && n.state.length > before.length)
      return `+ ${say(n.state.slice(trunk.length)).replace(/^[,;\s]+/, "")}`;
    return say(n.state).trim() || "empty";
  }
  const shareWords = (x) =>
    given(x.success)
      ? `${fmt.share(x.success)} succeeded${given(x.low) ? ` (${fmt.share(x.low)} to ${fmt.share(x.high)})` : ""}`
      : "outcomes not known";
  const endWords = (n) => {
    const of = (kind) => n.ends.filter((r) => SC.outcome(r.outcome) === kind).length;
    return [
      [of("succeeded"), "✓", "good", "succeeded"],
      [of("failed"), "✗", "bad", "failed"],
      [of("unknown"), "?", "", "of unknown outcome"],
    ].filter(([count]) => count);
  };
  /** An action in the few letters that a way has room for. */
  const brief = (label) => SC.line(label, 160).replace(/[{}[\]"]/g, "").replace(/\((\w+): ?/, "(");
  const nodeWords = (n) =>
    [
      n.stretch ? `${fmt.plural(n.stretch.length, "state")} in a row` : placeName(n).slice(0, 90),
      fmt.plural(n.who.size, "run"),
      shareWords(n),
      parts(n) && `paths part into ${n.out.length}`,
      n.loop && (n.loop.harm ? "some steps stay here, and successes fall by them" : "some steps stay here"),
      ...endWords(n).map(([count, , , word]) => `${fmt.plural(count, "run")} ${word} here`),
    ]
      .filter(Boolean)
      .join(", ");
  const linkWords = (l) =>
    [
      l.ways.length > 1 ? `${l.ways.length} different actions` : SC.line(l.ways[0].label, 90),
      `${fmt.plural(l.visits, "time")}`,
      l.ways.length > 1 ? null : shareWords(l.ways[0]),
      l.harm && `successes fall here, from ${fmt.share(l.a.success)} to ${fmt.share(l.falls.success)}`,
      l.back && "a way back",
    ]
      .filter(Boolean)
      .join(", ");
  /** As much of a text as fits, wide letters counted as such. */
  function fit(text, wide, size) {
    const flat = SC.line(text, 80);
    let room = wide / size,
      out = "";
    for (const c of flat) {
      room -= /[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uff00-\uff60]/.test(c) ? 1.05 : /[A-Z@%mwMW_]/.test(c) ? 0.78 : /[iljft.,:;'!| ]/.test(c) ? 0.38 : 0.67;
      if (room < 0.6) return `${out.trimEnd()}…`;
      out += c;
    }
    return out;
  }
  SC.graphWords = { shape, parts, placeName, shareWords, endWords, nodeWords, linkWords, brief, fit };
})();
