// Shared by every tab of this browser: an HTTP/1.1 server is allowed six connections, and ten tabs must all stay live.
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
