// The first visit, before there is anything to show: what is being waited for, and how long that takes.
import { byId, h } from "./dom.js";
import { isKnown, mark, market, view } from "./store.js";
import { duration } from "./words.js";

let first = null; // when and where the warm-up was first seen, to tell how long the rest takes

export function whenReady(begin) {
  let isBegun = false;
  const draw = () => {
    if (isBegun) return;
    if (isKnown()) {
      isBegun = true;
      byId("waiting").hidden = true;
      byId("content").hidden = false;
      begin();
      mark("features");
      mark("events");
    } else explain();
  };
  view(["features", "status", "link"], draw, { always: true });
}

function explain() {
  const { link, status } = market;
  const body = [];
  if (link.state === "reconnecting") body.push(h("p", {}, "The service does not answer. This page keeps trying and goes on by itself."));
  else if (!status) return;
  else if (status.state === "starting") body.push(h("p", {}, "The service is starting: it asks the exchange which symbols there are. That takes a few seconds."));
  else if (status.progress && status.progress.done < status.progress.total) body.push(...progressOf(status.progress));
  else if (status.state === "degraded") body.push(h("p", {}, "The service does not get the data it needs yet. It keeps trying, and this page goes on by itself."));
  else body.push(h("p", {}, "The service is connected and computes the first readings."));
  if (status?.symbols.length) body.push(h("p", { class: "quiet" }, `Watching ${status.symbols.join(", ")}.`));
  const problems = (status?.problems ?? []).filter((problem) => !problem.includes(" readings "));
  if (link.state === "live" && problems.length) body.push(h("ul", {}, problems.map((problem) => h("li", {}, problem))));
  byId("waiting-body").replaceChildren(...body);
}

function progressOf({ done, total, label }) {
  first ??= { done, at: Date.now() };
  const gone = done - first.done;
  const left = gone > 0 ? ((Date.now() - first.at) / gone) * (total - done) : null;
  return [
    h("p", {}, `Fetching the history the signals need: ${done} of ${total} parts, now ${label}.`),
    h("progress", { max: total, value: done, "aria-label": "History fetched" }),
    h("p", { class: "quiet" }, left === null ? "Usually less than a minute." : `About ${duration(left)} to go.`),
  ];
}
