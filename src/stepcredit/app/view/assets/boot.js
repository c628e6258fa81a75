(() => {
  "use strict";

  /* Frame of the page: top bar, the screen that the address names, help, theme; and the start. */

  const { html, fmt, say, useState, useEffect, useRef } = SC;

  const THEMES = ["system", "light", "dark"];
  function setTheme(name) {
    if (name === "system") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = name;
  }
  const themeNow = () => (THEMES.includes(SC.keep.get("theme")) ? SC.keep.get("theme") : "system");
  setTheme(themeNow());

  function Brand() {
    const cells = [
      ["var(--p3)", 0],
      ["var(--p2)", 6],
      ["var(--n4)", 12],
      ["var(--p4)", 18],
    ];
    return html`<a class="brand" href="#/runs" aria-label="stepcredit: all runs">
      <svg width="23" height="18" viewBox="0 0 23 18" aria-hidden="true" focusable="false">
      ${cells.map(
        ([color, x], i) => html`<rect x=${x} y=${i === 2 ? 6 : 0} width="5" height="12" rx="1.5"
        style=${{ fill: color }} />`,
      )}</svg><span>stepcredit</span></a>`;
  }

  function TopBar({ shown, route, onHelp, theme, onTheme }) {
    const { state } = SC.useStore();
    const here = SC.screens.get(route.name)?.under ?? route.name;
    const nav = useRef();
    useEffect(() => nav.current.querySelector("[aria-current]")?.scrollIntoView({ block: "nearest", inline: "nearest" }), [here]);
    return html`<header class="topbar"><${Brand} />
      <nav aria-label="Screens" ref=${nav}>${shown.map(
        ([name, s]) => html`<a key=${name} href=${SC.to(name)}
        aria-current=${name === here ? "page" : null}>${s.nav}</a>`,
      )}</nav>
      <p class="grow clip isolate" title=${say(state?.title)}>${say(state?.title)}</p>
      <div class="tools"><button type="button" class="bare icon" onClick=${onTheme}
        aria-label=${`Colors: ${theme} (t)`} ...${SC.tip(`Colors: ${theme}. Press t to change.`)}>
        <${SC.Icon} name="theme" /></button>
        <button type="button" class="bare icon" onClick=${onHelp} aria-label="Keys (?)" ...${SC.tip("Keys: press ?")}>
          <${SC.Icon} name="keys" /></button></div></header>`;
  }

  /** Says that files have changed since they were read. */
  function News() {
    const { state, news, runs, gone } = SC.useStore(),
      [asked, ask] = useState({});
    const again = async () => {
      ask({ busy: true });
      try {
        await SC.api.post("/api/again", {});
        SC.put({ news: { ...news, traces: null } });
        await follow();
        ask({});
      } catch (error) {
        ask({ error: error.message });
      }
    };
    if (gone)
      return html`<div class="news bad" role="status"><p>${say(gone.message)} What is shown stays; what is new does not come.</p>
        <button type="button" onClick=${() => listen().catch((error) => SC.put({ error }))}>Try again</button></div>`;
    const error = asked.error ?? (runs && state?.reading?.error);
    if (state?.reading?.done === false || (!news?.traces && !error)) return null;
    return html`<div class=${`news ${error ? "bad" : ""}`} role="status">
      <p class="isolate">${error ? say(error) : `${say(news.traces)} since these runs were read`}</p>
      <button type="button" disabled=${Boolean(asked.busy)} onClick=${again}>Read again</button></div>`;
  }

  const SHOWN = { ArrowDown: "↓", ArrowUp: "↑", ArrowLeft: "←", ArrowRight: "→", Escape: "Esc" };
  function Help({ onClose }) {
    const node = useRef(),
      close = useRef();
    useEffect(() => {
      node.current.showModal();
      close.current.focus({ preventScroll: true });
    }, []);
    const [single, setSingle] = useState(SC.keep.get("keys") !== "off");
    const parts = new Map();
    for (const { title, now } of SC.bound.toReversed()) parts.set(title, [...(parts.get(title) ?? []), ...now.current]);
    const keep = (on) => {
      SC.keep.set("keys", on ? "on" : "off");
      setSingle(on);
    };
    return html`<dialog class="help" ref=${node} aria-labelledby="help-title" onClose=${onClose}
      onClick=${(e) => e.target === node.current && node.current.close()}>
      <h2 id="help-title">Keys</h2><div class="keys">${[...parts].map(
        ([title, keys]) => html`<section key=${title}><h3>${title}</h3><dl>
        ${keys.map(
          ([names, words]) => html`<dt>${names.split(" ").map((k) => html`<kbd>${SHOWN[k] ?? k}</kbd> `)}</dt>
          <dd>${words}</dd>`,
        )}</dl></section>`,
      )}</div>
      <form method="dialog" class="help-end"><label><input type="checkbox" checked=${single}
        onChange=${(e) => keep(e.target.checked)} /> Keys of a single letter</label>
        <button class="strong" ref=${close}>Close</button></form></dialog>`;
  }

  function App() {
    const route = SC.useRoute(),
      { state, error, round } = SC.useStore();
    const [help, setHelp] = useState(false),
      [theme, keepTheme] = useState(themeNow);
    const main = useRef(),
      first = useRef(true);
    const turn = () => {
      const next = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length];
      setTheme(next);
      SC.keep.set("theme", next);
      keepTheme(next);
      SC.announce(`Colors: ${next}`);
    };
    const shown = [...SC.screens].filter(([, one]) => one.nav && (!one.shown || !state || one.shown(state)));
    const open = (event) => {
      const one = shown[Number(event.key) - 1];
      if (!one) return false;
      SC.go(SC.to(one[0]));
      return true;
    };
    SC.useKeys("Everywhere", [
      ["?", "these keys", () => setHelp(true)],
      ["t", "colors: system, light, dark", turn],
      [shown.map((_, i) => i + 1).join(" "), "the screens in the bar", open],
    ]);
    useEffect(() => {
      document.title = [SC.screens.get(route.name)?.title?.(route) ?? "", state?.title ?? "", "stepcredit"]
        .map(say)
        .filter(Boolean)
        .join(" · ");
    });
    useEffect(() => {
      const { place } = visit;
      if (place && !place.row && route.name !== "run") reach(place); // a run goes to its step by itself
      if (first.current) {
        first.current = false;
        return;
      }
      if (!place || route.name === "run") scrollTo(0, 0);
      if (!place?.focus || route.name === "run") main.current?.focus({ preventScroll: true });
    }, [route.name, route.args.slice(0, { run: 2, tree: 1 }[route.name]).join("/")]);
    const screen = SC.screens.get(route.name);
    const share = state && !state.reading?.done ? (state.reading?.share ?? 0.05) : null;
    return html`<div class="shell"><a class="skip" href="#main" onClick=${(e) => {
      e.preventDefault();
      main.current.focus();
    }}>Skip to content</a>
      ${share !== null && html`<div class="reading" style=${{ transform: `scaleX(${share})` }}></div>`}
      <${TopBar} shown=${shown} route=${route} onHelp=${() => setHelp(true)} theme=${theme} onTheme=${turn} />
      <${News} />
      <main id="main" ref=${main} tabindex="-1">${
        error
          ? html`<${SC.Failure} error=${error} retry=${start} />`
          : !state
            ? html`<${SC.Loading} what="the runs" />`
            : screen
              ? html`<${screen.component} key=${round ?? 0} args=${route.args} query=${route.query} />`
              : html`<${SC.Blank} title="No such page" action=${html`<a class="button"
                href="#/runs">All runs</a>`}>The address names a page that is not here.<//>`
      }</main>
      <p id="said" class="hidden" role="status" aria-live="polite"></p><${SC.Toast} />
        ${help && html`<${Help} onClose=${() => setHelp(false)} />`}</div>`;
  }

  /* The state first, then the runs; while files are being read both are asked for again. */
  async function start() {
    try {
      const state = await SC.api.get("/api/state", { fresh: true });
      SC.put({ state, error: null });
      const home = state.pages?.runs === false && ["trees", "dynamics", "bench"].find((name) => state.pages[name]);
      if (!location.hash && home) SC.go(SC.to(home), { replace: true });
      await look();
    } catch (error) {
      SC.put({ error });
    }
  }
  async function look() {
    const { state, runs } = SC.store;
    if (!runs || state.counts?.runs !== runs.n) {
      let answer = null;
      try {
        answer = await (runs ? SC.api.ask("/api/runs") : SC.api.get("/api/runs", { fresh: true }));
      } catch (error) {
        if (error.status !== 503) throw error;
      }
      if (answer) SC.put({ runs: new SC.Runs(answer.columns) });
    }
    SC.marks?.load();
    if (SC.api.exported() || state.reading?.done !== false) return;
    setTimeout(() => follow().catch((error) => SC.put({ error })), 1000);
  }
  /* The state again, and what follows from it: more runs, their verdicts, another index in the place of this one. */
  async function follow() {
    const before = SC.store.state,
      state = await SC.api.ask("/api/state"),
      other = state.read !== before.read,
      ended = state.reading?.done === true && before.reading?.done === false;
    SC.api.forget("/api/");
    // Ids are of one index: the runs and the screen change at once.
    const runs = other || (ended && state.counts?.runs) ? new SC.Runs((await SC.api.ask("/api/runs")).columns) : SC.store.runs;
    SC.put({ state, runs, ...(other ? { news: null, marks: [], round: (SC.store.round ?? 0) + 1 } : {}) });
    if (ended) SC.announce(`Read ${fmt.plural(state.counts?.runs ?? 0, "run")}`);
    await look();
  }
  /* Files that change while the page is open: traces are read again when somebody says so, trees and training at once. */
  let failed = 0;
  async function listen() {
    const { state, error, news: before } = SC.store;
    if (document.hidden || error || state?.reading?.done !== true) return;
    let news;
    try {
      news = await SC.api.ask("/api/news");
    } catch (gone) {
      failed += 1; // one answer that does not come is no news
      if (failed === 2) SC.put({ gone });
      return;
    }
    failed = 0;
    if (SC.store.gone) SC.put({ gone: null });
    if (news.version !== state.read) await follow();
    else if (before && news.files !== before.files) {
      for (const path of ["/api/tree", "/api/dynamics", "/api/bench"]) SC.api.forget(path);
      SC.put({ news, files: news.files, state: await SC.api.ask("/api/state") });
      SC.announce("Files have changed; this is what they hold now");
    } else if (before?.traces !== news.traces) SC.put({ news });
  }

  /* The place of a visit is noted while its screen still stands, before anything is drawn anew. */
  history.scrollRestoration = "manual";
  const visit = { place: null };
  /* Down to where a visit left off, as soon as what is drawn is long enough, unless somebody moves first. */
  function reach(place, tries = 60) {
    if (SC.places.wanted !== place) return;
    scrollTo(0, place.y);
    if (scrollY < place.y - 1 && tries) requestAnimationFrame(() => reach(place, tries - 1));
  }
  const arrive = () => {
    SC.places.arrive();
    visit.place = SC.places.wanted;
  };
  arrive();
  addEventListener("hashchange", () => {
    if (history.state?.entry === SC.places.here()) return;
    SC.places.note();
    arrive();
  });
  addEventListener("pagehide", SC.places.store);

  const root = document.getElementById("app");
  root.replaceChildren();
  SC.render(html`<${App} />`, root);
  start();
  if (!SC.api.exported()) setInterval(() => listen().catch((error) => SC.put({ error })), 4000);
})();
