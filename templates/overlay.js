// Grad-CAM: the strength of the heat map over the photo, and the map of any class over it. Without this script the heat
// maps lie over the photos at three quarters of their strength, and the maps of all classes stand in one picture.
"use strict";
(() => {
  const slider = document.getElementById("strength");
  if (!slider) return;

  function strength() {
    document.documentElement.style.setProperty("--strength", slider.value / 100);
    slider.setAttribute("aria-valuetext", `${slider.value} percent`);
  }

  // The picture of all maps is laid over the photo so large that one tile covers it, and moved to the wanted tile.
  function choose(every) {
    const strip = every.querySelector(".strip");
    const over = every.querySelector(".heat");
    const overs = () => every.querySelectorAll(".heat"); // and that on its own range, once it was asked for
    const rows = [...every.querySelectorAll("tbody tr")];
    const across = Number(every.dataset.columns);
    const down = Math.ceil(rows.length / across);
    over.style.backgroundImage = `url("${strip.querySelector("img").getAttribute("src")}")`;
    over.style.backgroundSize = `${across * 100}% ${down * 100}%`;

    const frame = document.createElement("span");
    frame.className = "frame";
    frame.style.width = `${100 / across}%`;
    frame.style.height = `${100 / down}%`;
    strip.append(frame);

    function show(index) {
      const column = index % across;
      const row = Math.floor(index / across);
      for (const each of overs()) each.style.backgroundPosition = `${share(column, across)} ${share(row, down)}`;
      frame.style.left = `${(100 * column) / across}%`;
      frame.style.top = `${(100 * row) / down}%`;
      for (const old of every.querySelectorAll("[aria-current]")) old.removeAttribute("aria-current");
      rows[index].querySelector("a").setAttribute("aria-current", "true");
      // Only the list itself scrolls, never the page.
      const line = rows[index];
      const region = line.closest(".scroll");
      const hidden =
        line.offsetTop < region.scrollTop ||
        line.offsetTop + line.offsetHeight > region.scrollTop + region.clientHeight;
      if (hidden) region.scrollTop = line.offsetTop - region.clientHeight / 2;
    }

    // What the pointer or the keys pass over is shown for as long as they are there; a click chooses it.
    let chosen = Number(every.dataset.shown);
    const back = () => show(chosen);

    function follow() {
      const asked = rows.findIndex((line) => `#${line.id}` === location.hash);
      if (asked >= 0) chosen = asked;
      back();
    }

    // The view's address: it can be linked, and leads back to it. The page, the list and the keys stay where they are.
    function pick(index) {
      const region = every.querySelector(".scroll");
      const [x, y, inside, held] = [scrollX, scrollY, region.scrollTop, document.activeElement];
      chosen = index;
      location.replace(`#${rows[index].id}`); // unlike history.replaceState it moves :target
      held.focus({ preventScroll: true });
      region.scrollTop = inside;
      scrollTo({ left: x, top: y, behavior: "instant" });
      // On a phone the photo may have gone out above the list: it comes back.
      const { top } = every.querySelector(".stack").getBoundingClientRect();
      if (top < 0) scrollBy({ top: Math.floor(top) - 8, behavior: "instant" });
      back();
    }

    rows.forEach((line, index) => {
      const link = line.querySelector("a");
      line.addEventListener("pointerenter", () => show(index));
      line.addEventListener("pointerleave", back);
      link.addEventListener("focus", () => show(index));
      link.addEventListener("blur", back);
      link.addEventListener("click", (event) => {
        if (event.ctrlKey || event.metaKey || event.shiftKey) return;
        event.preventDefault();
        pick(index);
      });
    });

    // The class of the tile under the pointer, or what is chosen where a row of tiles is not full.
    function under(event) {
      const area = strip.getBoundingClientRect();
      const column = Math.floor(((event.clientX - area.left) / area.width) * across);
      const row = Math.floor(((event.clientY - area.top) / area.height) * down);
      const index = Math.min(across - 1, Math.max(0, column)) + across * Math.min(down - 1, Math.max(0, row));
      return index < rows.length ? index : chosen;
    }
    strip.style.cursor = "pointer";
    strip.addEventListener("pointermove", (event) => show(under(event)));
    strip.addEventListener("pointerdown", (event) => show(under(event)));
    strip.addEventListener("pointerleave", back);
    strip.addEventListener("click", (event) => pick(under(event)));

    addEventListener("hashchange", follow);
    follow();
  }

  // Where tile `place` of `count` stands, as CSS counts: 0 % is the first, 100 % the last.
  function share(place, count) {
    return `${count > 1 ? (100 * place) / (count - 1) : 0}%`;
  }

  document.querySelectorAll(".every").forEach(choose);
  slider.closest(".scripted").classList.remove("scripted");
  slider.addEventListener("input", strength);
  strength();
})();
