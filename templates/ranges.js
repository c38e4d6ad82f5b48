// Heat maps on their own range: each goes from 0 to its own maximum, where the page has all maps of a photo on one
// scale. The maps travel as numbers beside their pictures; nothing is made of them until somebody asks. Without this
// script, and on paper, the maps share their scale.
"use strict";
(() => {
  const box = document.getElementById("ranges");
  if (!box) return;
  const WIDTH = 128; // of a map's picture, and of one tile of the picture with all of them
  const TILE = 64;
  const stops = box.dataset.colours.split(" ").map((colour) => colour.match(/../g).map((part) => parseInt(part, 16)));

  // "8 8 AAECAw...": rows, columns and each cell's share of its map's largest as a byte, of one map or of several.
  function read(told) {
    const [rows, columns, letters] = told.split(" ");
    return {
      rows: Number(rows),
      columns: Number(columns),
      cells: Uint8Array.from(atob(letters), (c) => c.charCodeAt(0)),
    };
  }

  // The two cells between whose middles a pixel lies, and how far it is from the first.
  function between(place, pixels, cells) {
    const at = Math.min(cells - 1, Math.max(0, ((place + 0.5) * cells) / pixels - 0.5));
    const first = Math.floor(at);
    return [first, Math.min(cells - 1, first + 1), at - first];
  }

  function colour(pixels, at, share) {
    const place = share * (stops.length - 1);
    const first = Math.min(stops.length - 2, Math.floor(place));
    for (let i = 0; i < 3; i++) {
      pixels[at + i] = Math.round(stops[first][i] + (stops[first + 1][i] - stops[first][i]) * (place - first));
    }
    pixels[at + 3] = 255;
  }

  // Maps in rows of `across` pictures of these sides, enlarged bilinearly as those of the page are.
  function painted({ rows, columns, cells }, wide, high, across) {
    const count = cells.length / (rows * columns);
    const canvas = document.createElement("canvas");
    canvas.width = across * wide;
    canvas.height = Math.ceil(count / across) * high;
    const context = canvas.getContext("2d");
    for (let number = 0; number < count; number++) {
      const image = new ImageData(wide, high);
      const cell = (row, column) => cells[(number * rows + row) * columns + column] / 255;
      for (let y = 0; y < high; y++) {
        const [top, bottom, down] = between(y, high, rows);
        for (let x = 0; x < wide; x++) {
          const [left, right, over] = between(x, wide, columns);
          const upper = cell(top, left) * (1 - over) + cell(top, right) * over;
          const lower = cell(bottom, left) * (1 - over) + cell(bottom, right) * over;
          colour(image.data, 4 * (y * wide + x), upper * (1 - down) + lower * down);
        }
      }
      context.putImageData(image, (number % across) * wide, Math.floor(number / across) * high);
    }
    return canvas.toDataURL();
  }

  // What stands in place of an element while each map has its own range.
  function twin(element, made) {
    element.classList.add("shared");
    made.classList.remove("shared");
    made.classList.add("own");
    element.after(made);
  }

  function copied(image, source) {
    const made = image.cloneNode();
    made.removeAttribute("loading");
    made.src = source;
    return made;
  }

  function single(figure) {
    const photo = figure.closest(".look, .first, .views").querySelector(".seen img");
    const sides = photo ?? figure.querySelector("img");
    const ratio = sides.getAttribute("height") / sides.getAttribute("width");
    const source = painted(read(figure.dataset.own), WIDTH, Math.max(1, Math.round(WIDTH * ratio)), 1);
    const heats = figure.querySelectorAll(".heat img, :scope > img");
    for (const image of heats) twin(image, copied(image, source));
    if (heats.length || !photo) return;
    // The page's picture has the map laid over the photo once and for all: here the two lie one over the other.
    const whole = figure.querySelector("img");
    const [stack, heat] = [document.createElement("span"), document.createElement("span")];
    stack.className = "stack";
    heat.className = "heat";
    heat.append(copied(whole, source));
    heat.firstChild.alt = "";
    const below = copied(photo, photo.getAttribute("src"));
    below.alt = whole.alt;
    stack.append(below, heat);
    twin(whole, stack);
  }

  function every(figure) {
    const [strip, over] = [figure.querySelector(".strip img"), figure.querySelector(".heat")];
    const [across, down] = [
      Number(figure.dataset.columns),
      Math.ceil(figure.querySelectorAll("tbody tr").length / figure.dataset.columns),
    ];
    const [wide, high] = [strip.getAttribute("width") / across, strip.getAttribute("height") / down];
    const source = painted(read(figure.dataset.own), TILE, Math.round((TILE * high) / wide), across);
    twin(strip, copied(strip, source));
    const other = over.cloneNode();
    other.style.backgroundImage = `url("${source}")`;
    twin(over, other);
  }

  const KEPT = "ranges"; // from one photo's page to the next
  function stored(value) {
    try {
      if (value !== undefined) sessionStorage.setItem(KEPT, value);
      return sessionStorage.getItem(KEPT);
    } catch {
      return null; // a browser that keeps nothing
    }
  }

  let made = false;
  function choose() {
    if (box.checked && !made) {
      made = true;
      for (const figure of document.querySelectorAll("[data-own]")) (figure.matches(".every") ? every : single)(figure);
    }
    document.documentElement.classList.toggle("ranged", box.checked);
  }

  box.closest(".scripted").classList.remove("scripted");
  box.addEventListener("change", () => {
    stored(box.checked ? "own" : "shared");
    choose();
  });
  box.checked = stored() === "own";
  choose();
})();
