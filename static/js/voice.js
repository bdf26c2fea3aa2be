// What a screen reader hears: few sentences, politely; only CRITICAL interrupts, once for each rise.
import { h, setText } from "./dom.js";
import { on } from "./store.js";
import { headline } from "./words.js";

const QUIET_MS = 5000;

export function startVoice() {
  const polite = h("p", { class: "unseen", role: "status", id: "polite" });
  const loud = h("p", { class: "unseen", role: "alert", id: "loud" });
  document.body.append(polite, loud);
  const waiting = new Map(); // subject -> sentence: of one thing only the newest is said
  let timer = null;
  const speak = () => {
    timer = null;
    if (!waiting.size) return;
    const sentences = [...waiting.values()];
    waiting.clear();
    setText(polite, sentences.length > 3 ? `${sentences.length} changes; the newest: ${sentences.at(-1)}` : sentences.join(". "));
    timer = setTimeout(speak, QUIET_MS);
  };
  const say = (sentence, subject = sentence) => {
    waiting.delete(subject);
    waiting.set(subject, sentence);
    timer ??= setTimeout(speak, 500);
  };
  const interrupted = new Set();
  on("event", (event) => {
    const isNewlyCritical = event.severity === "CRITICAL" && event.phase !== "closed" && !interrupted.has(event.id);
    if (isNewlyCritical) {
      interrupted.add(event.id);
      setText(loud, `Critical: ${event.symbol}, ${headline(event)}`);
    } else say(`${event.severity.toLowerCase()}: ${event.symbol}, ${headline(event)}, ${event.phase}`, event.id);
  });
  return say;
}
