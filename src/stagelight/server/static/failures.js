// Failed events that are kept, in groups: what they have in common, and an example each.
import { attribute, byId, h, replace, text } from "./dom.js";
import * as f from "./format.js";
import { traceLink } from "./lists.js";

const EVERY = 3000, MOST = 20;
const state = { document: null, filter: "", asked: 0, busy: false };

/** Shows the groups where events are kept, and asks for news now and then. */
export function show(all, pipeline) {
  byId("groups-card").hidden = !all.capture;
  if (!all.capture) return;
  if (!state.busy && Date.now() - state.asked > EVERY) ask(all, pipeline);
  draw(all, pipeline);
}

async function ask(all, pipeline) {
  state.busy = true;
  state.asked = Date.now();
  try {
    const answer = await fetch("failures");
    if (answer.ok) { state.document = await answer.json(); draw(all, pipeline); }
  } catch { /* asked again soon */ } finally { state.busy = false; }
}

function draw(all, pipeline) {
  const found = state.document;
  if (!found) return;
  const mine = found.groups.filter((one) => one.pipeline === pipeline);
  const chosen = mine.filter((one) => words(one).includes(state.filter));
  const dropped = Object.entries(found.dropped).map(([why, number]) => `${f.count(number)} ${why}`);
  text(byId("groups-note"), `${f.count(found.kept)} kept${dropped.length ? `, not kept (any more): ${dropped.join(", ")}` : ""}`);
  byId("groups-filter").hidden = mine.length < 2;
  replace(byId("groups"), JSON.stringify([chosen, all.trace_url]), () => {
    if (!mine.length) return h("p", { class: "empty" }, "No event has failed.");
    if (!chosen.length) return h("p", { class: "empty" }, "No group has such words.");
    return h("ol", { class: "list" }, chosen.slice(0, MOST).map((one) => group(one, all.trace_url)));
  });
}

const words = (one) => [one.id, one.stage, one.error_type, one.frame.file, one.frame.function,
  one.example?.message, one.example?.event_id, ...one.hints.map((hint) => hint.text)].join(" ").toLowerCase();

function group(one, template) {
  const file = one.frame.file.split("/").pop(), example = one.example;
  const replays = Object.entries(one.replays).map(([result, number]) => `${number} ${result}`).join(", ");
  return h("li", { "data-group": one.id },
    h("div", { class: "line" },
      h("strong", { class: "times" }, `${f.count(one.count)} ×`),
      h("code", { class: "error" }, one.error_type), h("strong", {}, one.stage),
      h("span", { class: "muted" }, `${file}${one.frame.line ? `:${one.frame.line}` : ""} ${one.frame.function}`),
      h("code", { class: "muted id", title: "its name for stagelight replay --group" }, one.id)),
    h("div", { class: "line muted" },
      h("span", { class: "seen" }, `first ${day(one.first)}, last ${day(one.last)}`),
      h("span", {}, `${f.count(one.kept)} kept`),
      replays ? h("span", {}, `replayed: ${replays}`) : null),
    ...one.hints.map((hint) => h("div", { class: "hint" }, hint.text)),
    example ? h("div", { class: "line" },
      h("span", { class: "muted" }, `example ${example.id}${example.event_id ? `, event ${example.event_id}` : ""}${example.replayable ? "" : ", not replayable"}`),
      traceLink(template, example.trace_id)) : null,
    example?.message ? h("div", { class: "message" }, example.message) : null);
}

const day = (time) => `${new Date(time * 1000).toLocaleDateString("en-GB")} ${f.clock(time)}`;

byId("groups-filter").addEventListener("input", (event) => {
  state.filter = event.target.value.trim().toLowerCase();
  attribute(byId("groups"), "data-mark", null);
  byId("groups").dispatchEvent(new Event("redraw"));
});

/** Draws anew once the filter has changed. */
export const onFilter = (redraw) => byId("groups").addEventListener("redraw", redraw);
