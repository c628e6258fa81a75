(() => {
  "use strict";

  /* Charts of the screens of training and boards. A chart fills the width it has, says in words what it shows, has points
     that take the focus (arrow keys walk) and its numbers as a table. Lines differ by dash and marker, not by color alone.

     Plots.Lines  {title, doc, unit, axis, series: [{name, at, values, low, high, n?}], chosen?}  null = not known;
                  chosen: the series that is drawn in full, the others as thin lines behind it
     Plots.Ridges {title, doc, axis, of: {at, edges, counts, quantiles, levels}, notes: [words per place]}
     Plots.Dots   {rows: [{name, value, low, high, baseline}], chance, interval, label}
     Plots.ticks(low, high, most), Plots.number(unit)(value) */

  const { html, fmt, given, say, useLayoutEffect, useMemo, useRef, useState } = SC;

  const known = (v) => given(v) && Number.isFinite(v);
  const FORMS = { share: fmt.share, seconds: fmt.seconds };
  const number = (unit) => FORMS[unit] ?? fmt.plain;
  const ticks = (low, high, most = 5) => {
    if (!(high > low)) return [low];
    const raw = (high - low) / most,
      size = 10 ** Math.floor(Math.log10(raw)),
      step = size * ([1, 2, 2.5, 5, 10].find((k) => k * size >= raw * 0.999) ?? 10),
      out = [];
    for (let k = Math.ceil(low / step - 1e-9); k * step <= high + step * 1e-6 && out.length < 50; k++)
      out.push(+(k * step).toPrecision(12));
    return out;
  };
  /** Words of the ticks of an axis, all with the same places. */
  const ticked = (at, unit) => {
    const scale = unit === "share" ? 100 : 1,
      shown = at.map((t) => +(t * scale).toPrecision(12)),
      places = Math.max(...shown.map((t) => (String(t).split(".")[1] ?? "").length));
    if ((unit in FORMS && unit !== "share") || places > 4 || shown.some((t) => String(t).includes("e") || Math.abs(t) >= 1e4))
      return at.map(number(unit));
    return shown.map((t) => `${fmt.minus(t.toFixed(places))}${unit === "share" ? "%" : ""}`);
  };
  /** [low, high] that holds the values, on round numbers; from 0 where that is near. */
  const range = (values, unit) => {
    let low = Math.min(...values),
      high = Math.max(...values);
    if (unit === "share" || (low >= 0 && low < high * 0.6)) low = Math.min(0, low);
    if (!(high > low)) [low, high] = low < 0 ? [low - 1, low + 1] : [0, low > 0 ? low * 1.25 : 1];
    const at = ticks(low, high, 4),
      step = at.length > 1 ? at[1] - at[0] : high - low;
    low = Math.floor(low / step + 1e-9) * step;
    high = Math.ceil(high / step - 1e-9) * step;
    return [low, unit === "share" && Math.max(...values) <= 1 ? Math.min(high, 1) : high];
  };
  function useWidth(ref, otherwise = 420) {
    const [width, set] = useState(otherwise);
    useLayoutEffect(() => {
      const look = () => ref.current && set(Math.max(180, Math.round(ref.current.clientWidth)));
      const sizes = new ResizeObserver(look);
      sizes.observe(ref.current);
      look();
      return () => sizes.disconnect();
    }, []);
    return width;
  }
  /** The arrow keys walk over the points of a chart: left and right along a line, up and down to the next line. */
  function walk(event) {
    const here = event.target.closest("[data-s]"),
      by = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
    if (!here || !by) return;
    event.preventDefault();
    const all = [...event.currentTarget.querySelectorAll("[data-s]")],
      s = Number(here.dataset.s) + by[0],
      row = all.filter((p) => Number(p.dataset.s) === s);
    const near = (p) => Math.abs(Number(p.dataset.x) - Number(here.dataset.x));
    const next = by[0]
      ? row.reduce((best, p) => (best && near(best) <= near(p) ? best : p), null)
      : row[row.indexOf(here) + by[1]];
    if (!next) return;
    for (const p of all) p.setAttribute("tabindex", p === next ? "0" : "-1");
    next.focus();
  }
  const MARKS = [
    (x, y) => html`<circle cx=${x} cy=${y} r="3.5" />`,
    (x, y) => html`<rect x=${x - 3.2} y=${y - 3.2} width="6.4" height="6.4" />`,
    (x, y) => html`<path d=${`M${x} ${y - 4.4}l4.2 7.4h-8.4z`} />`,
    (x, y) => html`<path d=${`M${x} ${y - 4.6}l4.6 4.6-4.6 4.6-4.6-4.6z`} />`,
  ];
  const DASHES = [null, "7 4", "2 3", "9 3 2 3"];
  const mark = (s, x, y) => MARKS[s % MARKS.length](x, y);
  const interval = (form, low, high) => (known(low) && known(high) ? `${form(low)} to ${form(high)}` : "");

  /* The table of a chart is made when it is opened. */
  function Numbers({ head, rows, caption }) {
    const [open, set] = useState(false);
    return html`<details class="plot-numbers" onToggle=${(e) => set(e.currentTarget.open)}>
      <summary>Numbers</summary>${
        open &&
        html`<div class="scroll" tabindex="0" role="region" aria-label=${`Numbers of ${say(caption)}`}><table>
        <caption class="hidden">${say(caption)}</caption>
        <thead><tr>${head.map((h) => html`<th scope="col" class="num">${say(h)}</th>`)}</tr></thead>
        <tbody>${rows().map(
          (cells) => html`<tr>${cells.map((c, i) =>
            i ? html`<td class="num">${c}</td>` : html`<th scope="row" class="num">${c}</th>`,
          )}</tr>`,
        )}</tbody></table></div>`
      }</details>`;
  }
  /** What a chart would show, said in words: where all of it is the same. */
  const Word = ({ title, doc, children }) => html`<${Frame} title=${title} doc=${doc}><p class="plot-none">${children}</p><//>`;
  function Frame({ title, doc, kind = "", children }) {
    return html`<figure class=${`plot card ${kind}`}><figcaption><h3>${say(title)}</h3>
      ${doc && html`<p>${say(doc)}</p>`}</figcaption>${children}</figure>`;
  }

  /* Lines. */

  function segments(line, x, y) {
    const runs = [[]];
    line.at.forEach((a, i) => {
      if (known(line.values[i])) runs.at(-1).push(i);
      else if (runs.at(-1).length) runs.push([]);
    });
    const some = runs.filter((r) => r.length);
    const path = (ids, of) => ids.map((i, k) => `${k ? "L" : "M"}${x(line.at[i])} ${y(of[i])}`).join("");
    const band = some.map((ids) => {
      const both = ids.filter((i) => known(line.low?.[i]) && known(line.high?.[i]));
      const back = both.toReversed().map((i) => `L${x(line.at[i])} ${y(line.low[i])}`);
      return both.length > 1 ? `${path(both, line.high)}${back.join("")}Z` : "";
    });
    return { line: some.map((ids) => path(ids, line.values)).join(""), band: band.join("") };
  }
  /** Labels at the ends of lines, moved so that none covers another. */
  function ends(lines, y, top, bottom) {
    const out = lines
      .map((line, s) => {
        const i = line.values.findLastIndex(known);
        return i < 0 ? null : { s, name: line.name, y: y(line.values[i]) };
      })
      .filter(Boolean)
      .sort((a, b) => a.y - b.y);
    out.forEach((one, k) => {
      one.y = Math.max(one.y, k ? out[k - 1].y + 15 : top + 4);
    });
    for (let k = out.length - 1; k >= 0; k--)
      out[k].y = Math.min(out[k].y, k + 1 < out.length ? out[k + 1].y - 15 : bottom - 2);
    return out;
  }
  function sampled(n, most = 60) {
    const step = Math.max(1, Math.ceil(n / most));
    return Array.from({ length: n }, (_, i) => i).filter((i) => i % step === 0 || i === n - 1);
  }
  const told = (line, i, form, axis) =>
    [
      line.name && `${line.name}, `,
      `${axis} ${fmt.plain(line.at[i])}: ${known(line.values[i]) ? form(line.values[i]) : "not known"}`,
      known(line.low?.[i]) && `, ${interval(form, line.low[i], line.high[i])}`,
      given(line.n?.[i]) && `, n = ${fmt.count(line.n[i])}`,
    ]
      .filter(Boolean)
      .join("");

  function Lines({ title, doc, unit, axis, series, chosen = null }) {
    const box = useRef(),
      width = useWidth(box),
      form = number(unit);
    const full = chosen === null ? series : series.filter((s) => s.name === chosen),
      ghosts = chosen === null ? [] : series.filter((s) => s.name !== chosen);
    const all = [...full, ...ghosts];
    const values = all.flatMap((s) => [...s.values, ...(full.includes(s) ? [...(s.low ?? []), ...(s.high ?? [])] : [])]);
    const seen = values.filter(known),
      places = all.flatMap((s) => s.at);
    if (!seen.length)
      return html`<${Frame} title=${title} doc=${doc}><p class="plot-none" ref=${box}>Nothing is known of it here.</p><//>`;
    const height = 190,
      names = chosen === null && full.length > 1,
      longest = Math.max(...full.map((s) => say(s.name).length)),
      aside = names && width > 460 ? Math.min(150, 14 + longest * 6.4) : 14;
    const [low, high] = range(seen, unit),
      [from, to] = [Math.min(...places), Math.max(...places)],
      marks = ticks(low, high, 4),
      named = ticked(marks, unit);
    const left = 12 + Math.max(...named.map((t) => t.length)) * 6.6,
      right = width - aside,
      top = 10,
      bottom = height - 26;
    const round = (v) => Math.round(v * 10) / 10;
    const x = (v) => round(to > from ? left + ((v - from) / (to - from)) * (right - left) : (left + right) / 2),
      y = (v) => round(bottom - ((v - low) / (high - low)) * (bottom - top));
    const last = full.map((s) => s.values.findLastIndex(known));
    const summary = full.map((s, k) => (last[k] < 0 ? "" : told(s, last[k], form, axis))).filter(Boolean);
    let stop = true;
    return html`<${Frame} title=${title} doc=${doc}>
      ${
        names &&
        width <= 460 &&
        html`<p class="plot-keys">${full.map(
          (s, k) => html`<span class="plot-key" data-s=${k % 8}><svg width="26" height="10" aria-hidden="true"><g
          class="plot-line" data-s=${k % 8}><path d="M0 5H26" stroke-dasharray=${DASHES[k % 4]} />${mark(k, 13, 5)}</g></svg>
          <span class="clip isolate">${say(s.name)}</span></span>`,
        )}</p>`
      }
      <div ref=${box} class="plot-box"><svg width=${width} height=${height} viewBox=${`0 0 ${width} ${height}`}
        role="group" aria-label=${say(`${title}: a line over ${axis}. Last: ${summary.join("; ")}`)} onKeyDown=${walk}>
      <title>${say(title)}</title><desc>${say(`${doc ?? ""} Arrow keys walk over the points.`)}</desc>
      <g class="plot-grid" aria-hidden="true">${marks.map(
        (t, k) => html`<line x1=${left} x2=${right} y1=${y(t)} y2=${y(t)} class=${t === 0 ? "zero" : ""} />
        <text x=${left - 7} y=${y(t) + 4} text-anchor="end">${named[k]}</text>`,
      )}
      ${xticks(from, to, right - left).map(
        (t) => html`<line class="tick" x1=${x(t)} x2=${x(t)} y1=${bottom} y2=${bottom + 4} />
        <text x=${x(t)} y=${height - 8} text-anchor="middle">${fmt.plain(t)}</text>`,
      )}</g>
      <g aria-hidden="true" class="plot-ghosts">${ghosts.map((s) => html`<path d=${segments(s, x, y).line} />`)}</g>
      ${full.map((s, k) => {
        const drawn = segments(s, x, y);
        return html`<g class="plot-line" data-s=${k % 8} key=${k} aria-hidden="true"><path class="band" d=${drawn.band} />
          <path d=${drawn.line} stroke-dasharray=${DASHES[k % 4]} /></g>`;
      })}
      ${full.map((s, k) => {
        const few = s.at.length <= 40;
        return sampled(s.at.length).map((i) => {
          if (!known(s.values[i])) return null;
          const focus = stop;
          stop = false;
          const [px, py] = [x(s.at[i]), y(s.values[i])];
          return html`<g class=${`plot-point plot-line ${few ? "" : "shy"}`} key=${`${k}.${i}`} data-s=${k % 8} data-x=${s.at[i]}
            role="img" tabindex=${focus ? 0 : -1} aria-label=${say(told(s, i, form, axis))}
            ...${SC.tip(told(s, i, form, axis))}>
            ${known(s.low?.[i]) && few && s.at.length === 1 && html`<path class="whisker" d=${`M${px} ${y(s.low[i])}V${y(s.high[i])}`} />`}
            <circle class="aim" cx=${px} cy=${py} r="9" />${mark(k, px, py)}</g>`;
        });
      })}
      ${
        names &&
        width > 460 &&
        ends(full, y, top, bottom).map(
          (one) => html`<text class="plot-end" data-s=${one.s % 8} x=${right + 9} y=${one.y + 4}
          aria-hidden="true">${cut(say(one.name), Math.floor((aside - 10) / 6.4))}</text>`,
        )
      }</svg></div>
      <p class="plot-axis" aria-hidden="true">${axis}</p>
      <${Numbers} caption=${title} head=${[axis, ...all.flatMap((s) => [s.name || title, "interval"])]}
        rows=${() => table(all, form)} /><//>`;
  }
  const cut = (text, most) => (text.length > most ? `${text.slice(0, Math.max(1, most - 1))}…` : text);
  const xticks = (from, to, width) => {
    const all = ticks(from, to, Math.max(2, Math.floor(width / 70))),
      some = Number.isInteger(from) && Number.isInteger(to) ? all.filter(Number.isInteger) : all,
      last = some.at(-1);
    if (!(last < to)) return some;
    return [...(to - last < (some[1] - some[0]) * 0.6 ? some.slice(0, -1) : some), to];
  };
  function table(series, form) {
    const at = [...new Set(series.flatMap((s) => s.at))].sort((a, b) => a - b),
      where = series.map((s) => new Map(s.at.map((a, i) => [a, i])));
    return at.map((a) => [
      fmt.plain(a),
      ...series.flatMap((s, k) => {
        const i = where[k].get(a);
        return i === undefined || !known(s.values[i])
          ? ["–", ""]
          : [form(s.values[i]), interval(form, s.low?.[i], s.high?.[i])];
      }),
    ]);
  }

  /* Histograms of one scale, one below the other, with quantiles under each. */

  const FEW = 12;
  function Ridges({ title, doc, axis, of, notes }) {
    const box = useRef(),
      width = useWidth(box),
      [every, setEvery] = useState(false);
    const sums = of.counts.map((row) => row.reduce((a, b) => a + b, 0));
    const tall = Math.max(1e-12, ...of.counts.flatMap((row, k) => row.map((c) => c / (sums[k] || 1))));
    const n = of.at.length,
      step = Math.ceil(n / FEW),
      shown = of.at.map((_, i) => i).filter((i) => every || n <= FEW || i % step === 0 || i === n - 1);
    const [low, high] = [of.edges[0], of.edges.at(-1)],
      row = 46,
      left = width > 460 ? 74 : 40,
      right = width > 460 ? width - 190 : width - 8,
      end = 12 + shown.length * row;
    const x = (v) => left + ((Math.max(low, Math.min(high, v)) - low) / (high - low)) * (right - left);
    const bars = (k, base) =>
      of.counts[k].map((c, b) => {
        const size = sums[k] ? (c / sums[k] / tall) * (row - 18) : 0,
          middle = (of.edges[b] + of.edges[b + 1]) / 2,
          side = Math.abs(middle) < (of.edges[1] - of.edges[0]) / 2 ? "zero" : middle < 0 ? "lost" : "earned";
        return (
          c > 0 &&
          html`<rect class=${side} x=${x(of.edges[b]) + 0.5} width=${Math.max(1, x(of.edges[b + 1]) - x(of.edges[b]) - 1)}
          y=${base - Math.max(size, 1)} height=${Math.max(size, 1)} />`
        );
      });
    const words = (k) =>
      [
        `${axis} ${fmt.plain(of.at[k])}: `,
        known(of.quantiles[k][2])
          ? `median ${fmt.signed(of.quantiles[k][2])}, middle half ${fmt.signed(of.quantiles[k][1])} to ${fmt.signed(of.quantiles[k][3])}`
          : "nothing judged",
        notes?.[k] ? `, ${notes[k]}` : "",
      ].join("");
    return html`<${Frame} title=${title} doc=${doc} kind="wide"><div ref=${box} class="plot-box">
      <svg width=${width} height=${end + 26} viewBox=${`0 0 ${width} ${end + 26}`} role="group"
        aria-label=${say(`${title}, ${shown.length} histograms`)} onKeyDown=${walk}><title>${say(title)}</title>
      <desc>${say(`${doc ?? ""} Arrow keys walk over the histograms.`)}</desc>
      <g class="plot-grid" aria-hidden="true"><line class="zero" x1=${x(0)} x2=${x(0)} y1="4" y2=${end} />
      ${ticks(low, high, Math.max(2, Math.floor((right - left) / 80))).map(
        (t) => html`<line class="tick" x1=${x(t)} x2=${x(t)} y1=${end} y2=${end + 4} />
        <text x=${x(t)} y=${end + 18} text-anchor="middle">${fmt.signed(t)}</text>`,
      )}</g>
      ${shown.map((k, s) => {
        const base = 12 + (s + 1) * row - 14,
          q = of.quantiles[k];
        return html`<g class="plot-point ridge" key=${k} data-s=${s} data-x="0" role="img" tabindex=${s ? -1 : 0}
          aria-label=${say(words(k))} ...${SC.tip(words(k))}><rect class="aim" x="1" y=${base - row + 18} width=${width - 2}
          height=${row - 3} rx="5" />
          <text class="ridge-name" x=${left - 10} y=${base} text-anchor="end">${fmt.plain(of.at[k])}</text>
          <line class="base" x1=${left} x2=${right} y1=${base} y2=${base} />${bars(k, base)}
          ${
            known(q[2]) &&
            html`<g class="whiskers"><path d=${`M${x(q[0])} ${base + 6}H${x(q[4])}`} />
            <path class="half" d=${`M${x(q[1])} ${base + 6}H${x(q[3])}`} />
            <path class="middle" d=${`M${x(q[2])} ${base + 2}V${base + 10}`} /></g>`
          }
          ${width > 460 && html`<text class="ridge-note" x=${right + 14} y=${base}>${say(notes?.[k] ?? "")}</text>`}</g>`;
      })}</svg></div>
      <p class="plot-axis" aria-hidden="true">credit; one row per ${axis}</p>
      ${
        n > FEW &&
        html`<button type="button" aria-pressed=${String(every)}
        onClick=${() => setEvery(!every)}>All ${fmt.count(n)} of them</button>`
      }
      <${Numbers} caption=${title} head=${[axis, ...of.levels.map((l) => `${fmt.plain(l * 100)}%`), ""]}
        rows=${() => of.at.map((a, k) => [fmt.plain(a), ...of.quantiles[k].map((v) => (known(v) ? fmt.signed(v) : "–")), notes?.[k] ?? ""])} /><//>`;
  }

  /** Numbers of a board with as many places as tell them apart. */
  const even = (size) => (v) => (known(v) ? (size < 3 ? fmt.minus(v.toFixed(3)) : size < 30 ? fmt.minus(v.toFixed(2)) : fmt.plain(v)) : "–");

  /* A table whose second column is a dot with its interval on an axis of all rows. */

  function Dots({ rows, chance, interval: of, label, kinds = null }) {
    const ends = useMemo(() => {
      const all = rows.flatMap((r) => [r.value, r.low, r.high]).filter(known);
      if (known(chance)) all.push(chance);
      const size = Math.max(...all) - Math.min(...all) || 1;
      const at = ticks(Math.min(...all) - size * 0.02, Math.max(...all) + size * 0.02, 4);
      return [
        Math.min(Math.min(...all) - size * 0.03, at[0]),
        Math.max(...all) + size * 0.05,
        at,
        even(Math.max(...all.map(Math.abs))),
      ];
    }, [rows, chance]);
    if (!rows.length) return html`<p class="plot-none">No row has these words in its name.</p>`;
    const [low, high, marks, form] = ends,
      place = (v) => `${Math.round(((v - low) / (high - low)) * 1000) / 10}%`,
      dense = rows.some((r) => known(r.low));
    const lines = html`${marks.map((t) => html`<line class="grid" x1=${place(t)} x2=${place(t)} y1="0" y2="100%" />`)}
      ${known(chance) && html`<line class="chance" x1=${place(chance)} x2=${place(chance)} y1="0" y2="100%" />`}`;
    return html`<div class="pdots card"><table><caption class="hidden">${say(label)}</caption>
      <thead><tr><th scope="col">Name</th><th scope="col" class="pdots-axis"><span class="hidden">Plot</span>
        <span aria-hidden="true">${marks.map(
          (t) => html`<i style=${{ left: place(t) }}>${fmt.plain(t)}</i>`,
        )}</span></th><th scope="col" class="num">Value</th>
        ${dense && html`<th scope="col" class="num pdots-interval">${say(of || "interval")}</th>`}</tr></thead>
      <tbody onKeyDown=${walk}>${rows.map((r, i) => {
        const words = `${r.name}: ${form(r.value)}${known(r.low) ? `, ${interval(form, r.low, r.high)}` : ""}${r.baseline ? ", baseline" : ""}`;
        return html`<tr class=${r.baseline ? "baseline" : ""} key=${`${r.name} ${i}`}><th scope="row"><span class="pdots-name">
          <span class="clip isolate" title=${say(r.name)}>${say(r.name)}</span>
          ${r.baseline && html`<span class="badge open"><span aria-hidden="true">◇</span><span class="pdots-word">baseline</span></span>`}</span></th>
          <td class="pdots-plot" data-s=${i} data-x="0" tabindex=${i ? -1 : 0} role="img" aria-label=${say(words)}
            ...${SC.tip(words)}><svg width="100%" height="24" aria-hidden="true">${lines}
            ${known(r.low) && known(r.high) && html`<line class="range" x1=${place(r.low)} x2=${place(r.high)} y1="12" y2="12" />`}
            <svg x=${place(r.value)} y="12" overflow="visible">${
              r.baseline ? html`<path class="dot hollow" d="M0-5L5 0L0 5L-5 0Z" />` : html`<circle class="dot" r="4.5" />`
            }</svg></svg></td>
          <td class="num">${form(r.value)}</td>
          ${dense && html`<td class="num quiet pdots-interval">${interval(form, r.low, r.high)}</td>`}</tr>`;
      })}</tbody></table>
      <p class="plot-keys"><span class="plot-key"><svg width="12" height="12" aria-hidden="true"><circle class="dot" cx="6" cy="6"
        r="4.5" /></svg>method</span><span class="plot-key"><svg width="12" height="12" aria-hidden="true"><path
        class="dot hollow" d="M6 1L11 6L6 11L1 6Z" /></svg>baseline</span>${
          known(chance) &&
          html`<span class="plot-key"><svg width="12" height="12" aria-hidden="true"><line class="chance" x1="6" x2="6" y1="0"
          y2="12" /></svg>${fmt.plain(chance)}: ${chance === 0.5 ? "chance" : "no relation, no difference"}</span>`
        }${kinds}</p></div>`;
  }

  SC.Plots = { Lines, Ridges, Dots, Word, ticks, number, known };
})();
