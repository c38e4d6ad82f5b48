// A cell of the confusion matrix leads to the images behind it. Without the script the list below the matrix does.
"use strict";
(function () {
  for (const holder of document.querySelectorAll("[data-mistakes]")) {
    const chart = holder.querySelector("svg.chart");
    const grid = chart && chart.querySelector("path"); // the hairlines, first of all, span the cells
    const table = holder.querySelector("table");
    if (!grid || !table) continue;
    const names = [...table.tHead.rows[0].cells].slice(1).map((cell) => cell.textContent.trim());
    const addresses = holder.dataset.classes.split(" ");
    const box = grid.getBBox();

    // [row, column] of the cell under the pointer, if there is a mistake in it.
    function under(event) {
      const point = new DOMPoint(event.clientX, event.clientY).matrixTransform(chart.getScreenCTM().inverse());
      const column = Math.floor(((point.x - box.x) / box.width) * names.length);
      const row = Math.floor(((point.y - box.y) / box.height) * names.length);
      if (Math.min(row, column) < 0 || Math.max(row, column) >= names.length || row === column) return null;
      // Sorting the table moves its rows, so they are found by name.
      const line = [...table.tBodies[0].rows].find((each) => each.cells[0].textContent.trim() === names[row]);
      return line && parseFloat(line.cells[column + 1].textContent) > 0 ? [row, column] : null;
    }

    chart.addEventListener("pointermove", function (event) {
      const cell = under(event);
      chart.style.cursor = cell ? "pointer" : "";
      const said = cell ? names[cell[0]] + " called " + names[cell[1]] : "";
      if (said !== tip.textContent) tip.textContent = said;
    });
    chart.addEventListener("click", function (event) {
      const cell = under(event);
      if (cell) location.href = holder.dataset.mistakes + "#" + cell.map((index) => addresses[index]).join("-");
    });

    const tip = document.createElement("p");
    tip.className = "caption tip";
    chart.after(tip);
  }
})();
