// Confusion matrices that tell their cells: how many images of a class were called what, beside the pointer or the cell
// that the arrow keys lead to. A mistake leads to its images, as the same cell of the table below the matrix does,
// and shows the first of them where the report has them. Those of several parts of the data take turns in one place;
// without this script they stand one after another.
"use strict";
(() => {
  const KEYS = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };
  const HELP = "Arrow keys lead from cell to cell, the Enter key to the images of a mistake.";
  const GAP = 14; // pixels between a cell and the words

  for (const chart of document.querySelectorAll("svg[data-counts]")) {
    const grid = chart.querySelector("path"); // the hairlines, first of all, span the cells
    const names = chart.dataset.names.split("\t");
    const counts = chart.dataset.counts.split(";").map((row) => row.split(",").map(Number));
    const table = chart.closest("figure").querySelector("table");
    // Sorting the table moves its rows, so they are kept by name.
    const rows = new Map([...(table?.tBodies[0].rows ?? [])].map((row) => [row.cells[0].textContent.trim(), row]));

    const frame = document.createElementNS("http://www.w3.org/2000/svg", "rect");
    const drawn = { fill: "none", stroke: "currentColor", "stroke-width": 2, "vector-effect": "non-scaling-stroke" };
    for (const [name, value] of Object.entries({ ...drawn, width: 1, height: 1 })) frame.setAttribute(name, value);
    frame.setAttribute("transform", grid.getAttribute("transform")); // in units of a cell, as the hairlines are
    // Its title would lie over the words as the browser's own.
    const title = chart.querySelector("title");
    chart.removeAttribute("aria-labelledby");
    chart.setAttribute("aria-label", `${title.textContent} ${HELP}`);
    title.remove();
    chart.setAttribute("tabindex", "0");
    chart.setAttribute("role", "application");
    const tip = document.createElement("p");
    tip.className = "caption tip";
    tip.setAttribute("role", "status");
    chart.after(tip);

    let at = null; // [row, column] of the cell that is told
    let finger = false;

    function words([row, column]) {
      const [count, all] = [counts[row][column], counts[row].reduce((a, b) => a + b, 0)];
      const what = row === column ? `${names[row]}, right` : `${names[row]} called ${names[column]}`;
      if (!all) return `${what}: no image of this class`;
      const share = (100 * count) / all;
      return `${what}: ${count} of ${all}, ${share.toFixed(all < 100 ? 0 : 1)}\u00a0%`;
    }

    const link = ([row, column]) => rows.get(names[row])?.cells[column + 1]?.querySelector("a");

    // The cell under the pointer.
    function under(event) {
      const box = grid.getBoundingClientRect();
      const column = Math.floor(((event.clientX - box.left) / box.width) * names.length);
      const row = Math.floor(((event.clientY - box.top) / box.height) * names.length);
      return column in names && row in names ? [row, column] : null;
    }

    function tell(cell) {
      if (!cell) return hide();
      if (String(cell) === String(at)) return;
      at = cell;
      const [row, column] = cell;
      frame.setAttribute("x", column);
      frame.setAttribute("y", row);
      chart.append(frame);
      const leads = link(cell);
      chart.style.cursor = leads ? "pointer" : "";
      say(words(cell), finger && leads);
      if (leads?.dataset.cells) show(leads.dataset.cells);
      place(frame.getBoundingClientRect());
    }

    function say(told, leads) {
      const part = document.createElement(leads ? "a" : "span");
      if (leads) part.href = leads.href;
      part.textContent = told;
      tip.replaceChildren(part);
    }

    // The first images of a mistake, each a cell of a sheet.
    function show(cells) {
      const sheets = chart.closest("figure").dataset.sheets.split(" ");
      const list = document.createElement("span");
      list.className = "channels";
      for (const [sheet, number] of cells.split(" ").map((cell) => cell.split("."))) {
        const image = Object.assign(new Image(), { src: sheets[sheet], alt: "", className: `k${number} pixels` });
        list.append(image);
      }
      tip.append(list);
    }

    // Beside the cell, above it where there is room, and within the window.
    function place(cell) {
      const area = tip.offsetParent.getBoundingClientRect();
      const [wide, high] = [tip.offsetWidth, tip.offsetHeight];
      const left = Math.max(0, Math.min(cell.right + GAP, document.documentElement.clientWidth - wide - 4));
      const above = cell.top - high - GAP;
      tip.style.left = `${left - area.left + tip.offsetParent.scrollLeft}px`;
      tip.style.top = `${(above < Math.max(0, area.top) ? cell.bottom + GAP : above) - area.top}px`;
    }

    function hide() {
      at = null;
      frame.remove();
      tip.replaceChildren();
      chart.style.cursor = "";
    }

    function step(event) {
      if (event.altKey || event.ctrlKey || event.metaKey) return; // Alt and an arrow go back, for example
      const last = names.length - 1;
      if (event.key === "Enter" && at) return link(at)?.click();
      const [row, column] = at ?? [0, 0];
      const ends = { Home: [row, 0], End: [row, last] }[event.key];
      const by = KEYS[event.key];
      if (!by && !ends) return;
      event.preventDefault();
      finger = false;
      const to = ends ?? (at ? [row + by[0], column + by[1]] : [0, 0]);
      tell(to.map((place) => Math.min(last, Math.max(0, place))));
      frame.scrollIntoView({ block: "nearest", inline: "nearest" });
      place(frame.getBoundingClientRect());
    }

    // Who comes by a key sees what keys do.
    function greet() {
      if (!chart.matches(":focus-visible")) return;
      say(HELP);
      place(grid.getBoundingClientRect());
    }

    // A finger covers several cells: its first tap says which one it met, and the second, or one on the words, follows.
    let met = "";

    chart.addEventListener("pointerdown", (event) => {
      finger = event.pointerType === "touch";
    });
    chart.addEventListener("pointermove", (event) => event.pointerType !== "touch" && tell(under(event)));
    chart.addEventListener("pointerleave", (event) => event.pointerType !== "touch" && hide());
    chart.addEventListener("click", (event) => {
      const cell = under(event);
      if (cell && (!finger || String(cell) === met)) return link(cell)?.click();
      met = String(cell);
      tell(cell);
    });
    chart.addEventListener("keydown", step);
    chart.addEventListener("focus", greet);
    chart.addEventListener("blur", hide);
  }

  // The matrices of a network's parts of the data change places: the chosen one stands where the first stood.
  const networks = new Map();
  for (const figure of document.querySelectorAll("figure[data-part]")) {
    const network = figure.id.slice(0, figure.id.lastIndexOf("-confusion-"));
    networks.set(network, [...(networks.get(network) ?? []), figure]);
  }
  for (const [network, figures] of networks) {
    if (figures.length < 2) continue;
    let shown = figures[0];
    const choice = document.createElement("fieldset");
    choice.className = "controls";
    choice.setAttribute("aria-label", "Images of the matrix");
    for (const figure of figures) {
      const radio = Object.assign(document.createElement("input"), { type: "radio", name: `${network}-part` });
      radio.checked = figure === shown;
      radio.addEventListener("change", () => {
        const mark = document.createComment("");
        shown.replaceWith(mark);
        figure.replaceWith(shown);
        mark.replaceWith(figure);
        [shown.className, figure.className] = [figure.className, shown.className];
        shown = figure;
        figure.querySelector("figcaption").prepend(choice);
        radio.focus({ preventScroll: true });
      });
      const label = document.createElement("label");
      label.append(radio, ` ${figure.dataset.part}`);
      choice.append(label);
    }
    shown.querySelector("figcaption").prepend(choice);
  }
})();
