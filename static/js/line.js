// One live connection to the service, and what it has told so far, for any number of listeners: ten tabs cost one.
// Runs in the shared worker, or in the page where a browser has none.

const SILENT_MS = 20_000; // it speaks every 5 s: then the line is dead, whatever the socket says
const BACKOFF_MS = [500, 1000, 2000, 4000, 8000, 15_000];
const KEPT_EVENTS = 500;
const KINDS = ["snapshot", "features", "event", "liquidation", "status"];

export class Line {
  #source = null;
  #listeners = new Map(); // listener -> { interval, due, waiting, timer }
  #interval = null;
  #lastId = "";
  #failures = 0;
  #heard = 0;
  #retry = null;
  #link = { state: "connecting", since: Date.now() };
  #features = null;
  #status = null;
  #events = new Map();

  constructor(url) {
    this.url = url;
    setInterval(() => this.#watch(), 5000);
  }

  /** Begin to tell `listener` everything; readings at most every `interval` seconds. It is caught up at once. */
  join(listener, interval) {
    clearTimeout(this.#listeners.get(listener)?.timer);
    this.#listeners.set(listener, { interval, due: 0, waiting: null, timer: null });
    listener({ kind: "link", ...this.#link });
    if (this.#status) listener({ kind: "status", status: this.#status });
    if (this.#features) listener({ kind: "features", features: this.#features });
    for (const event of this.#events.values()) listener({ kind: "event", event, again: true });
    this.#settle();
  }

  leave(listener) {
    clearTimeout(this.#listeners.get(listener)?.timer);
    this.#listeners.delete(listener);
    this.#settle();
  }

  /** Dial again now: the machine woke up, or the network came back. */
  nudge() {
    if (this.#listeners.size && (this.#source?.readyState !== 1 || Date.now() - this.#heard > SILENT_MS)) this.#dial();
  }

  /** Connect at the quickest pace that anybody wants; hang up when nobody listens. */
  #settle() {
    const wanted = [...this.#listeners.values()].map((each) => each.interval);
    if (!wanted.length) {
      this.#hangUp();
      this.#interval = null;
      return;
    }
    const quickest = Math.min(...wanted);
    if (quickest !== this.#interval) {
      this.#interval = quickest;
      this.#dial();
    }
  }

  #hangUp() {
    clearTimeout(this.#retry);
    this.#source?.close();
    this.#source = null;
  }

  #dial() {
    this.#hangUp();
    const query = new URLSearchParams({ interval: String(this.#interval) });
    if (this.#lastId) query.set("last_event_id", this.#lastId);
    const source = new EventSource(`${this.url}?${query}`);
    this.#source = source;
    this.#heard = Date.now();
    source.onopen = () => {
      this.#failures = 0;
      this.#heard = Date.now();
      this.#tellLink("live");
    };
    source.onerror = () => {
      if (this.#source !== source) return;
      this.#tellLink("reconnecting");
      if (source.readyState === EventSource.CLOSED) this.#dialLater();
    };
    for (const kind of KINDS) source.addEventListener(kind, (message) => this.#hear(kind, message));
  }

  #dialLater() {
    clearTimeout(this.#retry);
    const wait = BACKOFF_MS[Math.min(this.#failures++, BACKOFF_MS.length - 1)];
    this.#retry = setTimeout(() => this.#dial(), wait * (0.75 + Math.random() / 2));
  }

  #watch() {
    if (this.#source && Date.now() - this.#heard > SILENT_MS) {
      this.#tellLink("reconnecting");
      this.#dial();
    }
  }

  #tellLink(state) {
    if (state === this.#link.state) return;
    this.#link = { state, since: Date.now() };
    this.#tell({ kind: "link", ...this.#link });
  }

  #tell(message) {
    for (const listener of this.#listeners.keys()) listener(message);
  }

  #hear(kind, message) {
    this.#heard = Date.now();
    if (message.lastEventId) this.#lastId = message.lastEventId;
    const data = JSON.parse(message.data);
    if (kind === "snapshot") this.#hearSnapshot(data);
    else if (kind === "features") this.#hearFeatures(data);
    else if (kind === "event") this.#hearEvent(data);
    else if (kind === "status") this.#tell({ kind, status: (this.#status = data) });
    else this.#tell({ kind, ...data });
  }

  #hearSnapshot({ status, features, open_events, resume }) {
    this.#status = status;
    this.#tell({ kind: "status", status });
    if (Object.keys(features.packages).length) {
      this.#features = features;
      this.#tell({ kind: "features", features });
    }
    for (const event of open_events) this.#hearEvent(event, true);
    this.#tell({ kind: "resumed", resume });
  }

  #hearFeatures(features) {
    this.#features = merged(this.#features, features);
    for (const [listener, place] of this.#listeners) {
      place.waiting = merged(place.waiting, features);
      place.timer ??= setTimeout(() => this.#pass(listener, place), Math.max(0, place.due - Date.now()));
    }
  }

  #pass(listener, place) {
    place.timer = null;
    place.due = Date.now() + place.interval * 1000 - 200;
    listener({ kind: "features", features: place.waiting });
    place.waiting = null;
  }

  #hearEvent(event, again = false) {
    const known = this.#events.get(event.id);
    if (known && known.revision >= event.revision) return;
    this.#events.delete(event.id);
    this.#events.set(event.id, event);
    if (this.#events.size > KEPT_EVENTS) this.#events.delete(this.#events.keys().next().value);
    this.#tell({ kind: "event", event, again });
  }
}

/** Newer readings over older ones; what has not changed stays. */
export function merged(older, newer) {
  if (!older) return newer;
  const packages = { ...older.packages, ...newer.packages };
  return { ...older, ...newer, packages, prices: { ...older.prices, ...newer.prices } };
}
