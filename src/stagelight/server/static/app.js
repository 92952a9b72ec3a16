// The page: one document a second, shown. The same document is at /stats.
import { Detail } from "./detail.js";
import { attribute, byId, h, replace, text } from "./dom.js";
import { byStage } from "./errors.js";
import * as failures from "./failures.js";
import * as f from "./format.js";
import { FlowGraph } from "./graph.js";
import * as lists from "./lists.js";
import { Series } from "./series.js";
import { Table } from "./table.js";
import { QUEUES, STAGES, queueItems, stageItems } from "./tables.js";

const LATE = 4000, MANY = 12;
const state = { document: null, pipeline: null, stage: null, filter: "", heard: 0, instance: "" };
const series = new Series();
const choose = (name) => { state.stage = state.stage === name ? null : name; show(); };
const graph = new FlowGraph(byId("graph"), choose);
const stages = new Table(byId("stage-table"), STAGES, { caption: "Stages", select: choose });
const queues = new Table(byId("queue-table"), QUEUES, { caption: "Queues and pools" });
const detail = new Detail(byId("detail"), () => choose(state.stage));

function show() {
  const all = state.document;
  if (!all) return;
  const names = Object.keys(all.pipelines);
  if (!names.includes(state.pipeline)) state.pipeline = busiest(all.pipelines);
  const name = state.pipeline, pipeline = all.pipelines[name], health = all.health.pipelines[name];
  document.title = `${all.health.state === "healthy" ? "" : `${all.health.state}: `}${all.service} · stagelight`;
  text(byId("service"), all.service);
  const instances = all.instances ? `${all.instances.length} processes` : `${all.host} · pid ${all.process.pid}`;
  text(byId("where"), `${instances} · up ${f.seconds(all.process.uptime)}`);
  pick("pipeline", names.filter((one) => one === name || !empty(all.pipelines[one])), name);
  pick("process", all.instances ? ["", ...all.instances] : [], state.instance, (one) => one || "all");
  verdict(all, pipeline, health);
  if (pipeline) {
    graph.update(pipeline, health, state.stage);
    const items = stageItems(name, pipeline, health, series);
    byId("filter").hidden = items.length <= MANY;
    stages.update(items.filter((item) => item.name.toLowerCase().includes(state.filter)));
    const buffers = queueItems(name, pipeline, series);
    byId("queues").hidden = !buffers.length;
    queues.update(buffers);
    if (state.stage) detail.update(state.stage, name, pipeline, health, series);
    else if (detail.stage) detail.hide();
  }
  failures.show(all, name);
  text(byId("failed-title"), all.instances ? "Failures by stage" : "Latest failed events");
  if (all.instances) byStage(byId("failed"), pipeline);
  else lists.failed(byId("failed"), all);
  lists.alerts(byId("alerts"), all, pipeline);
  lists.health(byId("health"), all);
  const cost = all.process.telemetry_cost;
  text(byId("footer"), `stagelight ${all.stagelight}${cost ? ` · its own cost: ${f.seconds(cost.per_call)} a call, ${f.percent(cost.busy_share)} of busy time, ${f.percent(cost.share)} of a processor · detail ${cost.detail}` : ""} · numbers over the last ${f.seconds(pipeline?.insight.window)} unless they are totals`);
}

/** Whether nothing is in it: the default pipeline of a program that names its own. */
const empty = ({ stages, queues, pools }) => [stages, queues, pools].every((one) => !Object.keys(one).length);
const busiest = (pipelines) => Object.keys(pipelines).sort((a, b) => total(pipelines[b]) - total(pipelines[a]))[0];
const total = (pipeline) => Object.values(pipeline.stages).reduce((sum, stage) => sum + stage.count, 0);

function pick(id, names, chosen, label = (one) => one) {
  const select = byId(id);
  select.parentElement.hidden = names.length < 2;
  replace(select, JSON.stringify(names), () => names.map((one) => h("option", { value: one }, label(one))));
  if (select.value !== chosen) select.value = chosen ?? "";
}

function verdict(all, pipeline, health) {
  const worst = pipeline?.bottleneck;
  attribute(byId("state"), "class", `pill ${all.health.state}`);
  text(byId("state"), all.health.state);
  text(byId("reason"), all.health.state === "healthy" ? `since ${f.clock(all.health.since)}` : all.health.reason);
  text(byId("bottleneck"), worst ? headline(worst) : "No stage limits the pipeline: its workers mostly wait for input.");
  attribute(byId("verdict"), "data-bottleneck", worst ? "yes" : null);
  text(byId("evidence"), worst ? `${worst.evidence}.` : "");
  text(byId("spoken"), `${all.health.state}. ${worst ? `Bottleneck: ${worst.stage}.` : "No bottleneck."}`);
  const insights = Object.values(pipeline?.insight.stages ?? {});
  const errors = insights.reduce((sum, one) => sum + one.errors, 0), calls = insights.reduce((sum, one) => sum + one.rate, 0);
  const figures = [
    ["Calls", f.rate(calls), "finished in all stages"],
    ["Errors", f.percent(calls ? errors / calls : 0), f.rate(errors)],
    ["Journey p95", f.seconds(pipeline?.journeys.p95), `p50 ${f.seconds(pipeline?.journeys.p50)}`],
    ["Processors", pipeline?.insight.cores === null ? f.NOTHING : f.percent(pipeline?.insight.cores), "of one, by its workers"],
    ["Memory", f.bytes(all.process.memory_rss), "resident"],
  ];
  const host = byId("figures");
  if (host.children.length !== figures.length) {
    host.replaceChildren(...figures.map(([label]) => h("div", { class: "card figure" }, h("dt", {}, label), h("dd", {}), h("p", { class: "muted" }))));
  }
  figures.forEach(([, value, small], place) => {
    text(host.children[place].children[1], value);
    text(host.children[place].children[2], small);
  });
}

function headline(worst) {
  if (worst.gain === null) return `${worst.stage} is the bottleneck.`;
  if (worst.limit === "input") return worst.gain < 0.005 ? `${worst.stage} works most; the input limits the throughput.`
    : `${worst.stage} is the bottleneck: one more worker gives ${f.signed(worst.gain)}, then the input limits it.`;
  const then = { gil: "the interpreter lock", "event loop": "the event loop" }[worst.limit] ?? worst.limit;
  if (worst.gain < 0.005) return `${worst.stage} is the bottleneck, and ${then} is full as well: one more worker gives nothing.`;
  return `${worst.stage} is the bottleneck: one more worker gives ${f.signed(worst.gain)}${then ? `, then ${then} limits it` : ""}.`;
}

// Where the numbers come from

const query = () => (state.instance ? `?instance=${encodeURIComponent(state.instance)}` : "");

function hear(event) {
  state.document = JSON.parse(event.data);
  state.heard = Date.now();
  series.add(state.document);
  show();
}

let source = null;
function connect() {
  source?.close();
  source = new EventSource(`events${query()}`);
  source.onmessage = hear;
}

async function history() {
  const mark = query();
  const answer = await fetch(`history${mark}${mark ? "&" : "?"}span=${series.span}`);
  if (answer.ok) { series.load(await answer.json()); show(); }
}

function alive() {
  const late = Date.now() - state.heard > LATE;
  const word = late ? (state.heard ? `no news for ${f.seconds(Math.round((Date.now() - state.heard) / 1000))}` : "connecting") : "live";
  attribute(byId("live"), "class", `live ${late ? "late" : ""}`);
  text(byId("live"), word);
}

function span(chosen) {
  series.span = chosen;
  for (const id of ["minutes", "hours"]) attribute(byId(id), "aria-pressed", String(id === chosen));
  history();
}

byId("minutes").addEventListener("click", () => span("minutes"));
byId("hours").addEventListener("click", () => span("hours"));
failures.onFilter(show);
byId("filter").addEventListener("input", (event) => { state.filter = event.target.value.trim().toLowerCase(); show(); });
byId("pipeline").addEventListener("change", (event) => { state.pipeline = event.target.value; state.stage = null; show(); });
byId("process").addEventListener("change", (event) => { state.instance = event.target.value; connect(); history(); });
byId("theme").addEventListener("click", () => {
  const root = document.documentElement;
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
  try { localStorage.setItem("stagelight-theme", root.dataset.theme); } catch { /* it is kept for this visit */ }
  if (state.stage) { detail.hide(); show(); }
});
document.addEventListener("keydown", (event) => { if (event.key === "Escape" && state.stage) choose(state.stage); });
setInterval(alive, 500);
setInterval(() => { if (series.span === "hours") history(); }, 60_000);
history().finally(connect);
