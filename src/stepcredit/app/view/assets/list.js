(() => {
  "use strict";

  /* Lists of which only what is seen is in the page.

     VirtualList  {count, estimate, item(i) -> vnode, own?: scrolls itself instead of the window, inset?: height of what
                  covers the top, handle?: ref that receives {scrollTo(i, offset?), show(i), first()}, again?: begin anew when
                  this changes, className, role, label, …} */

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
      for (const name of ["wheel", "touchstart", "pointerdown"]) target.addEventListener(name, free, { passive: true });
      return () => {
        sizes.disconnect();
        seen.disconnect();
        target.removeEventListener("scroll", look);
        removeEventListener("resize", look);
        for (const name of ["wheel", "touchstart", "pointerdown"]) target.removeEventListener(name, free);
      };
    }, [self]);
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
      shown.push(html`<div class="vitem" role="presentation" data-i=${i} key=${i}>${item(i)}</div>`);
    return html`<div class=${`vlist ${own ? "own" : ""} ${className}`} ref=${outer} aria-label=${label} ...${rest}>
      <div class="vspace" role="presentation" style=${{ height: `${self.heights.top(count)}px` }}>
        <div class="vshown" role="presentation" ref=${inner}
          style=${{ transform: `translateY(${self.heights.top(self.from)}px)` }}>${shown}</div>
      </div></div>`;
  };
})();
