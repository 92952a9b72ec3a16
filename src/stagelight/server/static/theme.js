"use strict";
// Before anything is painted: what was chosen here last, else what the system says.
(() => {
  let chosen = null;
  try { chosen = localStorage.getItem("stagelight-theme"); } catch { /* not allowed: fine */ }
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
})();
