// What the tables show of a document: one item for each stage and queue.
import * as f from "./format.js";

export const STAGES = [
  { key: "stage", label: "Stage", kind: "name" },
  { key: "rate", label: "Throughput", kind: "spark", hint: "Finished calls per second" },
  { key: "errors", label: "Errors", kind: "spark", hint: "Failed calls: share of all, and how many there were" },
  { key: "p95", label: "Duration p95", kind: "spark", hint: "Service time without waiting for room; p50 and p99 beside it" },
  { key: "worked", label: "Busy", kind: "bars", parts: ["busy", "blocked"], hint: "Time of its workers: busy, blocked by what comes behind, idle" },
  { key: "workers", label: "Workers", kind: "number", hint: "Threads or tasks that run it" },
  { key: "cpu", label: "On CPU", kind: "number", hint: "Share of the busy time on a processor; the rest waits for I/O or the interpreter lock" },
  { key: "headroom", label: "Headroom", kind: "number", hint: "How much more could come before its workers are full" },
  { key: "active", label: "In flight", kind: "number", hint: "Open calls, and the age of the oldest" },
  { key: "retries", label: "Retries", kind: "number", hint: "Repeated attempts so far" },
  { key: "count", label: "Total", kind: "number", hint: "Finished calls so far" },
];

export const QUEUES = [
  { key: "queue", label: "Queue", kind: "name" },
  { key: "filled", label: "Fill", kind: "bars", hint: "Events in it, and its capacity" },
  { key: "sizes", label: "Size", kind: "spark", hint: "Events in it over time" },
  { key: "arrivals", label: "In", kind: "number", hint: "Events put in per second" },
  { key: "departures", label: "Out", kind: "number", hint: "Events fetched per second" },
  { key: "wait", label: "Wait p95", kind: "number", hint: "Time that events spend in it" },
  { key: "oldest", label: "Oldest", kind: "number", hint: "Age of the oldest event in it" },
  { key: "blocked", label: "Blocked", kind: "number", hint: "Producers that wait for room, on average" },
  { key: "until", label: "Full / empty in", kind: "number", hint: "At the present pace" },
  { key: "refused", label: "Refused", kind: "number", hint: "Events that it did not take" },
  { key: "enqueued", label: "Total", kind: "number", hint: "Events put in so far" },
];

export function stageItems(name, pipeline, health, series) {
  const times = series.times(name);
  const column = (stage, key) => series.column(name, "stages", stage, key);
  return Object.values(pipeline.stages).map((stage) => {
    const insight = pipeline.insight.stages[stage.name];
    const own = health?.stages[stage.name];
    const errors = Object.values(stage.errors).reduce((a, b) => a + b, 0);
    const worst = pipeline.bottleneck?.stage === stage.name;
    const share = insight.rate ? insight.errors / insight.rate : 0;
    const bad = own && own.state !== "healthy";
    return {
      name: stage.name, times, state: own?.state, why: own ? `${own.state}: ${own.reason}` : "",
      class: worst ? "worst" : "", chip: bad ? own.state : worst ? "bottleneck" : "", chipClass: bad ? own.state : "bottleneck",
      stage: stage.name,
      rate: { values: column(stage.name, "rate"), text: f.rate(insight.rate) },
      errors: { values: column(stage.name, "errors"), text: f.percent(share), small: errors ? f.count(errors) : "", alarm: share > 0.02 },
      p95: { values: column(stage.name, "p95"), text: f.seconds(insight.duration.p95),
        small: insight.duration.count ? `p50 ${f.seconds(insight.duration.p50)}, p99 ${f.seconds(insight.duration.p99)}` : "" },
      worked: { shares: [insight.busy, insight.blocked], text: f.percent(insight.busy) },
      workers: f.one(insight.workers),
      cpu: f.percent(insight.cpu),
      headroom: { text: f.percent(insight.headroom === null ? null : Math.max(insight.headroom, 0)), alarm: worst && insight.headroom !== null && insight.headroom < 0.05 },
      active: { text: stage.active ? `${f.count(stage.active)} · ${f.seconds(stage.oldest_active)}` : "0", alarm: Boolean(insight.longest) },
      retries: f.count(stage.retries),
      count: f.count(stage.count),
    };
  });
}

export function queueItems(name, pipeline, series) {
  const times = series.times(name);
  const pools = Object.entries(pipeline.pools).map(([pool, one]) => [pool, one.backlog, one]);
  const queues = Object.entries(pipeline.queues).map(([queue, one]) => [queue, one, null]);
  return [...queues, ...pools].map(([own, queue, pool]) => {
    const insight = pipeline.insight.queues[own];
    const refused = Object.values(queue.refused).reduce((a, b) => a + b, 0);
    const until = insight.seconds_to_full === 0 ? "full" : insight.seconds_to_full !== null ? `full in ${f.seconds(insight.seconds_to_full)}`
      : insight.seconds_to_drain !== null && queue.size ? `empty in ${f.seconds(insight.seconds_to_drain)}` : f.NOTHING;
    return {
      name: own, times, queue: own, chip: pool ? `pool ${pool.busy}/${pool.limit}` : "", chipClass: "pool",
      filled: { shares: [insight.fill], class: insight.fill > 0.8 ? "full" : insight.fill > 0.5 ? "half" : "",
        text: queue.capacity ? `${f.count(queue.size)} / ${f.count(queue.capacity)}` : f.count(queue.size) },
      sizes: { values: series.column(name, "queues", own, "size"), text: "", top: queue.capacity ?? undefined },
      arrivals: f.rate(insight.arrivals),
      departures: f.rate(insight.departures),
      wait: { text: f.seconds(insight.wait.p95), title: `p50 ${f.seconds(insight.wait.p50)}, p99 ${f.seconds(insight.wait.p99)}` },
      oldest: f.seconds(queue.oldest_age),
      blocked: insight.blocked > 0.005 ? f.one(Math.max(insight.blocked, 0.1)) : "0",
      until: { text: until, alarm: insight.seconds_to_full !== null && insight.seconds_to_full < 60 && insight.fill > 0.5 },
      refused: { text: f.count(refused), alarm: refused > 0 },
      enqueued: f.count(queue.enqueued),
    };
  });
}
