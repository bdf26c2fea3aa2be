// Shared by all tabs: a browser opens six connections to a server, and ten tabs must stay live.
import { Line } from "./line.js";

const line = new Line("/api/stream");

self.onconnect = ({ ports: [port] }) => {
  const listener = (message) => port.postMessage(message);
  port.onmessage = ({ data }) => {
    if (data.ask === "join") line.join(listener, data.interval);
    else if (data.ask === "leave") line.leave(listener);
    else if (data.ask === "nudge") line.nudge();
  };
};
