// What was seen, in columns of constant length: the server keeps the hours.

const FINE = 300;

export class Series {
  constructor() {
    this.pipelines = {};
    this.span = "minutes";
  }

  /** Takes the server's history as the beginning. */
  load(documents) {
    this.pipelines = documents;
  }

  /** Adds the newest row; in the view of hours the server is asked again instead. */
  add({ time, last, pipelines }) {
    if (this.span === "hours") return;
    for (const name of Object.keys(last)) {
      if (!pipelines[name]) continue;
      const row = rowOf(last[name], pipelines[name]);
      const own = (this.pipelines[name] ??= { times: [], stages: {}, queues: {} });
      const newest = own.times[own.times.length - 1];
      if (newest !== undefined && time - newest < 0.5) continue;
      own.times.push(time);
      for (const kind of ["stages", "queues"]) {
        for (const [place, columns] of Object.entries(row[kind])) {
          const known = (own[kind][place] ??= {});
          for (const column of Object.keys(columns)) known[column] ??= Array(own.times.length - 1).fill(null);
        }
        for (const [place, columns] of Object.entries(own[kind])) {
          for (const [column, values] of Object.entries(columns)) {
            values.push(row[kind][place]?.[column] ?? null);
            if (values.length > FINE) values.splice(0, values.length - FINE);
          }
        }
      }
      if (own.times.length > FINE) own.times.splice(0, own.times.length - FINE);
    }
  }

  times(pipeline) {
    return this.pipelines[pipeline]?.times ?? [];
  }

  column(pipeline, kind, place, column) {
    return this.pipelines[pipeline]?.[kind]?.[place]?.[column] ?? [];
  }
}

/** What a document has of the columns that the server keeps as history. */
function rowOf(last, pipeline) {
  const { stages, queues } = pipeline.insight, row = { stages: {}, queues: {} };
  for (const [name, { duration }] of Object.entries(stages))
    if (last.stages[name]) row.stages[name] = { ...last.stages[name], p50: duration.p50, p95: duration.p95, p99: duration.p99 };
  for (const [name, { wait }] of Object.entries(queues))
    row.queues[name] = { size: (pipeline.queues[name] ?? pipeline.pools[name]?.backlog)?.size ?? null, wait: wait.p95 };
  return row;
}

/** The line of a sparkline in a box, and the area below it; gaps stay gaps. */
export function line(times, values, width, height, top) {
  const most = top ?? 1.12 * Math.max(...values.filter((v) => v !== null), 0);
  if (times.length < 2 || !(most > 0)) return { line: "", area: "", most: 0 };
  const begin = times[0], length = times[times.length - 1] - begin || 1;
  const step = Math.max(Math.floor(times.length / width), 1);
  let path = "", area = "", open = null, before = 0;
  for (let at = 0; at < times.length; at += step) {
    let value = null;
    for (let i = at; i < Math.min(at + step, times.length); i += 1) {
      if (values[i] !== null && values[i] !== undefined && (value === null || values[i] > value)) value = values[i];
    }
    if (value === null) {
      if (open !== null) area += `L${before.toFixed(1)} ${height}Z`;
      open = null;
      continue;
    }
    const x = ((times[Math.min(at + step, times.length) - 1] - begin) / length) * width;
    const y = height - 1.5 - (Math.min(value / most, 1)) * (height - 3);
    if (open === null) area += `M${x.toFixed(1)} ${height}L`;
    path += `${open === null ? "M" : "L"}${x.toFixed(1)} ${y.toFixed(1)}`;
    area += `${open === null ? "" : "L"}${x.toFixed(1)} ${y.toFixed(1)}`;
    open = x;
    before = x;
  }
  if (open !== null) area += `L${before.toFixed(1)} ${height}Z`;
  return { line: path, area, most };
}
