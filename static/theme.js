// Runs before the first paint, so that a dark room is not lit up by a white flash.
(() => {
  let chosen = null;
  try {
    chosen = localStorage.getItem("regimes.theme");
  } catch {
    // No storage: the system's choice holds.
  }
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
})();
