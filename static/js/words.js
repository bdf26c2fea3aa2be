// Numbers and names as people read them.

// Made by hand: the first use of each Intl formatter costs a phone 30 ms and more.
const NONE = "–";
const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

export const isNumber = (value) => typeof value === "number" && Number.isFinite(value);

export function number(value, most = 2, least = 0) {
  if (!isNumber(value)) return NONE;
  const [whole, fraction = ""] = Math.abs(value).toFixed(most).split(".");
  let kept = fraction;
  while (kept.length > least && kept.endsWith("0")) kept = kept.slice(0, -1);
  const grouped = whole.replace(/\B(?=(\d{3})+$)/g, ",");
  const shown = kept ? `${grouped}.${kept}` : grouped;
  return value < 0 && /[1-9]/.test(shown) ? `−${shown}` : shown;
}

const two = (count) => String(count).padStart(2, "0");

/** A moment in local time: `time` with seconds, `short` without, `day` with its day, `date` that alone, `month`, `year`. */
export function localTime(ms, style = "time") {
  const moment = new Date(ms);
  const short = `${two(moment.getHours())}:${two(moment.getMinutes())}`;
  if (style === "short") return short;
  if (style === "time") return `${short}:${two(moment.getSeconds())}`;
  const month = MONTHS[moment.getMonth()];
  const date = `${month} ${two(moment.getDate())}`;
  return { day: `${date}, ${short}`, date, month, year: String(moment.getFullYear()) }[style];
}

export function price(value) {
  if (!isNumber(value)) return NONE;
  const size = Math.abs(value);
  if (size >= 1000) return number(value, 1, 1);
  if (size >= 10) return number(value, 2, 2);
  if (size >= 0.1) return number(value, 4, 4);
  return String(Number(value.toPrecision(4)));
}

export function usd(value) {
  if (!isNumber(value)) return NONE;
  const size = Math.abs(value);
  for (const [unit, name] of [[1e9, "B"], [1e6, "M"], [1e3, "k"]]) {
    if (size >= unit) return `${number(value / unit, size / unit >= 100 ? 0 : 2)} ${name} USD`;
  }
  return `${number(value, 0)} USD`;
}

/** "1.45 M", where the unit stands elsewhere. */
export const compact = (value) => usd(value).replace(/ USD$/, "");

export function percent(fraction, most = 2, least = 0) {
  return isNumber(fraction) ? `${number(fraction * 100, most, least)}\u00a0%` : NONE;
}

export function signed(value, most = 2) {
  if (!isNumber(value)) return NONE;
  const shown = number(Math.abs(value), most, most);
  return Number(value.toFixed(most)) === 0 ? shown : (value < 0 ? "−" : "+") + shown;
}

export function duration(ms) {
  if (!isNumber(ms)) return NONE;
  const s = Math.max(0, Math.round(ms / 1000));
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min`;
  const [whole, unit, part, partUnit] = s < 86_400 ? [s / 3600, "h", (s % 3600) / 60, "min"] : [s / 86_400, "d", (s % 86_400) / 3600, "h"];
  return `${Math.floor(whole)} ${unit}${part >= 1 ? ` ${Math.floor(part)} ${partUnit}` : ""}`;
}

/** SPOT_COOLING becomes "Spot cooling". */
export function phrase(name) {
  if (!name) return NONE;
  const words = String(name).replaceAll("_", " ").toLowerCase();
  return words.charAt(0).toUpperCase() + words.slice(1);
}

/** A title without its symbol in front, for places that name the symbol beside it. */
export function headline({ symbol, title }) {
  const rest = title.startsWith(`${symbol} `) ? title.slice(symbol.length + 1) : title;
  return rest.charAt(0).toUpperCase() + rest.slice(1);
}

const NAMES = { n: "samples", needed: "samples needed" };

/** What a field is called where its value says the unit. */
export const label = (name) => NAMES[name] ?? name.replace(/(_usd)?_per_hour$|_usd$|_ms$|_hours$/, "").replaceAll("_", " ");

const FORMATS = [
  [/_ms$/, (value) => `${localTime(value, "date")}, ${localTime(value)}`],
  [/_per_hour$/, (value) => `${usd(value)}/h`],
  [/_usd$/, usd],
  [/_hours$/, (value) => duration(value * 3_600_000)],
  [/_minutes$/, (value) => `${number(value, 0)} min`],
  [/share/, (value) => percent(value, 3)],
  [/(^|_)(coverage|confidence|persistence)$|^volatility_|^baseline_|^forecast_|^p_|_probability$/, (value) => percent(value, 1)],
  [/(rate|rate_8h|mean_8h|std_8h)$/, (value) => `${number(value * 100, 4)} %`],
  [/(price|level|levels)$/, price],
];

/** One value of an event's data, by what its name says it is. */
export function datum(name, value) {
  if (value === null || value === undefined) return NONE;
  if (Array.isArray(value)) return value.length ? value.map((each) => datum(name, each)).join(", ") : "none";
  if (typeof value === "object") {
    return Object.entries(value).map(([key, each]) => `${label(key)} ${datum(key, each)}`).join(", ");
  }
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (!isNumber(value)) return String(value);
  const [, format] = FORMATS.find(([pattern]) => pattern.test(name)) ?? [null, (plain) => number(plain, Math.abs(plain) >= 1000 ? 0 : 3)];
  return format(value);
}
