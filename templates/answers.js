// What the network says of the photo: its answers as bars, the map of every class as a tile, the map of one of them on
// the photo, and the channels that decided. It comes with the network, when the page can already be read.
"use strict";
// biome-ignore lint/correctness/noUnusedVariables: the page's other scripts use it
function Answers({ model, layers, of, element, canvas, number, paint, say, view, percent, ARROWS, HEAT, MAPS }) {
  const SHOWN = { answers: 5, channels: 8 };
  let answer = null; // { shares, order, cams }
  let target = null; // the class whose map was chosen; null: whatever the answer is
  let passed = null; // the class whose map is shown as long as the pointer or the keys are on it

  // Tiles are one stop of the keyboard, in which arrow keys lead from one to the next: what the pointer or the keys are
  // on is shown for as long as they are there, and a click chooses it.
  function tile(name, k) {
    const { shape } = model.layers[model.cam];
    const button = element(
      "button",
      { type: "button", tabIndex: -1 },
      canvas(shape[2], shape[1]),
      name,
      element("br"),
      element("small"),
    );
    button.addEventListener("pointerenter", (event) => event.pointerType !== "touch" && pass(k));
    button.addEventListener("pointerleave", () => pass(null));
    button.addEventListener("focus", () => {
      pass(k);
      tellMap();
    });
    button.addEventListener("blur", () => pass(null));
    button.addEventListener("keydown", (event) => goOn(event, k));
    button.addEventListener("click", () => choose(k));
    button.dir = "auto";
    return button;
  }

  function pass(k) {
    passed = k;
    showMap();
  }

  function goOn(event, k) {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const all = tiles;
    const across = all.filter((one) => one.offsetTop === all[0].offsetTop).length;
    const by =
      { Home: -k, End: all.length - 1 - k }[event.key] ?? ARROWS[event.key]?.[0] + across * ARROWS[event.key]?.[1];
    if (Number.isNaN(by)) return;
    event.preventDefault();
    all[k + by]?.focus();
  }

  // Chosen again, a class is let go, and the map is the answer's, whichever that becomes.
  function choose(k) {
    target = k === target ? null : k;
    passed = null;
    if (!answer) return;
    showMap();
    tellMap();
    view();
  }

  function tellMap() {
    const words = of("map").textContent;
    if (answer && words !== of("status").textContent) say(words); // a click comes after a focus
  }

  function show(found) {
    answer = found;
    const { order, shares, cams } = answer;
    const rows = order.slice(0, SHOWN.answers).map((k) => {
      const button = element("button", { type: "button" }, model.classes[k]);
      button.addEventListener("click", () => choose(k));
      const bar = element("span");
      bar.style.width = `${100 * shares[k]}%`;
      const name = element("th", { scope: "row", dir: "auto" }, button);
      return element(
        "tr",
        {},
        name,
        element("td", { className: "bar" }, bar),
        element("td", { className: "n" }, percent(shares[k])),
      );
    });
    of("answers").tBodies[0].replaceChildren(...rows);
    const most = cams.reduce((a, b) => Math.max(a, b), 0);
    const cells = cams.length / shares.length;
    tiles.forEach((button, k) => {
      paint(button.querySelector("canvas"), cams.subarray(k * cells, (k + 1) * cells), HEAT, 0, most);
      button.querySelector("small").textContent = percent(shares[k]);
    });
  }

  function showMap() {
    if (!answer) return;
    const { order, cams, shares } = answer;
    const k = passed ?? target ?? order[0];
    const [, high, wide] = model.layers[model.cam].shape;
    const map = cams.subarray(k * high * wide, (k + 1) * high * wide);
    const most = map.reduce((a, b) => Math.max(a, b), 0);
    const least = map.reduce((a, b) => Math.min(a, b), most);
    layers.heat.hidden = !most;
    paint(layers.heat, Engine.enlarge(map, high, wide, layers.heat.height, layers.heat.width), HEAT, least, most);
    const found = most ? `Raw maximum ${most.toPrecision(3)}.` : "No positive evidence: the map is zero everywhere.";
    of("map").textContent = `Map of ${model.classes[k]}, ${percent(shares[k])}. ${found}`;
    const stop = tiles.find((button) => button === document.activeElement) ?? tiles[k];
    tiles.forEach((button, place) => {
      button.setAttribute("aria-pressed", String(place === k));
      button.tabIndex = button === stop ? 0 : -1;
    });
    showDeciding(k, high, wide);
  }

  function showDeciding(k, high, wide) {
    const { output } = model.layers[model.cam];
    const given = Engine.contributions(model, k);
    const order = [...given.keys()].sort((a, b) => given[b] - given[a]).slice(0, SHOWN.channels);
    const most = order.reduce(
      (found, c) => output.subarray(c * high * wide, (c + 1) * high * wide).reduce((a, b) => Math.max(a, b), found),
      0,
    );
    of("deciding").replaceChildren(
      ...order.map((c) => {
        const map = canvas(wide, high, "pixels");
        paint(map, output.subarray(c * high * wide, (c + 1) * high * wide), MAPS, 0, most);
        return element("li", {}, map, element("p", {}, `channel ${c}: ${given[c] > 0 ? "+" : ""}${number(given[c])}`));
      }),
    );
  }

  // Another choice, as an address or another photo makes it.
  function set(k) {
    [target, passed] = [k, null];
  }

  const tiles = model.classes.map(tile);
  of("classes").setAttribute("aria-label", "Arrow keys lead from class to class");
  of("classes").replaceChildren(...tiles.map((button) => element("li", {}, button)));
  return { show, showMap, set, chosen: () => target };
}
