// Failures by stage and kind: what is known of a whole service, whose events are elsewhere.
import { h, replace } from "./dom.js";
import * as f from "./format.js";

/** The stages of a pipeline in which calls failed, those that fail most now first. */
export function byStage(host, pipeline) {
  const found = Object.entries(pipeline?.stages ?? {})
    .map(([name, { errors }]) => ({ name, errors: Object.entries(errors).sort((a, b) => b[1] - a[1]), now: pipeline.insight.stages[name] }))
    .filter((one) => one.errors.length)
    .sort((a, b) => (b.now?.errors ?? 0) - (a.now?.errors ?? 0));
  replace(host, JSON.stringify(found.map((one) => [one.name, one.errors, one.now?.errors, one.now?.rate])), () => {
    if (!found.length) return h("p", { class: "empty" }, "No event has failed.");
    return h("ul", { class: "list" }, found.map((one) => h("li", { "data-stage-errors": one.name },
      h("div", { class: "line" }, h("strong", {}, one.name),
        h("span", { class: "muted" }, one.now?.errors ? `${f.rate(one.now.errors)}, ${f.percent(one.now.errors / one.now.rate)} of its calls` : "none at present")),
      h("div", { class: "line" }, one.errors.map(([kind, number]) =>
        h("span", {}, h("code", { class: "error" }, kind), ` ${f.count(number)}`))))));
  });
}
