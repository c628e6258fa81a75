(() => {
  "use strict";

  /* Lists of which only what is seen is in the page.

     VirtualList  {count, estimate, item(i) -> vnode, own?: scrolls itself instead of the window, inset?: height of what
                  covers the top, handle?: ref that receives {scrollTo(i, offset?), show(i), first()}, again?: begin anew when
                  this changes, keeps?: name(i), then a visit back finds the place again, className, role, label, …}
     SC.places    where each visit left off, by its entry of the history: note() when it is left, arrive() at the next, here()
                  -> its entry, store() for when the page is read anew; wanted: the place still to be found, null on a
                  forward visit or once somebody moved */

  const { html, useEffect, useLayoutEffect, useRef } = SC;

  /* Heights of items, estimated until measured: a Fenwick tree over them. */
  class Heights {
    constructor(n, estimate) {
      this.n = n;
      this.size = new Float64Array(n).fill(estimate);
      this.tree = new Float64Array(n + 1);
      for (let i = 1; i <= n; i++) {
        this.tree[i] += estimate;
        const up = i + (i & -i);
        if (up <= n) this.tree[up] += this.tree[i];
      }
    }
    set(i, height) {
      const change = height - this.size[i];
      this.size[i] = height;
      for (let k = i + 1; k <= this.n; k += k & -k) this.tree[k] += change;
    }
    /** Where item i begins. */
    top(i) {
      let sum = 0;
      for (let k = Math.min(i, this.n); k > 0; k -= k & -k) sum += this.tree[k];
      return sum;
    }
    /** The item at height y. */
    at(y) {
      let i = 0,
        rest = Math.max(0, y);
      for (let bit = 1 << Math.floor(Math.log2(this.n || 1)); bit; bit >>= 1) {
        if (i + bit <= this.n && this.tree[i + bit] <= rest) {
          i += bit;
          rest -= this.tree[i];
        }
      }
      return Math.min(i, this.n - 1);
    }
  }
  SC.Heights = Heights;

  const FREES = ["wheel", "touchstart", "pointerdown", "keydown"];

  /* Where each visit left off: the row at the top, how far down it stands, and what in a row had the focus. Known by entry
     of the history, since the state of an entry that was left can no longer be written. */
  const stored = () => {
    try {
      return Object.entries(JSON.parse(sessionStorage.getItem("stepcredit.places")) ?? {});
    } catch {
      return [];
    }
  };
  const places = new Map(stored()),
    entry = () => history.state?.entry;
  let here,
    list = null,
    pressed = null;
  const rowOf = (node) => node?.closest?.(".vitem[data-name]") ?? null;
  const LINKS = "a, button";
  SC.places = {
    wanted: null,
    note() {
      const active = rowOf(document.activeElement) ?? (pressed?.isConnected ? pressed : null);
      const at = active && Math.max(0, [...active.querySelectorAll(LINKS)].indexOf(document.activeElement));
      places.set(here, { y: scrollY, row: list?.() ?? null, focus: active && [active.dataset.name, at] });
    },
    arrive() {
      const back = entry() !== undefined && places.has(entry());
      if (entry() === undefined) history.replaceState({ ...history.state, entry: `${Date.now()}.${Math.random()}` }, "");
      here = entry();
      pressed = focusing = null;
      SC.places.wanted = back ? places.get(here) : null;
    },
    here: () => here,
    store() {
      SC.places.note();
      try {
        sessionStorage.setItem("stepcredit.places", JSON.stringify(Object.fromEntries([...places].slice(-100))));
      } catch {
        /* a page from a file may be refused it: then a page that is read anew begins at its top */
      }
    },
  };
  addEventListener(
    "click",
    (event) => {
      pressed = rowOf(event.target);
    },
    true,
  );
  for (const name of FREES)
    addEventListener(
      name,
      () => {
        SC.places.wanted = focusing = null;
      },
      { passive: true, capture: true },
    );
  /* The row may come late, and leave and come again while heights become known. */
  let focusing = null;
  function focusIn(focus, tries = 60) {
    if (focusing !== focus) return;
    const [name, at] = focus,
      row = document.querySelector(`.vitem[data-name="${CSS.escape(name)}"]`),
      links = row?.querySelectorAll(LINKS);
    if (links?.length && !row.contains(document.activeElement)) (links[at] ?? links[0]).focus({ preventScroll: true });
    if (tries) requestAnimationFrame(() => focusIn(focus, tries - 1));
  }

  /** A list of which only what is seen is in the page. The item at the top stays put while heights become known. */
  SC.VirtualList = ({
    count,
    estimate,
    item,
    own = false,
    inset = 0,
    handle,
    className = "",
    label,
    again,
    keeps,
    ...rest
  }) => {
    const outer = useRef(),
      inner = useRef(),
      redraw = SC.useRedraw();
    const my = useRef(null);
    if (!my.current || my.current.heights.n !== count || my.current.again !== again) {
      my.current = {
        heights: new Heights(count, estimate),
        from: 0,
        to: Math.min(count, 24),
        anchor: null,
        held: false,
        again,
      };
    }
    const self = my.current;

    const view = () => {
      const list = inner.current.parentElement.getBoundingClientRect();
      const box = own ? outer.current.getBoundingClientRect() : { top: 0, height: innerHeight };
      return { start: box.top - list.top, height: box.height };
    };
    const scroll = (by) => (own ? outer.current.scrollBy(0, by) : scrollBy(0, by));
    const restore = () => {
      if (!self.anchor || !count) return;
      const by = self.heights.top(self.anchor.i) - view().start - self.anchor.offset;
      if (Math.abs(by) > 0.5) scroll(by);
    };
    const place = () => {
      if (!count || !inner.current) return;
      const { start, height } = view(),
        over = Math.max(300, height * 0.6);
      const from = self.heights.at(start - over),
        to = self.heights.at(start + height + over) + 1;
      if (from !== self.from || to !== self.to) {
        self.from = from;
        self.to = to;
        redraw();
      }
    };
    const measure = () => {
      let changed = false;
      for (const node of inner.current?.children ?? []) {
        const i = Number(node.dataset.i),
          height = node.getBoundingClientRect().height;
        if (i < count && height > 0 && Math.abs(height - self.heights.size[i]) > 0.5) {
          self.heights.set(i, height);
          changed = true;
        }
      }
      return changed;
    };
    const settle = () => {
      if (measure()) {
        redraw();
      }
    };

    useLayoutEffect(() => {
      settle();
      restore();
      place();
    });
    useEffect(() => {
      const target = own ? outer.current : window;
      const look = () => {
        const { start } = view();
        if (!self.held && count) {
          const i = self.heights.at(start + inset);
          self.anchor = start + inset > 0 ? { i, offset: self.heights.top(i) - start } : null;
        }
        place();
      };
      const free = () => {
        self.held = false;
      };
      const sizes = new ResizeObserver(settle);
      const seen = new MutationObserver(() => {
        sizes.disconnect();
        for (const node of inner.current.children) sizes.observe(node);
      });
      for (const node of inner.current.children) sizes.observe(node);
      seen.observe(inner.current, { childList: true });
      target.addEventListener("scroll", look, { passive: true });
      addEventListener("resize", look);
      for (const name of FREES) target.addEventListener(name, free, { passive: true, capture: true });
      return () => {
        sizes.disconnect();
        seen.disconnect();
        target.removeEventListener("scroll", look);
        removeEventListener("resize", look);
        for (const name of FREES) target.removeEventListener(name, free, { capture: true });
      };
    }, [self]);
    useEffect(() => {
      if (!keeps) return undefined;
      const tell = () => {
        const { start } = view(),
          i = self.heights.at(start + inset);
        return count && start + inset > 0 ? { name: String(keeps(i)), offset: self.heights.top(i) - start } : null;
      };
      list = tell;
      return () => {
        if (list === tell) list = null;
      };
    });
    useLayoutEffect(() => {
      const place = keeps && SC.places.wanted;
      if (!place) return;
      if (!place.row) {
        if (place.focus) focusIn((focusing = place.focus));
        return;
      }
      for (let i = 0; i < count; i++) {
        if (String(keeps(i)) !== place.row.name) continue;
        SC.places.wanted = null;
        self.anchor = { i, offset: place.row.offset };
        self.held = true;
        redraw();
        if (place.focus) focusIn((focusing = place.focus));
        return;
      }
    }, [self, Boolean(keeps)]);
    if (handle) {
      handle.current = {
        scrollTo(i, offset = inset) {
          self.anchor = { i, offset };
          self.held = true;
          restore();
          place();
        },
        show(i) {
          const { start, height } = view(),
            top = self.heights.top(i),
            end = top + self.heights.size[i];
          if (top < start + inset) handle.current.scrollTo(i, inset);
          else if (end > start + height) handle.current.scrollTo(i, Math.max(inset, height - self.heights.size[i] - 8));
        },
        first: () => self.heights.at(view().start + inset),
      };
    }
    const shown = [];
    for (let i = self.from; i < Math.min(self.to, count); i++)
      shown.push(html`<div class="vitem" role="presentation" data-i=${i} data-name=${keeps ? String(keeps(i)) : null} key=${i}>${item(i)}</div>`);
    return html`<div class=${`vlist ${own ? "own" : ""} ${className}`} ref=${outer} aria-label=${label} ...${rest}>
      <div class="vspace" role="presentation" style=${{ height: `${self.heights.top(count)}px` }}>
        <div class="vshown" role="presentation" ref=${inner}
          style=${{ transform: `translateY(${self.heights.top(self.from)}px)` }}>${shown}</div>
      </div></div>`;
  };
})();
