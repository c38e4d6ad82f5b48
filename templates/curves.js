// Curves that show their values: the numbers of the epoch under the pointer, or of the one that the arrow keys lead to.
// They also stand in the table below each chart.
"use strict";
(() => {
  const HELP = "Arrow keys go from epoch to epoch.";
  const GAP = 10; // pixels between the line and the words

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
    tip.setAttribute("role", "status");
    chart.after(tip);
    // Its title would lie over the words as the browser's own.
    const title = chart.querySelector("title");
    chart.removeAttribute("aria-labelledby");
    chart.setAttribute("aria-label", `${title.textContent} ${HELP}`);
    title.remove();
    chart.setAttribute("tabindex", "0");
    chart.setAttribute("role", "application");
    let at = null; // the epoch that is told

    function show(event) {
      const point = new DOMPoint(event.clientX, event.clientY).matrixTransform(chart.getScreenCTM().inverse());
      tell(Math.round(first + ((point.x - left) / (right - left)) * (last - first)));
    }

    function step(event) {
      if (event.altKey || event.ctrlKey || event.metaKey) return; // Alt and an arrow go back, for example
      const wanted = { ArrowLeft: (at ?? last + 1) - 1, ArrowRight: (at ?? first - 1) + 1, Home: first, End: last }[
        event.key
      ];
      if (wanted === undefined) return;
      event.preventDefault();
      tell(wanted);
    }

    function tell(wanted) {
      const epoch = Math.min(last, Math.max(first, wanted));
      const row = rows.get(epoch);
      if (!row) return;
      at = epoch;
      const x = left + ((epoch - first) / (last - first)) * (right - left);
      line.setAttribute("d", `M${x} 24V${chart.viewBox.baseVal.height - 38}`);
      chart.append(line);
      tip.textContent = words(epoch, row);
      place();
    }

    // "epoch 81: training accuracy 67.6 %, validation accuracy 72.9 %"
    function words(epoch, row) {
      const told = heads.slice(1).map((head, i) => {
        const [, what, unit] = /^(.*?)(?:, ([^,]*))?$/.exec(head); // the run's own name may have a comma
        const value = row.cells[i + 1].textContent.trim();
        return /\d/.test(value) ? `${what} ${value}${unit ? `\u00a0${unit}` : ""}` : "";
      });
      return `${heads[0]} ${epoch}: ${told.filter(Boolean).join(", ")}`;
    }

    // Beside the line, on the side that has more room.
    function place() {
      const [area, drawn] = [chart, line].map((one) => one.getBoundingClientRect());
      const late = drawn.left - area.left > area.width / 2;
      const left = late ? drawn.left - tip.offsetWidth - GAP : drawn.right + GAP;
      const most = document.documentElement.clientWidth - tip.offsetWidth;
      const holder = tip.offsetParent.getBoundingClientRect();
      tip.style.left = `${Math.max(0, Math.min(left, most)) - holder.left}px`;
      tip.style.top = `${drawn.top - holder.top}px`;
    }

    // Who comes by a key sees what keys do.
    function greet() {
      if (!chart.matches(":focus-visible") || at !== null) return;
      tip.textContent = HELP;
      tip.style.left = "0px";
      tip.style.top = "0px";
    }

    // A finger that is lifted leaves the chart, too: what it pointed at stays to be read.
    function leave(event) {
      if (event.pointerType !== "touch") hide();
    }

    function hide() {
      line.remove();
      tip.textContent = "";
      at = null;
    }

    chart.addEventListener("pointermove", show);
    chart.addEventListener("pointerdown", show); // touch: a tap
    chart.addEventListener("pointerleave", leave);
    chart.addEventListener("keydown", step);
    chart.addEventListener("focus", greet);
    chart.addEventListener("blur", hide);
  }
})();
