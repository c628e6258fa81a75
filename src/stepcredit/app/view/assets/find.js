(() => {
  "use strict";

  /* Search in one run: Find {run, steps, folds, words, onWords, onHit(i), onPart(), onPlace(i, y), onClose, body}. A hit in
     a folded part opens it (onPart draws anew), and what is lit first is brought into sight: onPlace puts the head of step i
     at height y of the window. */

  const { html, fmt, say, useState, useEffect, useRef } = SC;

  const BLOCK = "pre, p, summary, td, th, header, button, small, .fold-line";
  const lower = (text) => {
    const low = text.toLowerCase();
    return low.length === text.length ? low : text;
  };
  /** Where words stand in the texts below a node, over the borders of colored parts. */
  function ranges(root, words, most = 2000) {
    const nodes = [],
      starts = [],
      found = [],
      walk = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
    let text = "",
      block = null;
    for (let node = walk.nextNode(); node; node = walk.nextNode()) {
      const now = node.parentElement.closest(BLOCK);
      if (now !== block) text += "\0";
      block = now;
      nodes.push(node);
      starts.push(text.length);
      text += lower(node.data);
    }
    let k = 0;
    for (let at = text.indexOf(words); at >= 0 && found.length < most; at = text.indexOf(words, at + words.length)) {
      while (k + 1 < nodes.length && starts[k + 1] <= at) k++;
      let end = k;
      while (end + 1 < nodes.length && starts[end + 1] < at + words.length) end++;
      const r = new Range();
      r.setStart(nodes[k], at - starts[k]);
      r.setEnd(nodes[end], at + words.length - starts[end]);
      found.push(r);
    }
    return found;
  }
  /* Words found in the transcript are lit without touching its nodes. */
  function light(root, words) {
    if (!globalThis.Highlight || !CSS.highlights) return;
    CSS.highlights.delete("found");
    if (!root || words.length < 2) return;
    const all = ranges(root, words);
    if (all.length) CSS.highlights.set("found", new Highlight(...all));
  }

  /** Names of the folded and the cut parts of a step that hold the words. */
  SC.foldsOf = (step, words) => {
    const has = (x) => say(x).toLowerCase().includes(words),
      out = [];
    const add = (id, x) => has(x) && out.push(id, `${id}c`);
    add(`${step.i}t`, step.reasoning);
    add(`${step.i}x`, step.text);
    (step.calls ?? []).forEach((c, k) => {
      if (!has(c.name)) add(`${step.i}k${k}`, c.arguments);
    });
    (step.replies ?? []).forEach((m, k) => {
      add(`${step.i}r${k}`, m.content);
      add(`${step.i}s${k}`, m.content);
    });
    if (!step.replies?.length) add(`${step.i}ro`, step.observation);
    return out;
  };

  SC.Find = function Find({ run, steps, folds, words, onWords, onHit, onPart, onPlace, onClose, body }) {
    const [told, setFound] = useState({ words: null, list: [], share: 0 }),
      [at, setAt] = useState(0),
      box = useRef(),
      card = useRef(),
      frame = useRef(0);
    // What was found for other words is not walked through: the first hit of these is still to come.
    const found = told.words === words ? told : { list: [], share: 0 };
    useEffect(() => {
      box.current.focus();
      box.current.select();
      return () => {
        cancelAnimationFrame(frame.current);
        light(null, "");
      };
    }, []);
    /** Opens the parts of a step that hold the words, and brings the first into sight once it is drawn. */
    const reveal = (i) => {
      const step = steps.peek(i),
        low = words.toLowerCase();
      onHit(i);
      if (!step) return;
      for (const id of SC.foldsOf(step, low)) folds.set(id, true);
      onPart();
      cancelAnimationFrame(frame.current);
      let left = 60;
      const look = () => {
        const item = body.current?.querySelector(`.vitem[data-i="${i}"]`),
          first =
            item &&
            ranges(item, low).find((r) => r.startContainer.parentElement.checkVisibility({ visibilityProperty: true }));
        if (!first || left > 56) {
          if (left-- > 0) frame.current = requestAnimationFrame(look);
          return;
        }
        light(body.current, low);
        const y = first.getBoundingClientRect(),
          top = card.current.getBoundingClientRect().bottom;
        if (y.top < top || y.bottom > innerHeight - 24)
          onPlace(i, Math.round(Math.max(top + 24, innerHeight * 0.35) - (y.top - item.getBoundingClientRect().top)));
      };
      frame.current = requestAnimationFrame(look);
    };
    useEffect(() => {
      let live = true;
      const q = words.toLowerCase();
      if (q.length < 2) {
        setFound({ words, list: [], share: 1 });
        return undefined;
      }
      setFound({ words, list: [], share: 0 });
      steps
        .all((share) => live && setFound((old) => ({ ...old, share })))
        .then((all) => {
          if (!live) return;
          const list = all.filter((s) => s && SC.findIn(s, q)).map((s) => s.i);
          setFound({ words, list, share: 1 });
          setAt(0);
          if (list.length) reveal(list[0]);
        });
      return () => {
        live = false;
      };
    }, [words]);
    useEffect(() => {
      const timer = setInterval(() => light(body.current, words.toLowerCase()), 400);
      return () => clearInterval(timer);
    }, [words]);
    const go = (by) => {
      if (!found.list.length) return;
      const next = (at + by + found.list.length) % found.list.length;
      setAt(next);
      reveal(found.list[next]);
    };
    return html`<div class="find card" role="search" ref=${card}><label class="searchbox">
      <span class="hidden">Search in this run</span><${SC.Icon} name="search" />
      <input type="search" ref=${box} value=${words} placeholder="Search in this run"
        onInput=${(e) => onWords(e.target.value)} onKeyDown=${(e) => {
          if (e.key === "Enter") {
            e.preventDefault();
            go(e.shiftKey ? -1 : 1);
          } else if (e.key === "Escape") {
            e.stopPropagation();
            onClose();
          }
        }} /></label>
      <span class="quiet num" role="status">${
        words.length < 2
          ? ""
          : found.share < 1
            ? `searching ${fmt.share(found.share)}`
            : found.list.length
              ? `${at + 1} of ${fmt.plural(found.list.length, "step")}`
              : "not found"
      }</span>
      <button type="button" class="icon" aria-label="Found before" ...${SC.tip("Found before (Shift Enter)")}
        onClick=${() => go(-1)}><${SC.Icon} name="up" /></button>
      <button type="button" class="icon" aria-label="Found next" ...${SC.tip("Found next (Enter)")}
        onClick=${() => go(1)}><${SC.Icon} name="down" /></button>
      <button type="button" class="icon" aria-label="Close search" ...${SC.tip("Close search (Esc)")}
        onClick=${onClose}><${SC.Icon} name="close" /></button></div>`;
  };
})();
