// A light box: a figure's image over the page, as large as one likes. Without it the link opens the image's file.
"use strict";
(() => {
  const links = document.querySelectorAll("a.zoom");
  if (!links.length || typeof HTMLDialogElement !== "function") return;

  let box = null;

  function element(name, properties, ...children) {
    const made = Object.assign(document.createElement(name), properties);
    made.append(...children);
    return made;
  }

  // Built when it is first opened: a page that is only read pays nothing for it.
  function build() {
    const image = element("img");
    const heat = element("span", { className: "heat" });
    const stack = element("div", { className: "stack" }, image, heat);
    const size = element("input", { type: "range", min: 1, max: 8, step: 0.5 });
    const close = element("button", { type: "button" }, "Close");
    const pane = element("div", { className: "pane", tabIndex: 0 }, stack);
    const words = element("p", { className: "caption" });
    const bar = element("div", { className: "controls" }, element("label", {}, "Size ", size), close);
    const dialog = element("dialog", {}, bar, pane, words);
    dialog.setAttribute("aria-label", "Enlarged figure");
    pane.setAttribute("role", "group");
    pane.setAttribute("aria-label", "Figure");
    document.body.append(dialog);
    size.addEventListener("input", fit);
    image.addEventListener("click", near);
    addEventListener("resize", () => dialog.open && fit());
    close.addEventListener("click", () => dialog.close());
    dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
    return { dialog, pane, image, heat, size, close, words };
  }

  // Size 1 fits the window; above it the pane scrolls.
  function fit() {
    const { pane, image, size } = box;
    const scale = Math.min(pane.clientWidth / image.width0, (innerHeight * 0.74) / image.height0);
    image.style.width = `${image.width0 * scale * size.value}px`;
    image.style.cursor = size.value > 1 ? "zoom-out" : "zoom-in";
    size.setAttribute("aria-valuetext", `${size.value} times`);
  }

  // What was clicked, such as one map of a mosaic, as large as can be in the middle; the next click shows the whole
  // again.
  function near(event) {
    const { pane, image, size } = box;
    const [across, down] = [event.offsetX / image.clientWidth, event.offsetY / image.clientHeight];
    size.value = size.value > 1 ? 1 : size.max;
    fit();
    pane.scrollLeft = across * image.clientWidth - pane.clientWidth / 2;
    pane.scrollTop = down * image.clientHeight - pane.clientHeight / 2;
  }

  function open(link) {
    box = box || build();
    // A map on a range of its own has no picture with its photo: the two lie one over the other here, too.
    const own = document.documentElement.matches(".ranged") && link.querySelector(".heat .own, .own .heat img");
    const source = (own && link.querySelector(".own > img:not(.heat *)")) || link.querySelector("img");
    const caption = link.closest("figure")?.querySelector("figcaption p, figcaption");
    const { image } = box;
    image.src = own ? source.src : link.href;
    box.heat.replaceChildren(...(own ? [own.cloneNode()] : []));
    image.alt = source.alt;
    image.className = source.className;
    image.width0 = Number(source.getAttribute("width"));
    image.height0 = Number(source.getAttribute("height"));
    const words = caption ? caption.cloneNode(true) : document.createElement("p");
    for (const part of words.querySelectorAll(".address, .source, details")) part.remove();
    box.words.textContent = words.textContent.trim();
    box.size.value = 1;
    box.dialog.showModal();
    fit();
    box.close.focus();
  }

  for (const link of links)
    link.addEventListener("click", (event) => {
      if (event.ctrlKey || event.metaKey || event.shiftKey) return;
      event.preventDefault();
      open(link);
    });
})();
