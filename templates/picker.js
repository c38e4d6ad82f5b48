// The photos' pages are laid out alike: whoever looks at a stage or a class goes on to the next photo's.
// Without this script the links keep the picker where it is in the window.
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

  addEventListener("load", follow); // the target is known by then
  addEventListener("hashchange", follow);
})();
