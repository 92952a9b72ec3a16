// One stage more closely: its charts, and where its longest call is.
import { byId, h, replace, text } from "./dom.js";
import * as f from "./format.js";

const CHARTS = [
  { title: "Throughput and errors", unit: f.rate, lines: [["rate", "finished", "--busy"], ["errors", "failed", "--bad"]] },
  { title: "Duration", unit: f.seconds, lines: [["p50", "p50", "--calm"], ["p95", "p95", "--busy"], ["p99", "p99", "--blocked"]] },
  { title: "Workers' time", unit: f.percent, top: 1, lines: [["busy", "busy", "--busy"], ["blocked", "blocked", "--blocked"]] },
];

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

export class Detail {
  constructor(host, close) {
    this.host = host;
    this.close = close;
    this.charts = [];
    this.stage = null;
    new ResizeObserver(() => this.resize()).observe(host);
  }

  hide() {
    this.stage = null;
    this.charts.forEach(({ plot }) => plot.destroy());
    this.charts = [];
    this.host.hidden = true;
    this.host.replaceChildren();
  }

  build(stage) {
    this.hide();
    this.stage = stage;
    this.host.hidden = false;
    const places = CHARTS.map((chart) => h("figure", {}, h("figcaption", {}, chart.title), h("div", { class: "plot" })));
    this.host.replaceChildren(
      h("div", { class: "title" }, h("h2", { id: "detail-title" }, stage), h("p", { id: "detail-why", class: "muted" }),
        h("button", { type: "button", class: "icon", "aria-label": "Close", onclick: this.close }, "×")),
      h("div", { class: "charts" }, places), h("div", { id: "detail-more" }));
    this.charts = CHARTS.map((chart, place) => ({ chart, plot: this.plot(chart, places[place].lastChild) }));
  }

  plot(chart, place) {
    const axis = { stroke: colour("--muted"), grid: { stroke: colour("--line"), width: 1 }, ticks: { show: false }, font: "11px system-ui" };
    return new uPlot({
      width: Math.max(place.clientWidth, 120), height: 170, cursor: { y: false, points: { size: 6 } },
      legend: { live: true },
      scales: { x: { time: true }, y: { range: (_, low, high) => [0, chart.top ?? (high > 0 ? high * 1.1 : 1)] } },
      axes: [{ ...axis, space: 70, values: (_, all) => all.map((at) => f.clock(at).slice(0, 5)) },
        { ...axis, size: 64, values: (_, all) => all.map((value) => chart.unit(value)) }],
      series: [{ label: "time", value: (_, at) => (at === null ? f.NOTHING : f.clock(at)) },
        ...chart.lines.map(([, label, name]) => ({ label, stroke: colour(name), width: 1.6, spanGaps: false, points: { show: false },
          value: (_, value) => (value === null ? f.NOTHING : chart.unit(value)) }))],
    }, [[], ...chart.lines.map(() => [])], place);
  }

  resize() {
    for (const { plot } of this.charts) {
      const width = plot.root.parentElement.clientWidth;
      if (width > 0 && Math.abs(width - plot.width) > 2) plot.setSize({ width, height: 170 });
    }
  }

  update(stage, name, pipeline, health, series) {
    const found = pipeline.stages[stage];
    if (!found) { this.hide(); return; }
    if (this.stage !== stage) this.build(stage);
    const times = series.times(name);
    for (const { chart, plot } of this.charts) {
      const columns = chart.lines.map(([key]) => {
        const values = series.column(name, "stages", stage, key);
        return values.length === times.length ? values : times.map(() => null);
      });
      plot.setData([times, ...columns]);
    }
    const own = health?.stages[stage];
    text(byId("detail-why"), own ? `${own.state}: ${own.reason}` : "");
    const longest = pipeline.insight.stages[stage].longest;
    replace(byId("detail-more"), JSON.stringify([longest?.stack, found.errors, found.dropped]), () => this.more(longest, found));
  }

  more(longest, stage) {
    const parts = [];
    const errors = Object.entries(stage.errors), drops = Object.entries(stage.dropped);
    if (errors.length) parts.push(h("p", {}, "Errors: ", errors.map(([kind, number]) => h("span", { class: "chip" }, `${kind} ${f.count(number)}`))));
    if (drops.length) parts.push(h("p", {}, "Dropped: ", drops.map(([kind, number]) => h("span", { class: "chip" }, `${kind} ${f.count(number)}`))));
    if (longest) {
      parts.push(h("h3", {}, `Its longest call is here (${longest.worker})`), h("pre", { tabindex: 0, class: "stacktrace" }, longest.stack.join("\n")));
    }
    return parts;
  }
}
