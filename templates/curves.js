// Curves that show their values: the numbers of the epoch under the pointer. They also stand in the table below each chart.
"use strict";
(function () {
  for (const chart of document.querySelectorAll("svg[data-plot]")) {
    const table = chart.closest("figure").querySelector("table");
    if (!table) continue;
    const [left, right, first, last] = chart.dataset.plot.split(" ").map(Number);
    const heads = [...table.tHead.rows[0].cells].map((cell) => cell.textContent.trim());
    // Sorting the table moves its rows, so they are kept by their epoch.
    const rows = new Map([...table.tBodies[0].rows].map((row) => [parseFloat(row.cells[0].textContent), row]));

    const line = document.createElementNS("http://www.w3.org/2000/svg", "path");
    line.setAttribute("stroke", "currentColor");
    line.setAttribute("stroke-opacity", "0.5");
    const tip = document.createElement("p");
    tip.className = "caption tip";
    chart.after(tip);

    function show(event) {
      const point = new DOMPoint(event.clientX, event.clientY).matrixTransform(chart.getScreenCTM().inverse());
      const share = Math.min(1, Math.max(0, (point.x - left) / (right - left)));
      const epoch = Math.round(first + share * (last - first));
      const row = rows.get(epoch);
      if (!row) return;
      const x = left + ((epoch - first) / (last - first)) * (right - left);
      line.setAttribute("d", "M" + x + " 24V" + (chart.viewBox.baseVal.height - 38));
      chart.append(line);
      tip.textContent = heads.map((head, column) => head + " " + row.cells[column].textContent.trim()).join(", ");
    }

    function hide() {
      line.remove();
      tip.textContent = "";
    }

    chart.addEventListener("pointermove", show);
    chart.addEventListener("pointerdown", show); // touch: a tap
    chart.addEventListener("pointerleave", hide);
  }
})();
