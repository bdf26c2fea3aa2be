// This tab's end of the line.
import { Line } from "./line.js";

/** Call `listener(message)` with everything the service says; answers { pace(seconds) }. */
export function connect(listener, interval) {
  const end = "SharedWorker" in self ? sharedEnd(listener) : ownEnd(listener);
  let pace = interval;
  let isJoined = false;
  const join = () => {
    isJoined = true;
    end.join(pace);
  };
  const leave = () => {
    if (isJoined) end.leave();
    isJoined = false;
  };
  addEventListener("pagehide", leave);
  addEventListener("pageshow", ({ persisted }) => persisted && join());
  addEventListener("online", () => end.nudge());
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) {
      if (!end.isShared) leave();
    } else if (isJoined) end.nudge();
    else join();
  });
  if (!document.hidden || end.isShared) join();
  return {
    pace(seconds) {
      pace = seconds;
      if (isJoined) end.join(seconds);
    },
  };
}

function sharedEnd(listener) {
  const worker = new SharedWorker(new URL("./line-worker.js", import.meta.url), { type: "module", name: "regimes" });
  worker.port.onmessage = ({ data }) => listener(data);
  return {
    isShared: true,
    join: (interval) => worker.port.postMessage({ ask: "join", interval }),
    leave: () => worker.port.postMessage({ ask: "leave" }),
    nudge: () => worker.port.postMessage({ ask: "nudge" }),
  };
}

/** Without shared workers (some phones) each tab has its own line, down while it is hidden. */
function ownEnd(listener) {
  const line = new Line("/api/stream");
  return {
    isShared: false,
    join: (interval) => line.join(listener, interval),
    leave: () => line.leave(listener),
    nudge: () => line.nudge(),
  };
}
