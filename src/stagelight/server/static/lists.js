// Failed events, alerts and findings, and the history of health.
import { h, replace } from "./dom.js";
import * as f from "./format.js";

const MOST = 8;
const empty = (words) => h("p", { class: "empty" }, words);

/** Only web addresses become links: the template is the user's, ids are hexadecimal. */
export function traceLink(template, id) {
  if (!id) return null;
  const short = `${id.slice(0, 8)}…`;
  if (!template || !/^https?:\/\//.test(template) || !/^[0-9a-f]+$/.test(id)) {
    return h("span", { class: "trace", title: `trace ${id}` }, `trace ${short}`);
  }
  return h("a", { class: "trace", href: template.replace("{trace_id}", id), target: "_blank", rel: "noopener noreferrer", title: `Open trace ${id}` }, `trace ${short}`);
}

export function failed(host, document) {
  const all = document.failed.slice(0, MOST);
  replace(host, JSON.stringify([all, document.trace_url]), () => {
    if (!all.length) return empty("No event has failed.");
    return h("ol", { class: "list" }, all.map((one) => h("li", {},
      h("div", { class: "line" },
        h("time", { datetime: new Date(one.time * 1000).toISOString() }, f.clock(one.time)),
        h("strong", {}, one.stage),
        h("code", { class: "error" }, one.error_type),
        one.event_id ? h("span", { class: "muted" }, `event ${one.event_id}`) : null,
        one.attempt > 1 ? h("span", { class: "muted" }, `attempt ${one.attempt}`) : null,
        traceLink(document.trace_url, one.trace_id)),
      one.message ? h("div", { class: "message" }, one.message) : null)));
  });
}

export function alerts(host, document, pipeline) {
  const findings = pipeline?.insight.audit ?? [];
  const errors = Object.entries(document.process.telemetry_errors);
  const lost = Object.entries(document.process.telemetry_dropped);
  const hints = (document.hints ?? []).slice(0, MOST);
  replace(host, JSON.stringify([document.alerts, findings, errors, lost, hints]), () => {
    const lines = [
      ...document.alerts.filter((one) => !one.explained_by).map(alert),
      ...findings.map((one) => entry("finding", `${one.check} ${one.place}`, one.text)),
      ...errors.map(([place, number]) => entry("finding", "stagelight", `${number} errors of its own in ${place}`)),
      ...lost.map(([signal, number]) => entry("warning", "telemetry", `${number} ${signal} were lost on their way out`)),
      ...hints.map((one) => entry("hint", `${one.stage}: unusual ${one.what}`, unusual(one))),
    ];
    return lines.length ? h("ul", { class: "list" }, lines) : empty("Nothing to report: no alert, and all numbers add up.");
  });
}

/** What a stage seldom did before: worth a look, never an alert. */
function unusual(one) {
  const value = one.what === "throughput" ? `${f.rate(one.value)}` : `${f.seconds(one.value)} a call`;
  return `${value} at ${f.clock(one.time)}, which is seldom so here; score ${one.score}.`;
}

/** An alert that fires: since when, what it means, what it explains, and where it hangs. */
function alert(one) {
  const explains = one.victims?.length ? h("div", { class: "message" }, `It explains ${one.victims.join(", ")}.`) : null;
  const link = /^https?:\/\//.test(one.runbook_url ?? "") ? h("a", { href: one.runbook_url, target: "_blank", rel: "noopener noreferrer" }, "what to do") : null;
  return h("li", {},
    h("div", { class: "line" },
      h("span", { class: `chip ${one.severity ?? "warning"}` }, one.severity ?? "warning"), h("strong", {}, one.name),
      one.began ? h("time", { datetime: new Date(one.began * 1000).toISOString() }, `since ${f.clock(one.began)}`) : null, link),
    h("div", { class: "message" }, h("strong", {}, one.summary ?? "")),
    h("div", { class: "message" }, one.description ?? ""), explains,
    one.stack ? h("pre", { tabindex: 0, class: "stacktrace", "aria-label": "Where it hangs" }, one.stack) : null);
}

function entry(kind, name, words) {
  return h("li", {}, h("div", { class: "line" }, h("span", { class: `chip ${kind}` }, kind), h("strong", {}, name)), h("div", { class: "message" }, words));
}

export function health(host, document) {
  const all = document.health.history.slice(0, MOST);
  replace(host, JSON.stringify(all), () => {
    if (!all.length) return empty("No change of state so far.");
    return h("ol", { class: "list" }, all.map((one) => h("li", {},
      h("div", { class: "line" },
        h("time", { datetime: new Date(one.time * 1000).toISOString() }, f.clock(one.time)),
        h("strong", {}, one.stage ?? (one.pipeline || "process")),
        h("span", { class: `pill small ${one.before}` }, one.before), h("span", { class: "muted", "aria-label": "to" }, "→"),
        h("span", { class: `pill small ${one.after}` }, one.after)),
      h("div", { class: "message" }, one.reason))));
  });
}
