// The photos' pages are laid out alike: whoever looks at a stage or a class goes on to the next photo's, and the picker
// stays where it is in the window. Without this script it comes to the window's upper edge.
"use strict";
(() => {
  const links = document.querySelectorAll(".picker a");
  const photo = (link) => link.dataset.photo;
  const shown = document.querySelector(".picker a[aria-current]");
  if (!shown) return;

  function follow() {
    const part = document.querySelector(".look:target, :is(.look, .first) :target");
    // Figures have their photo in their names, after the network's and their kind; classes and networks do not.
    const named = new RegExp(`^(.+?-.+?-)${photo(shown)}(?=-|$)`);
    for (const link of links) link.hash = part ? part.id.replace(named, `$1${photo(link)}`) : "sample";
  }

  // The place of the picker, for the page that comes next.
  const KEPT = "picker";
  const top = () => shown.closest("nav").getBoundingClientRect().top;

  function keep(event) {
    if (event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
    const link = event.currentTarget;
    try {
      sessionStorage.setItem(KEPT, JSON.stringify([link.pathname, top()]));
    } catch {
      return; // where nothing may be stored, the address leads to the picker
    }
    if (link.hash === "#sample") link.hash = "";
  }

  function kept() {
    try {
      const [path, place] = JSON.parse(sessionStorage.getItem(KEPT)) ?? [];
      sessionStorage.removeItem(KEPT);
      return path === location.pathname ? place : null;
    } catch {
      return null;
    }
  }

  const place = kept();
  const stay = () => place !== null && scrollBy({ top: top() - place, behavior: "instant" });
  stay();
  addEventListener("load", stay); // once more, after an address that names a part has led there
  for (const link of links) link.addEventListener("click", keep);

  addEventListener("load", follow); // the target is known by then
  addEventListener("hashchange", follow);
})();
