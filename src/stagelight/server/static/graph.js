// The flow graph: stages as cards, queues as tanks between them. Laid out by dagre, and
// broken into rows where one row would be too small to read.
import { attribute, h, replace, s, text } from "./dom.js";
import * as f from "./format.js";

const STAGE = { width: 166, height: 66 }, QUEUE = { width: 124, height: 46, letters: 11 };
const SMALLEST = 0.72, GAP = 34, MARGIN = 18;

/** Nodes and edges of a pipeline, as its stages and queues were seen to be joined. */
export function shape(pipeline) {
  const nodes = [], edges = [];
  const buffers = { ...pipeline.queues };
  for (const [name, pool] of Object.entries(pipeline.pools)) buffers[name] = pool.backlog;
  for (const name of Object.keys(pipeline.stages)) nodes.push({ id: `s:${name}`, name, kind: "stage" });
  for (const name of Object.keys(buffers)) nodes.push({ id: `q:${name}`, name, kind: "queue" });
  for (const [name, stage] of Object.entries(pipeline.stages)) {
    for (const one of stage.inputs) if (buffers[one]) edges.push([`q:${one}`, `s:${name}`, ""]);
    for (const one of stage.outputs) if (buffers[one]) edges.push([`s:${name}`, `q:${one}`, ""]);
    for (const one of stage.inner) if (pipeline.stages[one]) edges.push([`s:${name}`, `s:${one}`, "inner"]);
  }
  for (const [name, sources] of Object.entries(pipeline.passes ?? {}))
    for (const one of sources) if (buffers[one] && buffers[name]) edges.push([`q:${one}`, `q:${name}`, ""]);
  for (const group of sharing(pipeline)) {
    for (let i = 1; i < group.length; i += 1) edges.push([`s:${group[i - 1]}`, `s:${group[i]}`, "same"]);
  }
  return { nodes, edges };
}

/** Stages that one thread runs in turn: those that fetch first, those that hand on last. */
function sharing(pipeline) {
  const seen = new Set(), groups = [];
  const inner = new Set(Object.values(pipeline.stages).flatMap((stage) => stage.inner));
  const order = ({ inputs, outputs }) => (outputs.length ? 2 : 0) - (inputs.length ? 1 : 0);
  for (const [name, insight] of Object.entries(pipeline.insight.stages)) {
    const group = [name, ...insight.together].filter((one) => pipeline.stages[one] && !seen.has(one) && !inner.has(one));
    group.forEach((one) => seen.add(one));
    if (group.length > 1) groups.push(group.sort((a, b) => order(pipeline.stages[a]) - order(pipeline.stages[b])));
  }
  return groups;
}

function arrange({ nodes, edges }, room) {
  const narrow = room < 640;
  const graph = new dagre.graphlib.Graph();
  graph.setGraph({ rankdir: narrow ? "TB" : "LR", nodesep: 18, ranksep: narrow ? 24 : 30, marginx: MARGIN, marginy: MARGIN });
  graph.setDefaultEdgeLabel(() => ({}));
  for (const node of nodes) graph.setNode(node.id, { ...(node.kind === "stage" ? STAGE : QUEUE) });
  for (const [from, to, kind] of edges) graph.setEdge(from, to, { kind, weight: kind ? 1 : 3 });
  dagre.layout(graph);
  const placed = new Map(nodes.map((node) => [node.id, { ...node, ...graph.node(node.id) }]));
  const joined = graph.edges().map((edge) => ({ from: edge.v, to: edge.w, ...graph.edge(edge) }));
  let { width, height } = graph.graph();
  let rows = 1;
  if (!narrow && width * SMALLEST > room) {
    ({ width, height, rows } = wrap(placed, joined, room / 0.86, height));
  }
  return { placed, joined, width, height, rows, narrow };
}

/** Breaks a wide drawing into rows between its ranks, as text is broken into lines. */
function wrap(placed, joined, limit, tall) {
  const ranks = [...new Set([...placed.values()].map((node) => Math.round(node.x)))].sort((a, b) => a - b);
  const half = STAGE.width / 2, rowOf = new Map();
  let row = 0, begin = ranks[0], width = 0;
  const begins = [begin];
  for (const x of ranks) {
    if (x + half - (begin - half) > limit - 2 * (MARGIN + GAP)) { row += 1; begin = x; begins.push(x); }
    rowOf.set(x, row);
    width = Math.max(width, x - begin + STAGE.width + 2 * (MARGIN + GAP));
  }
  const extents = begins.map(() => [Infinity, -Infinity]);
  for (const node of placed.values()) {
    node.row = rowOf.get(Math.round(node.x));
    extents[node.row][0] = Math.min(extents[node.row][0], node.y - node.height / 2);
    extents[node.row][1] = Math.max(extents[node.row][1], node.y + node.height / 2);
  }
  const tops = [];
  let y = MARGIN;
  for (const [low, high] of extents) { tops.push(y - low); y += high - low + GAP; }
  for (const edge of joined) {
    const [from, to] = [placed.get(edge.from), placed.get(edge.to)];
    edge.broken = from.row !== to.row;
    const left = begins[from.row] - half - MARGIN - GAP;
    if (!edge.broken) for (const point of edge.points) { point.x -= left; point.y += tops[from.row]; }
  }
  for (const node of placed.values()) {
    node.x -= begins[node.row] - half - MARGIN - GAP;
    node.y += tops[node.row];
  }
  return { width, height: Math.max(y - GAP + MARGIN, Math.min(tall, y)), rows: begins.length };
}

function path(edge, placed, width, narrow) {
  if (edge.broken) {
    const [from, to] = [placed.get(edge.from), placed.get(edge.to)];
    const [x1, x2] = [from.x + from.width / 2, to.x - to.width / 2];
    const right = Math.min(x1 + GAP * 0.55, width - 4), left = Math.max(x2 - GAP * 0.55, 4);
    const down = from.row < to.row ? to.y - to.height / 2 - GAP / 2 : to.y + to.height / 2 + GAP / 2;
    return `M${x1} ${from.y}H${right - 6}Q${right} ${from.y} ${right} ${from.y + 6}V${down - 6}`
      + `Q${right} ${down} ${right - 6} ${down}H${left + 6}Q${left} ${down} ${left} ${down + 6}V${to.y - 6}`
      + `Q${left} ${to.y} ${left + 6} ${to.y}H${x2 - 5}`;
  }
  const points = edge.points.map(({ x, y }) => [x, y]);
  const [last, before] = [points[points.length - 1], points[points.length - 2]];
  if (narrow) last[1] -= 4; else last[0] -= 4;
  if (points.length < 3 && before) return `M${points[0]}L${last}`;
  let drawn = `M${points[0]}`;
  for (let i = 1; i < points.length - 1; i += 1) {
    const end = i === points.length - 2 ? last : [(points[i][0] + points[i + 1][0]) / 2, (points[i][1] + points[i + 1][1]) / 2];
    drawn += `Q${points[i]} ${end}`;
  }
  return drawn;
}

export class FlowGraph {
  constructor(host, select) {
    this.host = host;
    this.select = select;
    this.parts = new Map();
    this.room = 0;
    new ResizeObserver(() => { if (Math.abs(host.clientWidth - this.room) > 8) this.redraw(); }).observe(host);
  }

  redraw() {
    delete this.host.dataset.mark;
    if (this.latest) this.update(...this.latest);
  }

  update(pipeline, health, chosen) {
    this.latest = [pipeline, health, chosen];
    const found = shape(pipeline);
    this.room = this.host.clientWidth;
    const mark = JSON.stringify([found, this.room]);
    if (!found.nodes.length) {
      replace(this.host, "none", () => h("p", { class: "empty" }, "No stage or queue has been seen yet."));
      return;
    }
    const fresh = this.host.dataset.mark !== mark;
    replace(this.host, mark, () => this.draw(found));
    if (fresh) this.host.scrollLeft = (this.host.scrollWidth - this.host.clientWidth) / 2;
    for (const [name, stage] of Object.entries(pipeline.stages)) this.stage(name, stage, pipeline, health, chosen);
    for (const [name, queue] of Object.entries(pipeline.queues)) this.queue(name, queue, pipeline);
    for (const [name, pool] of Object.entries(pipeline.pools)) this.queue(name, pool.backlog, pipeline, pool);
  }

  draw(found) {
    const { placed, joined, width, height, rows, narrow } = arrange(found, this.room);
    // What would be too small to read is scrolled sideways instead.
    const scale = Math.max(Math.min(this.room / width, 1), SMALLEST + 0.1);
    this.parts.clear();
    const arrow = s("marker", { id: "arrow", viewBox: "0 0 8 8", refX: 5, refY: 4, markerWidth: 6, markerHeight: 6, orient: "auto" },
      s("path", { d: "M0 0.5 7 4 0 7.5Z" }));
    const lines = joined.map((edge) => s("path", { class: `edge ${edge.kind}`, d: path(edge, placed, width, narrow), "marker-end": edge.kind === "same" ? null : "url(#arrow)" }));
    const cards = [...placed.values()].map((node) => (node.kind === "stage" ? this.card(node) : this.tank(node)));
    const drawing = s("svg", { viewBox: `0 0 ${width} ${height}`, width: Math.round(width * scale), height: Math.round(height * scale),
      class: rows > 1 ? "rows" : "" }, s("defs", {}, arrow), lines, cards);
    return drawing;
  }

  card(node) {
    const { width, height } = STAGE;
    const parts = {
      frame: s("rect", { class: "frame", width, height, rx: 9 }),
      tag: s("text", { class: "tag", x: 12, y: -5 }),
      dot: s("circle", { class: "dot", cx: 15, cy: 18, r: 4.5 }),
      name: s("text", { class: "name", x: 26, y: 22.5 }, shorten(node.name, 19)),
      first: s("text", { class: "first", x: 12, y: 42 }),
      second: s("text", { class: "second", x: width - 12, y: 42, "text-anchor": "end" }),
      busy: s("rect", { class: "busy", x: 12, y: 50, height: 6, rx: 0 }),
      blocked: s("rect", { class: "blocked", y: 50, height: 6 }),
    };
    const open = () => this.select(node.name);
    parts.group = s("g", { class: "stage", transform: `translate(${node.x - width / 2} ${node.y - height / 2})`, tabindex: 0, role: "button",
      "data-stage": node.name, onclick: open, onkeydown: (event) => { if (event.key === "Enter" || event.key === " ") { event.preventDefault(); open(); } } },
      s("title", {}, node.name), parts.frame, parts.tag, parts.dot, parts.name, parts.first, parts.second,
      s("rect", { class: "idle", x: 12, y: 50, width: width - 24, height: 6, rx: 3 }), parts.busy, parts.blocked);
    this.parts.set(node.id, parts);
    return parts.group;
  }

  tank(node) {
    const { width, height } = QUEUE;
    const parts = {
      level: s("rect", { class: "level", x: 1, y: 1, height: height - 2, rx: 7 }),
      name: s("text", { class: "name", x: 10, y: 19 }, shorten(node.name, 15)),
      size: s("text", { class: "size", x: 10, y: 36 }),
      wait: s("text", { class: "wait", x: width - 10, y: 36, "text-anchor": "end" }),
    };
    parts.group = s("g", { class: "queue", transform: `translate(${node.x - width / 2} ${node.y - height / 2})`, role: "img", "data-queue": node.name },
      s("title", {}, node.name), s("rect", { class: "frame", width, height, rx: 8 }), parts.level, parts.name, parts.size, parts.wait);
    this.parts.set(node.id, parts);
    return parts.group;
  }

  stage(name, stage, pipeline, health, chosen) {
    const parts = this.parts.get(`s:${name}`);
    if (!parts) return;
    const insight = pipeline.insight.stages[name], state = health?.stages[name]?.state ?? "";
    const worst = pipeline.bottleneck?.stage === name;
    const inner = STAGE.width - 24, busy = (insight?.busy ?? 0) * inner, blocked = (insight?.blocked ?? 0) * inner;
    const hot = (insight?.busy ?? 0) >= 0.85 ? "hot" : (insight?.blocked ?? 0) >= 0.5 ? "held" : "";
    attribute(parts.group, "class", `stage ${hot} ${worst ? "worst" : ""} ${chosen === name ? "chosen" : ""} is-${state}`);
    attribute(parts.dot, "class", `dot ${state}`);
    attribute(parts.busy, "width", busy.toFixed(1));
    attribute(parts.blocked, "x", (12 + busy).toFixed(1));
    attribute(parts.blocked, "width", blocked.toFixed(1));
    text(parts.tag, worst ? "bottleneck" : "");
    text(parts.first, f.rate(insight?.rate));
    text(parts.second, insight?.duration.count ? `p95 ${f.seconds(insight.duration.p95)}` : "");
    attribute(parts.group, "aria-label", `Stage ${name}${worst ? ", the bottleneck" : ""}: ${state}, ${f.rate(insight?.rate)}, busy ${f.percent(insight?.busy)}, blocked ${f.percent(insight?.blocked)}`);
  }

  queue(name, queue, pipeline, pool) {
    const parts = this.parts.get(`q:${name}`);
    if (!parts) return;
    const insight = pipeline.insight.queues[name], fill = insight?.fill;
    attribute(parts.group, "class", `queue ${fill > 0.8 ? "full" : fill > 0.5 ? "half" : ""} ${pool ? "pool" : ""}`);
    attribute(parts.level, "width", (Math.min(fill ?? 0, 1) * (QUEUE.width - 2)).toFixed(1));
    const size = queue.capacity ? `${f.count(queue.size)}/${f.count(queue.capacity)}` : f.count(queue.size);
    const age = queue.oldest_age, wait = insight?.wait.p95, old = age > 1 && age > (wait ?? 0) * 2;
    const shown = old ? f.seconds(age) : wait === null || wait === undefined ? "" : f.seconds(wait);
    text(parts.size, size);
    text(parts.wait, old && size.length + shown.length < QUEUE.letters ? `${shown} old` : shown);
    attribute(parts.group, "aria-label", `Queue ${name}: ${f.count(queue.size)} of ${queue.capacity ?? "no bound"}, wait p95 ${f.seconds(wait)}, oldest ${f.seconds(age)}`);
  }
}

function shorten(name, most) {
  return name.length > most ? `${name.slice(0, most - 1)}…` : name;
}
