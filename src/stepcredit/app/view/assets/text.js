(() => {
  "use strict";

  /* Words of a run as people read them: prose with fenced code, JSON, diffs, pictures. Everything becomes text nodes; only
     links to http and https and pictures that the file itself carries (data:image/…) become more.

     Prose {text}   Code {text, lang?}   Pretty {value}: JSON laid out, or text as it is   Picture {url}
     Folded {id, folds, summary, open?, children}: a part that opens; folds is a Map that remembers it
     Clipped {id, folds, children, lines?}: high parts are cut with a button   SC.line(text, n): its first words on one line */

  const { html, fmt, say, useState, useLayoutEffect, useRef } = SC;

  SC.line = (text, n = 140) => {
    const flat = say(text)
      .slice(0, 4 * n)
      .replace(/\s+/g, " ")
      .trim();
    return flat.length > n ? `${flat.slice(0, n - 1)}…` : flat;
  };

  /* Code: strings, comments, numbers, words that most languages share. Long code stays plain. */

  const CODE =
    /("""[\s\S]*?"""|'''[\s\S]*?'''|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|`(?:\\.|[^`\\])*`)|(#[^\n]*|\/\/[^\n]*|\/\*[\s\S]*?\*\/|--\s[^\n]*)|\b(\d[\d_.]*(?:e[+-]?\d+)?)\b|\b(def|class|return|if|elif|else|for|while|in|import|from|as|with|try|except|finally|raise|lambda|not|and|or|is|None|True|False|null|true|false|function|const|let|var|new|async|await|export|default|throw|catch|switch|case|break|continue|yield|pass|fn|pub|use|struct|enum|impl|match|mut|func|package|type|interface|public|private|static|void|int|select|insert|update|delete|where|join|order|by|group|limit|SELECT|INSERT|UPDATE|DELETE|FROM|WHERE|JOIN|ORDER|BY|GROUP|LIMIT|AND|OR|NOT|echo|fi|then|do|done)\b/g;
  const KINDS = ["str", "com", "num", "key"];
  function colored(text) {
    if (text.length > 60000) return text;
    const parts = [];
    let at = 0;
    for (const m of text.matchAll(CODE)) {
      if (m.index > at) parts.push(text.slice(at, m.index));
      parts.push(html`<span class=${`t-${KINDS[[1, 2, 3, 4].findIndex((k) => m[k] !== undefined)]}`}>${m[0]}</span>`);
      at = m.index + m[0].length;
      if (parts.length > 8000) break;
    }
    parts.push(text.slice(at));
    return parts;
  }
  const DIFF = /^(?:diff --git |--- \S|\+\+\+ \S|@@ )/m;
  const isDiff = (text) => /^@@ -\d+(?:,\d+)? \+\d+(?:,\d+)? @@/m.test(text) && DIFF.test(text);
  const sort = (line) =>
    /^(?:\+\+\+|---|diff |index |new file|deleted file|rename )/.test(line)
      ? "file"
      : line.startsWith("@@")
        ? "at"
        : line[0] === "+"
          ? "add"
          : line[0] === "-"
            ? "del"
            : "";
  SC.Diff = ({ text }) =>
    html`<pre class="code diff" tabindex="0" aria-label="changes of a file"><code>${text
      .split("\n")
      .slice(0, 6000)
      .map((line) => html`<span class=${`d-${sort(line)}`}>${line || " "}${"\n"}</span>`)}</code></pre>`;
  SC.Code = ({ text, lang = "" }) => {
    const shown = say(text);
    if (lang === "diff" || lang === "patch" || isDiff(shown)) return html`<${SC.Diff} text=${shown} />`;
    return html`<pre class="code" tabindex="0" aria-label=${lang ? `${lang} code` : "code"}><code>
      ${lang === "text" ? shown : colored(shown)}</code></pre>`;
  };

  /** JSON laid out in lines, or null where the text is none. */
  SC.json = (text) => {
    if (typeof text !== "string") return text === null || text === undefined ? null : JSON.stringify(text, null, 2);
    const t = text.trim();
    if (!/^[[{]/.test(t) || !/[\]}]$/.test(t) || t.length > 400000) return null;
    try {
      return JSON.stringify(JSON.parse(t), null, 2);
    } catch {
      return null;
    }
  };
  const JSONS = /("(?:\\.|[^"\\])*")(\s*:)?|\b(true|false|null)\b|(-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)/g;
  function jsonParts(text) {
    if (text.length > 60000) return text;
    const parts = [];
    let at = 0;
    for (const m of text.matchAll(JSONS)) {
      parts.push(text.slice(at, m.index));
      parts.push(
        html`<span class=${m[2] ? "t-name" : m[1] ? "t-str" : m[3] ? "t-key" : "t-num"}>${m[1] ?? m[0]}</span>`,
        m[2] ?? "",
      );
      at = m.index + m[0].length;
    }
    parts.push(text.slice(at));
    return parts;
  }
  SC.Pretty = ({ value }) => {
    const laid = SC.json(value);
    if (laid === null)
      return isDiff(say(value))
        ? html`<${SC.Diff} text=${say(value)} />`
        : html`<pre class="code plain" tabindex="0" dir="auto">${say(value)}</pre>`;
    return html`<pre class="code" tabindex="0" aria-label="data"><code>${jsonParts(say(laid))}</code></pre>`;
  };

  /* Prose: fences, headings, lists keep their signs; **bold**, `code` and links are drawn. */

  const INLINE = /`([^`\n]+)`|\*\*([^*\n]+)\*\*|(https?:\/\/[^\s<>"'`)\]}]+)/g;
  function inline(text) {
    const parts = [];
    let at = 0;
    for (const m of text.matchAll(INLINE)) {
      if (m.index > at) parts.push(text.slice(at, m.index));
      if (m[1] !== undefined) parts.push(html`<code>${m[1]}</code>`);
      else if (m[2] !== undefined) parts.push(html`<b>${m[2]}</b>`);
      else {
        const tail = m[3].match(/[.,;:!?]+$/)?.[0] ?? "",
          url = m[3].slice(0, m[3].length - tail.length);
        parts.push(html`<${SC.Link} href=${url}>${url}<//>`, tail);
      }
      at = m.index + m[0].length;
      if (parts.length > 4000) break;
    }
    parts.push(text.slice(at));
    return parts;
  }
  const block = (text) => {
    const heading = text.match(/^(#{1,6}) +([^\n]+)$/);
    if (heading) return html`<p class="p-head" dir="auto"><b>${inline(heading[2])}</b></p>`;
    return html`<p dir="auto">${inline(text)}</p>`;
  };
  /* Tables: a line of names, a line of dashes, lines of cells. */

  const RULE = /^\s*\|?\s*:?-+:?\s*(?:\|\s*:?-+:?\s*)*\|?\s*$/;
  /** Cells of a line: cut at each | that is neither behind a backslash nor in code. */
  const cells = (line) =>
    (line.trim().replace(/^\|/, "").match(/(?:\\\||`[^`]*`|[^|])+|(?<=\|)(?=\|)/g) ?? [])
      .map((t) => t.replaceAll("\\|", "|").trim());
  const isTable = (lines, k) =>
    lines[k].includes("|") &&
    (lines[k + 1] ?? "").includes("|") &&
    lines[k].length + lines[k + 1].length < 4000 && // RULE tries blanks in every way
    RULE.test(lines[k + 1]) &&
    cells(lines[k]).length === cells(lines[k + 1]).length;
  /** The lines of a part of prose, with tables among them drawn. */
  function blocks(text) {
    const lines = text.split("\n"),
      out = [];
    let plain = [];
    const flush = () => {
      if (plain.some((l) => l.trim())) out.push(block(plain.join("\n")));
      plain = [];
    };
    for (let k = 0; k < lines.length; k++) {
      if (!isTable(lines, k)) {
        plain.push(lines[k]);
        continue;
      }
      flush();
      const head = cells(lines[k]),
        rows = [];
      for (k += 2; k < lines.length && lines[k].includes("|") && rows.length < 500; k++) rows.push(cells(lines[k]));
      k--;
      out.push(html`<div class="scroll" tabindex="0" role="group" aria-label="Table"><table class="plain-table md-table">
        <thead><tr>${head.map((c) => html`<th scope="col" dir="auto">${inline(c)}</th>`)}</tr></thead>
        <tbody>${rows.map(
          (row) => html`<tr>${head.map((_, at) => html`<td dir="auto">${inline(row[at] ?? "")}</td>`)}</tr>`,
        )}</tbody></table></div>`);
    }
    flush();
    return out;
  }
  SC.Prose = ({ text }) => {
    const shown = say(text);
    const laid = SC.json(shown);
    if (laid !== null) return html`<${SC.Pretty} value=${shown} />`;
    if (isDiff(shown) && !shown.includes("```")) return html`<${SC.Diff} text=${shown} />`;
    return html`<div class="prose">${fenced(shown).map(([code, body, lang]) =>
      code
        ? html`<${SC.Code} text=${body}
      lang=${lang} />`
        : prose(body),
    )}</div>`;
  };
  /** A text cut at its fences: [is it code, text, language]. A fence that is never closed holds the rest. */
  function fenced(text) {
    const parts = [];
    let lines = [],
      fence = null,
      lang = "";
    const flush = () => {
      if (lines.length) parts.push([fence !== null, lines.join("\n"), lang]);
      lines = [];
    };
    for (const line of text.split("\n")) {
      const mark = line.match(/^\s*(`{3,}|~{3,})\s*([\w+#.-]*)[^`]*$/);
      if (fence === null && mark) {
        flush();
        [, fence, lang] = [0, mark[1], mark[2].toLowerCase()];
      } else if (fence !== null && mark && mark[1].startsWith(fence) && !mark[2]) {
        flush();
        fence = null;
        lang = "";
      } else lines.push(line);
    }
    flush();
    return parts;
  }
  const prose = (text) =>
    text
      .split(/\n{2,}|(?<=^#{1,6} [^\n]+)\n/m)
      .map((t) => t.replace(/^\n+|\s+$/g, ""))
      .filter(Boolean)
      .slice(0, 3000)
      .map((t) => (t.includes("|") ? blocks(t) : block(t)));

  /* Pictures: those that the file carries are shown; others are named, and asked for only by a click of their own. */

  const INSIDE = /^data:image\/(?:png|jpeg|gif|webp);base64,[A-Za-z0-9+/=\s]+$/;
  SC.Picture = ({ url: given, run, step, field }) => {
    const [large, setLarge] = useState(false),
      [whole, setWhole] = useState(null),
      [error, setError] = useState(null);
    const length = (step ?? run)?.cut?.[field],
      url = whole ?? given;
    if (length && !whole) {
      const read = () =>
        SC.api
          .get(`/api/run/${encodeURIComponent(run.id)}/text/${step ? step.i : -1}/${encodeURIComponent(field)}`)
          .then((answer) => setWhole(answer.text ?? answer), setError);
      return html`<p class="picture-away">${
        error
          ? say(error.message)
          : html`Picture of ${fmt.count(Math.ceil((length * 0.75) / 1024))} KB: <button type="button" class="text"
        onClick=${read}>show it</button>`
      }</p>`;
    }
    if (INSIDE.test(url)) {
      return html`<button type="button" class="picture" aria-pressed=${large} aria-label=${
        large ? "Smaller picture" : "Larger picture"
      } onClick=${() => setLarge(!large)}>
        <img src=${url} alt="Picture in this message" class=${large ? "large" : ""} loading="lazy" /></button>`;
    }
    const safe = SC.safeUrl(url);
    return html`<p class="picture-away">Picture ${
      safe
        ? html`at <b class="isolate">${say(new URL(safe).host)}
      </b>, not loaded: <${SC.Link} href=${safe}>open it in a new tab<//>`
        : html`of a kind that is not shown: <code>
      ${SC.line(url, 80)}</code>`
    }</p>`;
  };

  /* Parts that open, and parts that are cut. */

  SC.Folded = ({ id, folds, summary, open = false, kind = "", children }) => {
    const [is, set] = useState(folds.get(id) ?? open);
    const now = folds.all !== undefined && !folds.has(id) ? folds.all : (folds.get(id) ?? is);
    return html`<details class=${`fold ${kind}`} open=${now} onToggle=${(e) => {
      if (e.currentTarget.open !== now) {
        folds.set(id, e.currentTarget.open);
        set(e.currentTarget.open);
      }
    }}>
      <summary>${summary}</summary>${
        now &&
        html`<div class="fold-body">
        ${typeof children === "function" ? children() : children}</div>`
      }</details>`;
  };
  SC.Clipped = ({ id, folds, lines = 22, part = null, children }) => {
    const node = useRef(),
      [high, setHigh] = useState(false),
      redraw = SC.useRedraw(),
      [whole, setWhole] = useState(folds.get(`${id}w`) ?? null),
      open = folds.get(id) ?? false,
      cut = part !== null && part.length !== undefined && part.length !== null;
    useLayoutEffect(() => {
      if (!open && node.current) setHigh(node.current.scrollHeight > node.current.clientHeight + 40);
    });
    return html`<div class=${`clipped ${open ? "open" : high ? "high" : ""}`} style=${{ "--lines": lines }}>
      <div class="clipped-in" ref=${node}>${whole === null ? children : html`<${Whole} text=${whole} draw=${part.draw} />`}</div>
      ${
        (high || open) &&
        html`<button type="button" class="more" aria-expanded=${open} onClick=${() => {
          folds.set(id, !open);
          redraw();
        }}>${open ? "Show less" : cut && whole === null ? `Show ${fmt.count(part.held)} characters` : "Show all"}</button>`
      }${
        cut &&
        whole === null &&
        (open || !high) &&
        html`<${More} part=${part} onText=${(text) => {
          folds.set(`${id}w`, text);
          folds.set(id, true);
          setWhole(text);
        }} />`
      }</div>`;
  };

  /** Reads a text whole that the server cut. */
  function More({ part: { run, step, field, length }, onText }) {
    const [error, setError] = useState(null);
    const fetch = () =>
      SC.api
        .get(`/api/run/${encodeURIComponent(run)}/text/${step}/${encodeURIComponent(field)}`)
        .then((answer) => onText(typeof answer === "string" ? answer : (answer.text ?? "")), setError);
    if (error) return html`<p class="quiet">${say(error.message)}</p>`;
    if (SC.api.exported()) {
      return html`<p
        class="quiet">Cut here: the whole has ${fmt.count(length)} characters, which this page does not hold.</p>`;
    }
    return html`<button type="button" class="more" onClick=${fetch}>Read all ${fmt.count(length)} characters</button>`;
  }
  function Whole({ text, draw }) {
    const [shown, setShown] = useState(200000);
    return html`<div>${draw(text.slice(0, shown))}${
      shown < text.length &&
      html`<button type="button" class="more"
      onClick=${() => setShown(shown + 200000)}>${fmt.count(text.length - shown)} more characters</button>`
    }</div>`;
  }
})();
