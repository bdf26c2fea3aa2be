// What a visitor chose, kept in this browser and followed by its other tabs.

const DEFAULTS = { interval: "10", theme: "system", symbol: "", timeframe: "1h", pace: "2", dismissed: "" };
const listeners = new Map();

export function preference(name) {
  try {
    return localStorage.getItem(`regimes.${name}`) ?? DEFAULTS[name];
  } catch {
    return DEFAULTS[name];
  }
}

export function prefer(name, value) {
  try {
    localStorage.setItem(`regimes.${name}`, value);
  } catch {
    // Without storage the choice lasts until the page is left.
  }
  listeners.get(name)?.(value);
}

export function onPreference(name, listener) {
  listeners.set(name, listener);
}

addEventListener("storage", ({ key, newValue }) => {
  const name = key?.replace(/^regimes\./, "");
  if (name && name in DEFAULTS) listeners.get(name)?.(newValue ?? DEFAULTS[name]);
});
