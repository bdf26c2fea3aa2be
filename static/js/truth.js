// Each signal as a word, a level and a few numbers; and what stands there when there is no number.
import { compact, duration, isNumber, number, percent, phrase, signed, usd } from "./words.js";

const UNITS = { volatility: "h", funding: "settlements", cascades: "min", regimes: "bars", correlations: "h" };
const LEVELS = { INFO: "info", WARNING: "warning", CRITICAL: "critical" };

export const levelOf = (severity) => LEVELS[severity] ?? "calm";

/** What to say in place of a number, or null when there is one. */
function instead(key, signal) {
  if (!signal) return { level: "off", word: "unavailable", note: "this signal is switched off" };
  if (signal.ready) return null;
  const why = signal.detail ?? "";
  if (signal.status === "warming") {
    return { level: "off", word: `warming ${number(signal.n, 0)}/${number(signal.needed, 0)} ${UNITS[key] ?? ""}`.trim(), note: "" };
  }
  if (signal.status === "unavailable") return { level: "off", word: "unavailable", note: why };
  return { level: "off", word: "no value", note: why || phrase(signal.status) };
}

/** What to show of a signal; saying: which of the things it tells, where it tells several. */
export function tell(key, signal, now, saying = key) {
  const missing = instead(key, signal);
  if (missing && signal?.cascade_detected) {
    const { word, note } = SAYINGS.cascades(signal);
    return { level: levelOf(signal.alert_level), word, note: `${note} · ${missing.word}` };
  }
  if (missing) return missing;
  const said = { level: LEVELS[signal.alert_level] ?? (signal.cascade_detected ? "info" : "calm"), ...SAYINGS[saying](signal) };
  if (signal.stale) {
    const age = signal.as_of ? `, ${duration(now - Date.parse(signal.as_of))} old` : "";
    return { level: "off", word: `stale: ${said.word}`, note: `${said.note}${age}` };
  }
  return said;
}

/** What the calibrated layer expects of the next day, with its uncertainty. */
function nextDay({ forecast_24h: mean, forecast_24h_low: low, forecast_24h_high: high, p_extreme: chance }) {
  if (!isNumber(mean)) return { level: "off", word: "no forecast", note: "it takes 480 h of history" };
  const wild = isNumber(chance) ? ` · ${percent(chance, 0)} chance of a wild day` : "";
  return { level: chance >= 0.5 ? "warning" : "info", word: `${percent(mean, 1, 1)}/day`, note: `80\u00a0%: ${number(low * 100, 1, 1)} to ${percent(high, 1, 1)}${wild}` };
}

/** How likely unusual funding is to be usual again; nothing where it is usual. */
const usualAgain = (f) => (isNumber(f.p_revert_24h) ? ` · p usual in 24 h ${percent(f.p_revert_24h, 0)}` : "");

/** Whether liquidations come faster now than chance allows, and how sure that is. */
const burst = (c) => (isNumber(c.burst_confidence) ? ` · burst now, p ${percent(c.burst_confidence, 0)}` : "");

const SAYINGS = {
  volatility: (v) => ({
    word: v.vol_regime ?? "no state",
    note: `${percent(v.volatility_24h, 2, 2)}/day · ${number(v.ratio, 2, 2)}× usual · risk ×${number(v.risk_multiplier, 1, 1)}`,
  }),
  forecast: nextDay,
  funding: (f) => ({
    word: phrase(f.band ?? (f.is_anomaly ? "anomaly" : "normal")),
    note: `${number(isNumber(f.funding_rate) ? f.funding_rate * 100 : null, 4, 4)} % per ${number(f.interval_hours, 0)} h · z ${signed(f.z_score)}${usualAgain(f)}`,
  }),
  cascades: (c) => ({
    word: c.cascade_detected ? `severity ${c.severity} of 5` : "none",
    note: `${c.is_lower_bound ? "≥ " : ""}${usd(c.total_liquidation_usd)} in 24 h · ${compact(c.velocity_usd_per_hour)}/h${burst(c)}${thin(c)}`,
  }),
  regimes: (r) => ({
    ...(r.alert_level === "CRITICAL" ? {} : { level: regimeLevel(r.primary_regime) }),
    word: r.primary_regime?.replace("SPOT_", "") ?? "no agreement",
    note: `${percent(r.confidence, 0)} sure · ${r.agreement_count} of ${r.timeframes_ok} timeframes`,
  }),
};

const thin = (signal) => (signal.ready && signal.coverage < 0.95 ? ` · ${percent(signal.coverage, 0)} watched` : "");

const MARKET_LEVELS = { NORMAL: "calm", ACTIVE: "warning", CRISIS: "critical" };
export const marketLevel = (state) => MARKET_LEVELS[state] ?? "off";

/** "cascades: BTC/USDT, ETH/USDT" for each signal of a list such as "cascades BTC/USDT". */
function grouped(names) {
  const groups = new Map();
  for (const name of names) {
    const [signal, ...rest] = name.split(" ");
    groups.set(signal, [...(groups.get(signal) ?? []), rest.join(" ").replace(/^ALL$/, "whole market")]);
  }
  return [...groups].map(([signal, where]) => `${signal} (${where.join(", ")})`).join(", ");
}

/** Why the market is in its state, in one line; the service says the same before the scripts run. */
export function marketWhy({ critical, warning }) {
  const parts = [critical?.length ? `critical: ${grouped(critical)}` : "", warning?.length ? `warning: ${grouped(warning)}` : ""].filter(Boolean);
  return parts.length ? parts.join(" · ") : "no signal alerts";
}

const REGIME_LEVELS = { SPOT_IGNITION: "calm", SPOT_COOLING: "warning", SPOT_NEUTRAL: "off" };
export const regimeLevel = (regime) => REGIME_LEVELS[regime] ?? "info";

const DATA = {
  liquidation: "liquidations",
  candle: "candles",
  funding: "funding rates",
  mark_price: "mark prices",
  open_interest: "open interest",
  depth: "order books",
};

/** { level, text, coarse }: `coarse` changes only with the state, for those who listen. */
export function liveness(link, status, clock) {
  if (link.state === "connecting") return same("info", "connecting …");
  if (link.state !== "live") {
    return { level: "warning", text: `reconnecting since ${clock(link.since)}; what you see is older`, coarse: "reconnecting to the service", since: link.since };
  }
  if (!status) return same("info", "connected, waiting for data");
  if (status.state === "starting") return same("info", "the service is starting");
  if (status.state === "warming") {
    const { progress } = status;
    return { level: "info", text: `warming up${progress ? ` ${progress.done}/${progress.total}` : ""}`, coarse: "warming up" };
  }
  if (status.state === "closing") return same("warning", "the service is stopping");
  const dead = status.streams.filter((stream) => !stream.connected);
  const worst = dead.find((stream) => stream.stream === "liquidation") ?? dead[0];
  if (worst) {
    const since = isNumber(worst.age_s) ? Date.now() - worst.age_s * 1000 : null;
    const coarse = `blind: no ${DATA[worst.stream] ?? worst.stream} from ${worst.venue}`;
    return { level: "critical", text: `blind${since ? ` since ${clock(since)}` : ""}: no ${DATA[worst.stream] ?? worst.stream} from ${worst.venue}`, coarse, since };
  }
  if (status.state === "degraded") return same("warning", `degraded: ${status.problems[0] ?? "see /readyz"}`);
  const behind = isNumber(status.behind_s) ? `, ${number(status.behind_s, 1, 1)} s behind` : "";
  return { level: "calm", text: `live${behind}`, coarse: "live" };
}

const same = (level, text) => ({ level, text, coarse: text });
