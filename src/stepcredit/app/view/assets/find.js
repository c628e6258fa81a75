(() => {
  "use strict";

  /* Search in one run: Find {run, steps, words, onWords, onHit(i), onClose, body} */

  const { html, fmt, useState, useEffect, useRef } = SC;

  /* Words found in the transcript are lit without touching its nodes. */
  function light(root, words) {
    if (!globalThis.Highlight || !CSS.highlights) return;
    CSS.highlights.delete("found");
    if (!root || words.length < 2) return;
    const ranges = [],
      walk = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
    for (let node = walk.nextNode(); node && ranges.length < 2000; node = walk.nextNode()) {
      const text = node.data.toLowerCase();
      for (let at = text.indexOf(words); at >= 0; at = text.indexOf(words, at + words.length)) {
        const r = new Range();
        r.setStart(node, at);
        r.setEnd(node, at + words.length);
        ranges.push(r);
      }
    }
    if (ranges.length) CSS.highlights.set("found", new Highlight(...ranges));
  }

  SC.Find = function Find({ run, steps, words, onWords, onHit, onClose, body }) {
    const [told, setFound] = useState({ words: null, list: [], share: 0 }),
      [at, setAt] = useState(0),
      box = useRef();
    // What was found for other words is not walked through: the first hit of these is still to come.
    const found = told.words === words ? told : { list: [], share: 0 };
    useEffect(() => {
      box.current.focus();
      box.current.select();
      return () => light(null, "");
    }, []);
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
          if (list.length) onHit(list[0]);
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
      onHit(found.list[next]);
    };
    return html`<div class="find card" role="search"><label class="searchbox">
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
      <button type="button" class="icon" aria-label="Found before" onClick=${() => go(-1)}><${SC.Icon} name="up" />
        </button><button type="button" class="icon" aria-label="Found next" onClick=${() => go(1)}>
        <${SC.Icon} name="down" /></button>
      <button type="button" class="icon" aria-label="Close search" onClick=${onClose}><${SC.Icon} name="close" />
        </button></div>`;
  };
})();
