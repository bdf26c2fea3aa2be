// Runs before the first paint, so that a dark room is not lit up by a white flash.
(() => {
  let chosen = null;
  try {
    chosen = localStorage.getItem("regimes.theme");
  } catch {
    // Storage may be switched off; the system's choice holds then.
  }
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
})();
