// Sortable tables: a button in each column's head. The first click on numbers puts the largest first.
"use strict";
(() => {
  function value(row, column) {
    const text = row.cells[column].textContent.trim();
    const number = parseFloat(text.replace(/,/g, "").replace("−", "-"));
    return Number.isNaN(number) ? text : number;
  }

  function compare(a, b) {
    if (typeof a === "number" && typeof b === "number") return a - b;
    if (typeof a !== typeof b) return typeof a === "number" ? 1 : -1; // a dash is less than any number
    return a.localeCompare(b);
  }

  function sort(table, head, column) {
    const body = table.tBodies[0];
    const rows = [...body.rows];
    const numbers = rows.some((row) => typeof value(row, column) === "number");
    const now = head.getAttribute("aria-sort");
    const descending = now ? now === "ascending" : numbers;
    rows.sort((a, b) => compare(value(a, column), value(b, column)) * (descending ? -1 : 1));
    for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", descending ? "descending" : "ascending");
    body.append(...rows);
  }

  for (const table of document.querySelectorAll("table.sortable")) {
    [...table.tHead.rows[0].cells].forEach((head, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      button.addEventListener("click", () => sort(table, head, column));
      head.append(button);
    });
  }
})();
