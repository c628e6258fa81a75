(() => {
  "use strict";

  /* The screen of training: what changes from checkpoint to checkpoint. #/dynamics?method=…&others=1 */

  const { html, fmt, given, say, useState } = SC;
  const { Lines, Ridges, Word, known } = SC.Plots;

  const PARTS = [
    ["outcomes", "Outcomes", "Does it learn, and is there anything to learn from?"],
    ["methods", "Credit", "What the steps were given."],
    ["credit", "Credit in training", "As the training logged it."],
    ["lengths", "Lengths", "Longer rollouts, or rollouts that end early, change what credit means."],
  ];
  const line = (m) => [m.doc, m.unit === "nats" && "in nats"].filter(Boolean).join(", ");
  /** "16 policy versions, 0 to 150", of the metrics of a source. */
  function span(data, source, words) {
    const at = [...new Set(data.metrics.filter((m) => m.source === source).flatMap((m) => m.series.flatMap((s) => s.at)))];
    if (!at.length) return null;
    const [from, to] = [Math.min(...at), Math.max(...at)];
    return `${fmt.plural(at.length, ...words)}, ${from === to ? fmt.plain(from) : `${fmt.plain(from)} to ${fmt.plain(to)}`}`;
  }

  /** What is noted beside each histogram: exact zeros and steps without credit. */
  function beside(data, method, of) {
    const values = (name) =>
      data.metrics.find((m) => m.name === name && m.source === "runs")?.series.find((s) => s.name === method);
    const [zero, open] = [values("zero"), values("unjudged")];
    return of.at.map((_, k) =>
      [
        known(zero?.values[k]) && `${fmt.share(zero.values[k])} exactly 0`,
        known(open?.values[k]) && open.values[k] > 0 && `${fmt.share(open.values[k])} not judged`,
      ]
        .filter(Boolean)
        .join(", "),
    );
  }

  function Part({ title, doc, children }) {
    return html`<section class="plot-part"><h2>${title}</h2><p class="quiet">${doc}</p>
      <div class="plot-grid-of">${children}</div></section>`;
  }
  function Rest({ metrics, axis }) {
    const [open, set] = useState(false),
      [words, look] = useState("");
    const some = metrics.filter((m) => `${m.name} ${m.title}`.toLowerCase().includes(words.toLowerCase()));
    return html`<details class="plot-rest" onToggle=${(e) => e.target === e.currentTarget && set(e.currentTarget.open)}>
      <summary><b>Everything else that was logged</b> <small>${fmt.plural(metrics.length, "metric")}</small></summary>${
        open &&
        html`<label class="field plot-search">Names with<input type="search" value=${words}
        onInput=${(e) => look(e.target.value)} /></label>
        <div class="plot-grid-of">${some.map(
          (m) => html`<${Lines} key=${m.name} title=${m.title ?? m.name} doc=${line(m)} unit=${m.unit} axis=${axis}
          series=${m.series} />`,
        )}</div>`
      }</details>`;
  }

  function Training({ query }) {
    const { data, error, retry } = SC.useApi("/api/dynamics");
    if (error) return html`<${SC.Failure} error=${error} retry=${retry} />`;
    if (!data) return html`<${SC.Loading} what="the training" />`;
    if (!data.checkpoints?.length)
      return html`<${SC.Blank} title="No training to show">Give runs that say of which <code>policy_version</code> or${" "}
        <code>batch</code> they are, or the folder that <code>stepcredit train</code> left.<//>`;
    const axis = data.axis ?? "checkpoint",
      methods = data.methods ?? [],
      method = methods.includes(query.method) ? query.method : methods[0],
      others = query.others === "1",
      histogram = data.histograms.find((h) => h.method === method);
    const of = (part) => data.metrics.filter((m) => (m.part ?? "training") === part && m.series.length);
    const mine = (m) => (others ? m.series : m.series.filter((s) => s.name === method));
    const spans = [
      span(data, "runs", [axis, axis === "batch" ? "batches" : `${axis}s`]),
      span(data, "training", ["logged step"]),
    ].filter(Boolean);
    const draw = (m, ax = m.source === "runs" ? axis : "step") => html`<${Lines} key=${`${m.source} ${m.name}`}
      title=${m.title ?? m.name} doc=${line(m)} unit=${m.unit} axis=${ax} series=${m.series} />`;
    return html`<div class="page training"><header class="page-head"><div><h1>Training</h1>
      <p>${spans.join("; ")}. ${data.checkpoints.length === 1 && "More than one makes a course. "}Bands: 90% intervals over
        tasks; of what was logged, as it was logged.</p></div>
      ${
        methods.length > 0 &&
        html`<div class="plot-tools"><${SC.Select} label="Credit by" options=${methods.map((m) => [m, m])} value=${method}
        onChange=${(m) => SC.setQuery({ method: m })} />${
          methods.length > 1 &&
          html`<button type="button" aria-pressed=${String(others)}
          onClick=${() => SC.setQuery({ others: others ? null : 1 })}>Other methods behind it</button>`
        }</div>`
      }</header>
      ${(data.notes ?? []).map((n) => html`<p class="notice">${say(n)}</p>`)}
      ${PARTS.map(([part, title, doc]) => {
        const some = of(part);
        if (!some.length || (part === "methods" && !given(method))) return null;
        return html`<${Part} key=${part} title=${part === "methods" ? html`Credit by <span class="isolate">${say(method)}</span>` : title}
          doc=${doc}>${
            part !== "methods"
              ? some.map((m) => draw(m))
              : html`${
                  histogram &&
                  html`<${Ridges} key=${method} title="How credit is spread" axis=${axis} of=${histogram}
                  notes=${beside(data, method, histogram)}
                  doc="Steps by their credit, those with exactly 0 left out and told beside. The line below: 5%, quarters, median, 95% of all judged steps." />`
                }${some.map((m) =>
                  m.name === "unjudged" && mine(m).every((s) => s.values.every((v) => !v))
                    ? html`<${Word} key=${m.name} title=${m.title} doc=${line(m)}>None: every step is judged.<//>`
                    : html`<${Lines} key=${m.name} title=${m.title} doc=${line(m)} unit=${m.unit} axis=${axis}
                  series=${mine(m)} chosen=${method} />`,
                )}`
          }<//>`;
      })}
      ${of("training").length > 0 && html`<${Rest} metrics=${of("training")} axis="step" />`}</div>`;
  }

  SC.screens.set("dynamics", {
    component: Training,
    title: () => "Training",
    nav: "Training",
    shown: (state) => Boolean(state.pages?.dynamics),
  });
})();
