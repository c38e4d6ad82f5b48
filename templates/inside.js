// What happens inside the network for the photo that is shown: every feature map, and the arithmetic behind one pixel.
// It comes with the network, when the page can already be read.
"use strict";
// biome-ignore lint/correctness/noUnusedVariables: the page's other scripts use it
function Inside({ model, layers, of, element, canvas, number, paint, frame, turn, view, say, ARROWS, MAPS, SIGNED }) {
  const WIDTH = 288; // of a stage's picture, about, so that all are shown alike; of wide maps more, of high ones less
  const SIGHT = 112; // longer side of what a unit sees, as it is shown
  const PARTS = 6; // input channels that are shown one by one
  let opened = false; // whether the numbers are
  let chosen = false; // whether the visitor chose the pixel

  function nameOf(place, channel) {
    const { channels, order } = model.input;
    if (place) return `input channel ${channel}`;
    return channels === 1 ? "grey" : ["red", "green", "blue"][order === "bgr" ? 2 - channel : channel];
  }

  // All maps of a stage in one picture.
  function mosaic([place, title]) {
    const [channels, high, wide] = model.layers[place].shape;
    const across = Math.max(1, Math.min(channels, Math.floor((WIDTH * Math.sqrt(wide / high)) / (wide + 1))));
    const picture = canvas(across * (wide + 1) - 1, Math.ceil(channels / across) * (high + 1) - 1, "pixels");
    const words = `${channels} maps of ${high} × ${wide}`;
    picture.tabIndex = 0;
    picture.setAttribute("role", "application");
    picture.setAttribute(
      "aria-label",
      `${title}: ${words}. Arrow keys move the chosen pixel, with the shift key to other maps.`,
    );
    const point = (event) => pick(event, picture, place, across);
    picture.addEventListener("pointerdown", point);
    picture.addEventListener("pointermove", (event) => event.buttons && point(event));
    picture.addEventListener("keydown", (event) => step(event, place, across));
    const note = element("figcaption");
    const sight = element("span", { className: "sight", hidden: true }); // around the map of the chosen unit
    const role = element("div", { className: "role" }, element("h3", {}, title), element("small", {}, words));
    const figure = element("figure", {}, role, element("div", { className: "stack" }, picture, sight), note);
    return { place, across, picture, note, figure, sight };
  }

  function pick(event, picture, place, across) {
    const [channels, high, wide] = model.layers[place].shape;
    const area = picture.getBoundingClientRect();
    const x = Math.floor(((event.clientX - area.left) / area.width) * picture.width);
    const y = Math.floor(((event.clientY - area.top) / area.height) * picture.height);
    const c = Math.floor(y / (high + 1)) * across + Math.floor(x / (wide + 1));
    if (c >= channels) return;
    address(place, c, y % (high + 1), x % (wide + 1));
    changed();
  }

  function step(event, place, across) {
    const by = ARROWS[event.key];
    if (!by || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    const [, c, y, x] = Number(of("which").value) === place ? unit() : [0, 0, 0, 0];
    if (event.shiftKey) address(place, c + by[0] + across * by[1], y, x);
    else address(place, c, y + by[1], x + by[0]);
    changed();
    tell();
  }

  // In words, where nothing that has the focus changes its own, so that a screen reader would be silent.
  function tell() {
    if (!model.pixels) return;
    const [place, c, y, x] = unit();
    const { shape, output } = model.layers[place];
    say(`Channel ${c}, row ${y}, column ${x}: ${number(output[(c * shape[1] + y) * shape[2] + x])}.`);
  }

  const unit = () => ["which", "channel", "row", "column"].map((id) => Number(of(id).value));

  function changed() {
    chosen = true;
    showUnit();
    view();
  }

  // A unit as an address names it: stage, channel, row and column.
  function choose(text) {
    const [stage, ...rest] = (text ?? "").split(".").map(Number);
    chosen = stage in model.stages && rest.length === 3 && rest.every((at) => at >= 0);
    if (chosen) address(model.stages[stage][0], ...rest);
  }

  const named = () => [of("which").selectedIndex, ...unit().slice(1)].join(".");

  function address(place, c, y, x) {
    of("which").value = place;
    of("channel").value = c;
    of("row").value = y;
    of("column").value = x;
  }

  async function show() {
    for (const { place, across, picture, note } of mosaics) {
      const { shape, output } = model.layers[place];
      const [channels, high, wide] = shape;
      const most = output.reduce((a, b) => Math.max(a, Math.abs(b)), 0);
      const least = output.reduce((a, b) => Math.min(a, b), 0) < 0 ? -most : 0;
      for (let c = 0; c < channels; c++) {
        const map = output.subarray(c * high * wide, (c + 1) * high * wide);
        const place = [(c % across) * (wide + 1), Math.floor(c / across) * (high + 1), wide, high];
        paint(picture, map, least ? SIGNED : MAPS, least, most, ...place);
      }
      note.textContent = least
        ? `Blue is negative, white zero, red positive; the largest size is ${number(most)}.`
        : `The brightest pixel is ${number(most)}.`;
      await turn();
    }
    showUnit();
  }

  function brightest() {
    const { place } = mosaics[0];
    const { shape, output } = model.layers[place];
    const best = output.indexOf(output.reduce((a, b) => Math.max(a, b)));
    address(place, Math.floor(best / (shape[1] * shape[2])), Math.floor(best / shape[2]) % shape[1], best % shape[2]);
  }

  // The sum behind one pixel of a feature map, once the network has run.
  function showUnit() {
    if (!model.pixels) return;
    if (!chosen) brightest();
    const [place] = unit();
    const { shape, output } = model.layers[place];
    const [c, y, x] = ["channel", "row", "column"].map((id, axis) => {
      of(id).max = shape[axis] - 1;
      const value = Math.min(shape[axis] - 1, Math.max(0, Math.round(Number(of(id).value))));
      of(id).value = value;
      return value;
    });
    for (const one of mosaics) {
      one.sight.hidden = one.place !== place;
      const { width, height } = one.picture;
      const [left, top] = [(c % one.across) * (shape[2] + 1), Math.floor(c / one.across) * (shape[1] + 1)];
      const shares = { left: left / width, top: top / height, width: shape[2] / width, height: shape[1] / height };
      for (const side in shares) one.sight.style[side] = `${100 * shares[side]}%`;
    }
    const sum = Engine.unit(model, place, c, y, x);
    // No sum may stand below another unit's address.
    if (!sum) {
      frame(layers.sight, null);
      of("arithmetic").replaceChildren();
      return;
    }
    const value = output[(c * shape[1] + y) * shape[2] + x];
    const ends = Engine.field(model, sum.place, sum.y, sum.x);
    frame(layers.sight, chosen ? ends : null); // before, nobody would know what it is
    const whole = element("div", { className: "whole" }, sight(ends), element("p", {}, account(sum, c, value)));
    const parts = element(
      "ol",
      { className: "parts" },
      ...sum.parts.slice(0, PARTS).map((part) => showPart(sum, part)),
    );
    of("arithmetic").replaceChildren(whole, parts, products(sum));
  }

  // The sum in words and numbers, from the input to the pixel.
  function account({ parts, bias, sum, steps }, c, value) {
    const rest = parts.slice(PARTS);
    const terms = parts.slice(0, PARTS).map((part) => [part.sum, ""]);
    if (rest.length)
      terms.push([rest.reduce((sum, part) => sum + part.sum, 0), ` (the other ${rest.length} channels)`]);
    terms.push([bias, " (bias)"]);
    const signed = terms.map(
      ([term, words], i) => (i ? (term < 0 ? " − " : " + ") + number(Math.abs(term)) : number(term)) + words,
    );
    const words = {
      maxpool: () => "max pooling keeps the largest of its neighbours",
      scale: (now) => `batch norm makes it ${now}`,
      relu: (now) => `ReLU leaves ${now}`,
    };
    const after = steps.map((step) => words[step.kind](number(step.value)));
    const total = `Channel ${c}: ${signed.join("")} = ${number(sum)}.`;
    return `${total} Then ${[...after, `the pixel is ${number(value)}`].join("; ")}.`;
  }

  // The unit's field with what lies on the photo there. Beyond the photo there is padding, which stays empty; but where
  // the field is larger than the photo, all of the photo is shown, and what the unit does not see of it stays empty.
  function sight(ends) {
    const { size } = model.input;
    const field = [0, 1].map((axis) => ends[axis + 2] - ends[axis]);
    const from = size.map((side, axis) => (field[axis] > side ? 0 : ends[axis]));
    const shown = size.map((side, axis) => Math.min(side, field[axis]));
    const picture = canvas(...fit(shown, SIGHT).reverse());
    const seen = size.map((side, axis) => [Math.max(0, ends[axis]), Math.min(side, ends[axis + 2])]);
    const context = picture.getContext("2d");
    const [top, left, high, wide] = [seen[0][0], seen[1][0], seen[0][1] - seen[0][0], seen[1][1] - seen[1][0]];
    for (const source of high > 0 && wide > 0 ? [layers.seen.hidden ? layers.photo : layers.seen, layers.ink] : []) {
      const [down, across] = [source.height / size[0], source.width / size[1]];
      const [to, over] = [picture.height / shown[0], picture.width / shown[1]];
      const place = [(left - from[1]) * over, (top - from[0]) * to, wide * over, high * to];
      context.imageSmoothingEnabled = source === layers.photo;
      context.drawImage(source, left * across, top * down, wide * across, high * down, ...place);
    }
    const padded = high < field[0] || wide < field[1];
    const rest = padded ? `; the rest of its ${field[0]} × ${field[1]} is padding.` : ".";
    return element(
      "figure",
      {},
      picture,
      element("figcaption", {}, `What the unit sees: ${high} × ${wide} pixels of the photo${rest}`),
    );
  }

  // [height, width] in a square of a side.
  function fit([high, wide], side) {
    const scale = side / Math.max(high, wide);
    return [high, wide].map((length) => Math.max(1, Math.round(length * scale)));
  }

  function showPart({ place, kernel }, { channel, filter, patch, sum }) {
    const three = [patch, filter, filter.map((weight, i) => weight * patch[i])].map((values) => {
      const most = values.reduce((a, b) => Math.max(a, Math.abs(b)), 0);
      const picture = canvas(kernel[1], kernel[0], "pixels");
      paint(picture, values, SIGNED, -most, most);
      return picture;
    });
    const signs = [three[0], "×", three[1], "=", three[2]];
    return element(
      "li",
      {},
      element("p", {}, `${nameOf(place, channel)}: ${number(sum)}`),
      element("div", { className: "three" }, ...signs),
    );
  }

  function products({ place, kernel, parts }) {
    const { channel, filter, patch } = parts[0];
    const cell = (i) =>
      element("td", {}, `${number(patch[i])} × ${number(filter[i], 3)} = ${number(patch[i] * filter[i], 3)}`);
    const rows = Array.from({ length: kernel[0] }, (_none, y) =>
      element("tr", {}, ...Array.from({ length: kernel[1] }, (_cell, x) => cell(y * kernel[1] + x))),
    );
    const region = element(
      "section",
      { className: "scroll", tabIndex: 0 },
      element("table", {}, element("tbody", {}, ...rows)),
    );
    region.setAttribute("aria-label", `Products of ${nameOf(place, channel)}`);
    const found = element(
      "details",
      { open: opened },
      element("summary", {}, `The numbers of ${nameOf(place, channel)}`),
      region,
    );
    found.addEventListener("toggle", () => (opened = found.open));
    return found;
  }

  const mosaics = model.stages.map(mosaic);
  of("stages").replaceChildren(...mosaics.map(({ figure }) => figure));
  of("which").replaceChildren(...model.stages.map(([place, title]) => element("option", { value: place }, title)));
  for (const id of ["which", "channel", "row", "column"])
    of(id).addEventListener("input", () => {
      changed();
      tell();
    });
  return { show, showUnit, choose, unit: () => chosen && named() };
}
