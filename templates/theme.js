// The theme: auto (the system's), light or dark. Runs before the first paint, so that no page flashes.
"use strict";
(() => {
  const names = { "": "auto", light: "light", dark: "dark" };
  const root = document.documentElement;

  function stored() {
    try {
      return localStorage.getItem("theme") || "";
    } catch {
      return ""; // a browser that keeps nothing
    }
  }

  function apply(theme) {
    root.style.colorScheme = theme || "light dark";
    try {
      localStorage.setItem("theme", theme);
    } catch {
      // as above
    }
  }

  const chosen = stored();
  if (chosen in names && chosen) apply(chosen);

  addEventListener("DOMContentLoaded", () => {
    const button = document.getElementById("theme");
    const label = button.querySelector("span");
    const order = Object.keys(names);
    let theme = chosen in names ? chosen : "";
    label.textContent = names[theme];
    button.classList.remove("scripted");
    button.addEventListener("click", () => {
      theme = order[(order.indexOf(theme) + 1) % order.length];
      label.textContent = names[theme];
      apply(theme);
    });
  });
})();
