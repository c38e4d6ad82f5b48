// A cell of the confusion matrix leads to the images behind it, as the same cell of the table below the matrix does.
"use strict";
(() => {
  for (const holder of document.querySelectorAll("[data-mistakes]")) {
    const chart = holder.querySelector("svg.chart");
    const grid = chart?.querySelector("path"); // the hairlines, first of all, span the cells
    const table = holder.querySelector("table");
    if (!grid || !table) continue;
    const names = [...table.tHead.rows[0].cells].slice(1).map((cell) => cell.textContent.trim());
    // Sorting the table moves its rows, so they are kept by name.
    const rows = new Map([...table.tBodies[0].rows].map((row) => [row.cells[0].textContent.trim(), row]));

    // The link of the cell under the pointer, if there is a mistake in it, and what it is called.
    function under(event) {
      const box = grid.getBoundingClientRect();
      const column = Math.floor(((event.clientX - box.left) / box.width) * names.length);
      const row = Math.floor(((event.clientY - box.top) / box.height) * names.length);
      const line = rows.get(names[row]);
      const link = line && column in names && line.cells[column + 1].querySelector("a");
      return link ? [link, `${names[row]} called ${names[column]}`] : [null, ""];
    }

    // A finger covers several cells: its first tap says which one it met, and the second, or one on the words, follows.
    let finger = false;
    let met = null;

    chart.addEventListener("pointerdown", (event) => {
      finger = event.pointerType === "touch";
    });
    chart.addEventListener("pointermove", (event) => {
      const [link, said] = under(event);
      chart.style.cursor = link ? "pointer" : "";
      if (event.pointerType !== "touch" && said !== tip.textContent) tip.textContent = said;
    });
    chart.addEventListener("click", (event) => {
      const [link, said] = under(event);
      if (link && (!finger || link === met)) {
        link.click();
        return;
      }
      met = link;
      const words = document.createElement(link ? "a" : "span");
      if (link) words.href = link.href;
      words.textContent = said;
      tip.replaceChildren(words);
    });

    const tip = document.createElement("p");
    tip.className = "caption tip";
    chart.after(tip);
  }
})();
