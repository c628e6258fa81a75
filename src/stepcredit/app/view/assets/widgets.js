(() => {
  "use strict";

  /* Small parts that every screen uses.

     Tip          attributes for whatever shows a note on hover and focus: <b ...${SC.tip("words")}>
     Outcome      {value, binary?}   Badge {kind: good|bad|warn|accent|open, mark?}   Who {name, role?}
     Swatch       {value, scale}   Bar {value, scale, sd?}   Legend {scale, extra?}
     Segments     {label, options: [[value, words, count?]], value, onChange}   Select {label, options, value, onChange, all}
     Blank        {title, action?, inner?: below a heading of the screen}   Failure {error, retry?}   Loading {what}   Link {href}   Icon {name} */

  const { html, fmt, given, say, useRef } = SC;

  /* A note on hover and focus. */

  let tipNode = null;
  function tipAt(target, words) {
    tipNode ??= document.body.appendChild(
      Object.assign(document.createElement("div"), { className: "tip", hidden: true }),
    );
    tipNode.textContent = words;
    tipNode.hidden = !words;
    if (!words) return;
    const box = target.getBoundingClientRect(),
      { offsetWidth: w, offsetHeight: h } = tipNode;
    tipNode.style.left = `${Math.max(8, Math.min(box.left + box.width / 2 - w / 2, innerWidth - w - 8))}px`;
    tipNode.style.top = `${box.top - h - 8 > 60 ? box.top - h - 8 : box.bottom + 8}px`;
  }
  SC.tip = (words) => ({
    onMouseEnter: (event) => tipAt(event.currentTarget, say(words)),
    onMouseLeave: () => tipAt(null, ""),
    onFocus: (event) => event.currentTarget.matches(":focus-visible") && tipAt(event.currentTarget, say(words)),
    onBlur: () => tipAt(null, ""),
  });
  SC.hideTip = () => tipAt(null, "");
  addEventListener("scroll", SC.hideTip, { passive: true, capture: true });
  addEventListener("hashchange", SC.hideTip);

  /* Said aloud, and briefly seen. */

  SC.announce = (words) => {
    const node = document.getElementById("said");
    if (node) node.textContent = node.textContent === words ? `${words}\u00a0` : words;
  };
  SC.toast = (words, action = null) => {
    SC.put({ toast: { words, action, at: Date.now() } });
    SC.announce(words);
    clearTimeout(SC.toast.timer);
    SC.toast.timer = setTimeout(() => SC.put({ toast: null }), action ? 8000 : 3500);
  };
  SC.Toast = () => {
    const { toast } = SC.useStore();
    return (
      toast &&
      html`<div class="toast"><span>${say(toast.words)}</span>${
        toast.action &&
        html`<button type="button" onClick=${() => {
          SC.put({ toast: null });
          toast.action[1]();
        }}>${toast.action[0]}</button>`
      }</div>`
    );
  };

  /* Marks. */

  const PATHS = {
    theme: "M8 1.5a6.5 6.5 0 1 0 0 13zM8 1.5a6.5 6.5 0 0 1 0 13",
    keys: "M1.5 4.5h13v7h-13zM4 7h.5M7 7h.5M10 7h.5M12.5 7h.5M5 9.5h6",
    left: "M10 3 5 8l5 5",
    right: "m6 3 5 5-5 5",
    down: "m3.5 6 4.5 4.5L12.5 6",
    up: "m3.5 10 4.5-4.5L12.5 10",
    close: "m4 4 8 8m0-8-8 8",
    search: "M7 2.5a4.5 4.5 0 1 0 0 9 4.5 4.5 0 0 0 0-9zM10.5 10.5l3.5 3.5",
    copy: "M5.5 5.5h8v8h-8zM3 10.5h-.5v-8h8V3",
    fork: "M4 2v5c0 3 8 2 8 6M4 7c0 3 0 3 0 7",
    target: "M8 2v3m0 6v3M2 8h3m6 0h3M8 6.5a1.5 1.5 0 1 0 0 3 1.5 1.5 0 0 0 0-3z",
    note: "M3 2.5h10v7L9.5 13.5H3zM9.5 13.5v-4H13",
    link: "M6.5 9.5 9.5 6.5M7 4.5l1.5-1.5a3 3 0 0 1 4.5 4.5L11.5 9M9 11.5 7.5 13A3 3 0 0 1 3 8.5L4.5 7",
  };
  SC.Icon = ({
    name,
    size = 16,
  }) => html`<svg width=${size} height=${size} viewBox="0 0 16 16" fill="none" stroke="currentColor"
    stroke-width="1.5" stroke-linecap="round" stroke-linejoin="round" aria-hidden="true" focusable="false">
      <path d=${PATHS[name]} /></svg>`;
  SC.Badge = ({ kind = "", mark, children, title }) =>
    html`<span class=${`badge ${kind}`} title=${title}>${mark && html`<span aria-hidden="true">${mark}</span>`}
      <span class="clip">${children}</span></span>`;
  const OUTCOMES = { succeeded: ["good", "✓"], failed: ["bad", "✗"], unknown: ["open", "?"] };
  /** A rollout's outcome: a mark, and the number where it is neither 0 nor 1. */
  SC.Outcome = ({ value, words = true }) => {
    const kind = SC.outcome(value),
      [color, mark] = OUTCOMES[kind],
      number = given(value) && value !== 0 && value !== 1 ? ` ${fmt.plain(value)}` : "";
    return html`<span class=${`badge ${color}`} title=${`${kind}${
      given(value) ? `, outcome ${fmt.plain(value)}` : ""
    }`}><span aria-hidden="true">${mark}</span>${
      words ? html`<span>${kind}${number}</span>` : html`<span class="hidden">${kind}</span>${number}`
    }</span>`;
  };
  const initials = (name) => {
    const parts = say(name)
      .split(/[^\p{L}\p{N}]+|(?<=\p{Ll})(?=\p{Lu})/u)
      .filter(Boolean);
    return (
      parts.length > 1 ? [...parts[0]][0] + [...parts[1]][0] : [...(parts[0] ?? "?")].slice(0, 2).join("")
    ).toUpperCase();
  };
  /** The sign of a speaker: initials on its tint. */
  SC.Who = ({ name, role = false }) =>
    html`<span class=${`who ${role ? "role" : ""}`} data-a=${role ? null : SC.tint(name)} aria-hidden="true">
      ${role ? initials(name).slice(0, 1) : initials(name)}</span>`;
  SC.Swatch = ({ value, scale }) =>
    html`<span class="swatch" data-l=${SC.level(value, scale)}>${fmt.short(value, scale)}</span>`;
  /** A number as a bar to a side of an axis; sd draws a whisker of one standard deviation to each side. */
  SC.Bar = ({ value, scale, sd }) => {
    const level = SC.level(value, scale),
      part = (v) => Math.max(-1, Math.min(1, v / (scale || 1))) * 50;
    if (level === "x") return html`<span class="bar" data-l="x" aria-hidden="true"></span>`;
    const [a, b] = [0, part(value)].sort((x, y) => x - y),
      low = given(sd) && part(value - sd),
      high = given(sd) && part(value + sd);
    return html`<span class="bar" aria-hidden="true"><i data-l=${level} style=${{
      left: `${50 + a}%`,
      width: `${b - a}%`,
    }}></i>
      ${given(sd) && sd > 0 && html`<u style=${{ left: `${50 + low}%`, width: `${high - low}%` }}></u>`}</span>`;
  };
  SC.Legend = ({
    scale,
    children,
  }) => html`<div class="legend"><span class="key">lost <span class="num">${fmt.signed(-scale)}</span>
    <span class="ramp" aria-hidden="true">${[-5, -4, -3, -2, -1, 0, 1, 2, 3, 4, 5].map(
      (l) => html`<span class="swatch"
      data-l=${l}></span>`,
    )}</span>
    <span class="num">${fmt.signed(scale)}</span> earned</span><span class="key">
      <span class="swatch" data-l="x">·</span>not judged</span>${children}</div>`;

  /* Controls. */

  SC.Segments = ({ label, options, value, onChange }) => {
    const name = useRef(`s${Math.random().toString(36).slice(2)}`);
    return html`<fieldset class="segments"><legend class="hidden">${label}</legend>${options.map(
      ([v, words, count]) => html`<label key=${v}>
      <input type="radio" name=${name.current} value=${v} checked=${v === value} onChange=${() => onChange(v)} />
      <span>${words}${given(count) && html` <small class="num">${fmt.count(count)}</small>`}</span></label>`,
    )}</fieldset>`;
  };
  SC.Select = ({
    label,
    options,
    value,
    onChange,
    all,
    bare = false,
  }) => html`<label class="field"><span class=${bare ? "hidden" : ""} aria-hidden="true">${label}</span>
    <select aria-label=${label} class=${given(value) ? "on" : ""} value=${value ?? ""}
    onChange=${(e) => onChange(e.target.value)}>
    ${given(all) && html`<option value="">${all}</option>`}${options.map(
      ([v, words]) => html`<option key=${v}
      value=${v}>${say(words)}</option>`,
    )}</select></label>`;

  SC.Blank = ({ title, children, action, inner = false }) =>
    html`<div class="blank">${inner ? html`<h2>${title}</h2>` : html`<h1>${title}</h1>`}<p>${children}</p>${action}
      </div>`;
  SC.Failure = ({ error, retry }) => html`<div class="blank" role="alert"><h1>${
    error instanceof SC.Missing ? "Not in this page" : "This could not be read"
  }</h1>
    <p>${say(error?.message ?? error)}</p>${
      retry &&
      !(error instanceof SC.Missing) &&
      html`<button type="button"
      onClick=${retry}>Try again</button>`
    }</div>`;
  SC.Loading = ({ what }) => html`<div class="blank" role="status"><p>Reading ${what} …</p></div>`;

  /** A link out: only http and https, told nothing of where it was clicked. Anything else stays text. */
  SC.safeUrl = (url) => {
    try {
      const made = new URL(url);
      return ["http:", "https:"].includes(made.protocol) ? made.href : null;
    } catch {
      return null;
    }
  };
  SC.Link = ({ href, children }) => {
    const safe = SC.safeUrl(href);
    return safe
      ? html`<a href=${safe} target="_blank" rel="noopener noreferrer nofollow">${children}</a>`
      : html`<span>${children}</span>`;
  };
})();
