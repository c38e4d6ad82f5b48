// The page in which the network runs: photos come in, the answer, the heat maps and everything behind them go out.
// Nothing leaves the page. Without this script the page shows a worked example of the report.
"use strict";
(() => {
  const SLICE = 4; // milliseconds of work before the browser has its turn, on a slow machine some four times as long
  const DISPLAY = [448, 1344]; // shorter side of the photo on the page, and its longer one at most
  const SMOOTH = [128, 384]; // likewise of the heat map
  const FAST = 5; // megabits a second
  const OFFERED = "This is a worked example. The network comes when you start it or choose a photo.";
  const LOADING = "Loading the network …";
  const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

  const page = document.getElementById("live");
  const HEAT = ramp(page.dataset.heat);
  const MAPS = ramp(page.dataset.maps);
  const of = (id) => document.getElementById(id);
  const stage = of("stage");
  const status = of("status");

  let model = null; // the network, once it is loaded
  let photo = null; // { title, id of a sample, bytes: (H, W, C) as the network is given it }
  let ink = null; // a colour for each of its pixels, as the network is given it; 0 where nothing is drawn
  let strokes = []; // the ink before each stroke, to undo
  let cursor = null; // { x, y } of the square or the brush, in its pixels; null: no square
  let answers = null; // what templates/answers.js shows
  let inside = null; // what templates/inside.js shows
  let photos = null; // what templates/photos.js reads
  let answer = null; // { logits, shares, order, cams }
  let wanted = false;
  let busy = false;

  // Small things

  function element(name, properties, ...children) {
    const made = Object.assign(document.createElement(name), properties);
    made.append(...children);
    return made;
  }

  function canvas(width, height, className) {
    return element("canvas", { width, height, className: className || "" });
  }

  function number(value, digits) {
    const text =
      Math.abs(value) >= 100
        ? value.toFixed(0)
        : Math.abs(value) < 0.001 && value
          ? value.toExponential(1)
          : value.toFixed(digits ?? 2);
    return text.replace(/^-(?=[0.]+$)/, "").replaceAll("-", "−"); // no minus before zero
  }

  const parts = (colour) => [(colour >> 16) & 255, (colour >> 8) & 255, colour & 255];
  const percent = (share) => `${(100 * share).toFixed(1)}\u00a0%`;

  // Colours written as hexadecimal numbers -> 256 of them, evenly between, as an image's bytes have them.
  function ramp(text) {
    const stops = text.split(" ").map((stop) => [0, 2, 4].map((at) => parseInt(stop.slice(at, at + 2), 16)));
    const bytes = new Uint8ClampedArray(4 * 256).fill(255);
    for (let i = 0; i < 256; i++) {
      const at = (i / 255) * (stops.length - 1);
      const low = Math.min(Math.floor(at), stops.length - 2);
      bytes.set(
        stops[low].map((value, c) => value + (stops[low + 1][c] - value) * (at - low)),
        4 * i,
      );
    }
    return new Uint32Array(bytes.buffer);
  }

  // Values from least to most in the colours of a ramp.
  function paint(
    target,
    values,
    colours,
    least,
    most,
    left = 0,
    top = 0,
    width = target.width,
    height = target.height,
  ) {
    const image = new ImageData(width, height);
    const pixels = new Uint32Array(image.data.buffer);
    const scale = most > least ? 255.99 / (most - least) : 0;
    for (let i = 0; i < pixels.length; i++)
      pixels[i] = colours[Math.min(255, Math.max(0, ((values[i] - least) * scale) | 0))];
    target.getContext("2d").putImageData(image, left, top);
  }

  // The browser's turn.
  const channel = new MessageChannel();
  const turns = [];
  channel.port1.onmessage = () => turns.shift()();
  const turn = () =>
    new Promise((done) => {
      turns.push(done);
      channel.port2.postMessage(0);
    });

  // A generator to its end, a slice at a time.
  async function finish(work) {
    for (let start = performance.now(); ; ) {
      const { done, value } = work.next();
      if (done) return value;
      if (performance.now() - start < SLICE) continue;
      await turn();
      start = performance.now();
    }
  }

  const scripts = {};
  function load(src) {
    scripts[src] ??= new Promise((done, fail) => {
      document.head.append(
        element("script", { src, onload: done, onerror: () => fail(new Error(`${src} could not be loaded`)) }),
      );
    });
    return scripts[src];
  }

  function unpack(text) {
    return Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  }

  let quiet = 0; // until an answer is announced
  function say(text) {
    clearTimeout(quiet);
    status.textContent = text;
  }

  // The network

  // Without it these sections would be empty.
  function working(shown) {
    for (const id of ["deciding", "stages", "arithmetic"]) of(id).closest("section").hidden = !shown;
  }

  let failed = false;
  function fail() {
    failed = true;
    of("progress").hidden = true;
    working(false);
    say("The network could not be loaded, so this page can only show the worked example.");
  }

  // The network comes at once from a file and over a fast connection that costs nothing; else when it is asked for.
  function unasked() {
    const line = navigator.connection;
    if (location.protocol === "file:") return true;
    return Boolean(line && !line.saveData && line.effectiveType === "4g" && line.downlink >= FAST);
  }

  let loading = null;
  function ready() {
    loading ??= (async () => {
      say(LOADING);
      of("start").hidden = true;
      const all = `${page.dataset.scripts} ${page.dataset.network}`.split(" ");
      const progress = of("progress");
      Object.assign(progress, { hidden: false, max: all.length, value: 0 });
      await Promise.all(all.map((src) => load(src).then(() => progress.value++)));
      await turn();
      model = await finish(Engine.load(window.liveNetwork, window.liveLetters));
      delete window.liveNetwork;
      delete window.liveLetters;
      progress.hidden = true;
      performance.mark("network ready");
      furnish();
      if (status.textContent === LOADING) say("");
    })().catch(fail);
    return loading;
  }

  // One pass at a time; what changes meanwhile is seen by the next.
  async function update() {
    wanted = true;
    if (busy || !photo) return;
    busy = true;
    await ready();
    while (wanted && model) {
      wanted = false;
      const [shown, begun] = [photo, asked];
      const logits = await finish(Engine.run(model, input()));
      const cams = await finish(Engine.cams(model));
      if (photo !== shown) continue; // another was chosen meanwhile
      const shares = Engine.softmax(logits);
      const order = [...shares.keys()].sort((a, b) => shares[b] - shares[a]);
      answer = { logits: logits.slice(), shares, order, cams };
      answers.show(answer);
      working(true);
      await turn();
      answers.showMap();
      await turn();
      await inside.show();
      if (!wanted && !reading && begun === asked) announce(); // nothing was said meanwhile that should stand
    }
    busy = false;
  }

  // The photo with what is drawn on it; the square is the mean colour, 0 once normalised.
  function input() {
    const { size, channels } = model.input;
    const [high, wide] = size;
    const bytes = photo.bytes.slice();
    ink.forEach((colour, i) => {
      if (colour) bytes.set(parts(colour).slice(0, channels), channels * i);
    });
    const pixels = Engine.normalise(model.input, bytes);
    const [left, top, right, bottom] = square();
    for (let y = top; y < bottom; y++)
      for (let x = left; x < right; x++) for (let c = 0; c < channels; c++) pixels[(c * high + y) * wide + x] = 0;
    return pixels;
  }

  // Where the square lies: [left, top, right, bottom], within the photo.
  function square() {
    if (!cursor || tool() !== "patch") return [0, 0, 0, 0];
    const side = Number(of("size").value);
    const [left, top] = [cursor.x, cursor.y].map((at) => Math.round(at - side / 2));
    const [high, wide] = model.input.size;
    return [left, top, left + side, top + side].map((at, i) => within(at, i % 2 ? high : wide));
  }

  const within = (at, end) => Math.min(end, Math.max(0, at));

  // [height, width] with the proportions of what the network is given.
  function inProportion([shorter, longer]) {
    const { size } = model.input;
    const scale = Math.min(shorter / Math.min(...size), longer / Math.max(...size));
    return size.map((side) => Math.max(1, Math.round(side * scale)));
  }

  function announce() {
    clearTimeout(quiet);
    const { order, shares } = answer;
    const found = order.slice(0, 2).map((k) => `${model.classes[k]} ${percent(shares[k])}`);
    quiet = setTimeout(() => say(`${photo.title}: ${found.join(", then ")}.`), 400);
  }

  // Photos

  // Of photos that are on their way, the last that was asked for is shown.
  let asked = 0;
  let reading = false;
  function claim(reads) {
    const mine = ++asked;
    reading = reads;
    photos?.stop();
    return () => mine === asked;
  }

  // Why what was asked for is not shown; a pass under way does not speak over it.
  function decline(words) {
    claim(false);
    say(words);
  }

  async function show(found, k) {
    photo = found;
    reading = false;
    ink = new Int32Array(found.bytes.length / model.input.channels);
    strokes = [];
    cursor = null;
    answers.set(k);
    of("shown").textContent = found.title;
    history();
    drawEdits();
    await update();
  }

  async function sample(link, k = null) {
    const current = claim(true);
    const { script } = link.dataset;
    await Promise.all([load(script), ready()]).catch(() => {
      delete scripts[script];
      if (current()) decline(`${link.title} could not be loaded.`);
    });
    if (!scripts[script]) return;
    const picture = element("img", { src: link.dataset.photo || link.querySelector("img")?.src || "" });
    await picture.decode().catch(() => 0);
    if (!model || !current()) return;
    const bytes = unpack(window.liveSamples[link.dataset.sample]);
    mark(link);
    photos.lay(picture, picture.naturalWidth, picture.naturalHeight, bytes);
    await show({ title: link.title, id: link.dataset.sample, bytes }, k);
  }

  // The address of what the visitor chose, which stands after "#"; a photo of their own has none.
  let later = 0;
  function view() {
    clearTimeout(later); // browsers count how often an address changes
    later = setTimeout(() => {
      if (!photo) return;
      const told = new URLSearchParams(photo.id && { photo: photo.id });
      if (photo.id && answers.chosen() !== null) told.set("class", model.classes[answers.chosen()]);
      if (photo.id && inside.unit()) told.set("unit", inside.unit());
      window.history.replaceState(null, "", `#${told}`);
    }, 200);
  }

  const named = () => new URLSearchParams(location.hash.slice(1)).get("photo");

  // What an address names; at first one of the report's photos in any case.
  async function restore() {
    const before = asked;
    await ready();
    if (asked !== before) return; // what the visitor chose meanwhile comes first
    const told = new URLSearchParams(location.hash.slice(1));
    const samples = [...document.querySelectorAll("[data-sample]")];
    const link = samples.find((one) => one.dataset.sample === named());
    if (!model || !(link || (samples.length && !photo))) return;
    const place = model.classes.indexOf(told.get("class"));
    const k = link && place >= 0 ? place : null;
    inside.choose(link ? told.get("unit") : null);
    if (!photo || photo.id !== link.dataset.sample) return sample(link ?? samples[0], k);
    // On the way back from a heading, for example: what is drawn on the photo stays.
    claim(false);
    answers.set(k);
    answers.showMap();
    inside.showUnit();
  }

  function mark(link) {
    for (const other of document.querySelectorAll("[data-sample]"))
      other.toggleAttribute("aria-current", other === link);
    link?.setAttribute("aria-current", "true");
  }

  // A file or a blob from the visitor -> a photo, or a sentence that says why not.
  async function take(file, title) {
    const current = claim(true);
    const name = title || file.name || "Your photo";
    say(`Reading ${name} …`);
    try {
      await ready();
      if (failed) return fail();
      if (!current()) return;
      const [picture, bytes] = await photos.read(file, name);
      if (current()) {
        photos.lay(picture, picture.width, picture.height, bytes);
        mark(null);
        show({ title: name, bytes }, null);
        view();
      }
      picture.close();
    } catch (problem) {
      if (!current()) return;
      decline(problem.message);
      if (photo) return;
      await restore(); // in place of the visitor's first, and its sentence stays
      if (photo && !reading) say(problem.message);
    }
  }

  // What lies on the photo

  const layers = {};

  function furnish() {
    const [high, wide] = model.input.size;
    stage.replaceChildren();
    const [display, smooth] = [inProportion(DISPLAY), inProportion(SMOOTH)];
    layers.photo = canvas(display[1], display[0]);
    layers.seen = canvas(wide, high, "pixels");
    layers.ink = canvas(wide, high, "pixels");
    layers.heat = canvas(smooth[1], smooth[0], "heat");
    layers.sight = element("span", { className: "sight", hidden: true }); // what the chosen unit sees
    layers.brush = element("span", { className: "sight", hidden: true });
    stage.append(...Object.values(layers));
    layers.seen.hidden = !of("seen").checked;
    stage.tabIndex = 0;
    stage.setAttribute("role", "application");
    stage.setAttribute(
      "aria-label",
      `The photo. Arrow keys move the ${page.dataset.nothing} square or the brush, the space bar paints.`,
    );
    const shared = { model, layers, of, element, canvas, number, paint, say, view, ARROWS, MAPS };
    answers = Answers({ ...shared, percent, HEAT });
    inside = Inside({ ...shared, frame, turn, SIGNED: ramp(page.dataset.signed) });
    photos = Photos({ model, layers, stage, button: of("camera"), element, canvas, turn, claim, say, decline, take });
    for (const one of page.parentElement.querySelectorAll(".scripted")) one.classList.remove("scripted");
    strength();
  }

  const tool = () => document.querySelector("[name=tool]:checked").value;

  function drawEdits() {
    const context = layers.ink.getContext("2d");
    const image = new ImageData(layers.ink.width, layers.ink.height);
    ink.forEach((colour, i) => {
      if (colour) image.data.set([...parts(colour), 255], 4 * i);
    });
    context.putImageData(image, 0, 0);
    const [left, top, right, bottom] = square();
    context.fillStyle = `rgb(${Engine.shown(model.input.neutral)})`;
    context.fillRect(left, top, right - left, bottom - top);
    const reach = tool() === "patch" ? 0 : Number(of("size").value) / 2;
    frame(
      layers.brush,
      cursor && reach ? [cursor.y - reach, cursor.x - reach, cursor.y + reach, cursor.x + reach] : null,
    );
  }

  // A frame around a part of the photo: [top, left, bottom, right] in the network's pixels.
  function frame(one, ends) {
    one.hidden = !ends;
    if (!ends) return;
    const { size } = model.input;
    const [top, left, bottom, right] = ends.map((at, i) => (100 * within(at, size[i % 2])) / size[i % 2]);
    Object.assign(one.style, {
      top: `${top}%`,
      left: `${left}%`,
      width: `${right - left}%`,
      height: `${bottom - top}%`,
    });
  }

  // A stroke from there to the cursor.
  function brush(from) {
    const colour = tool() === "erase" ? null : parts(parseInt(of("colour").value.slice(1), 16));
    Engine.stroke(model.input, ink, from, cursor, Math.max(0.71, Number(of("size").value) / 2), colour);
  }

  function history() {
    // A disabled button would lose the keyboard's focus.
    of("undo").setAttribute("aria-disabled", !strokes.length);
    of("clear").setAttribute("aria-disabled", !strokes.length && !cursor);
  }

  function edit(change) {
    if (!photo) return;
    change();
    history();
    drawEdits();
    update();
  }

  const remember = () => strokes.push(ink.slice());
  const undo = () => strokes.length && edit(() => (ink = strokes.pop()));

  function at(event) {
    const area = stage.getBoundingClientRect();
    const [x, y] = [(event.clientX - area.left) / area.width, (event.clientY - area.top) / area.height];
    const [high, wide] = model.input.size;
    return { x: x * wide, y: y * high };
  }

  // With the square a finger that moves up or down moves the page, as everywhere: it is laid where the finger taps, or
  // follows it sideways (see touch-action in try.css).
  let held = false;
  let before = null; // where the square lay
  function press(event) {
    if (!photo || event.button || !event.isPrimary) return;
    held = true;
    before = cursor;
    stage.setPointerCapture(event.pointerId);
    if (tool() === "patch") {
      if (event.pointerType !== "touch") drag(event);
      return;
    }
    remember();
    cursor = at(event);
    drag(event);
  }

  function drag(event) {
    if (!held || !event.isPrimary) return;
    const from = cursor;
    edit(() => {
      cursor = at(event);
      if (tool() !== "patch") brush(from);
    });
  }

  function lift(event) {
    if (event.pointerType === "touch" && tool() === "patch") drag(event);
    held = false;
  }

  function move(event) {
    const by = ARROWS[event.key];
    const paints = event.key === " " && tool() !== "patch";
    if (!photo || event.altKey || event.ctrlKey || event.metaKey || (!by && !paints)) return; // those are the browser's
    event.preventDefault();
    if (paints && event.repeat) return; // a key that is held paints once
    edit(() => {
      const [high, wide] = model.input.size;
      cursor ??= { x: wide / 2, y: high / 2 };
      if (paints) {
        remember();
        brush(cursor);
        return;
      }
      const { x, y } = cursor;
      const step = event.shiftKey ? 8 : 1;
      cursor = { x: within(x + step * by[0], wide), y: within(y + step * by[1], high) };
      const all = high === wide ? wide : `${high} × ${wide}`;
      say(`Row ${Math.round(cursor.y)}, column ${Math.round(cursor.x)} of ${all}.`);
    });
  }

  function strength() {
    document.documentElement.style.setProperty("--strength", of("strength").value / 100);
    of("strength").setAttribute("aria-valuetext", `${of("strength").value} percent`);
  }

  // Beginning

  working(document.querySelector("[data-sample]")); // they are soon filled with the first of the report's photos
  for (const link of document.querySelectorAll("[data-sample]"))
    link.addEventListener("click", (event) => {
      if (failed || event.ctrlKey || event.metaKey || event.shiftKey) return; // followed as any link
      event.preventDefault();
      sample(link).then(view);
    });
  of("file").addEventListener("change", () => {
    if (of("file").files[0]) take(of("file").files[0]);
    of("file").value = ""; // so that the same file can be chosen again
  });
  of("strength").addEventListener("input", strength);
  of("seen").addEventListener("change", () => {
    if (!model) return; // `furnish` heeds it
    layers.seen.hidden = !of("seen").checked;
    inside.showUnit();
  });
  of("size").addEventListener("input", () => edit(() => 0));
  for (const choice of document.getElementsByName("tool"))
    choice.addEventListener("change", () => {
      stage.dataset.tool = tool();
      edit(() => 0);
    });
  of("undo").addEventListener("click", undo);
  of("clear").addEventListener("click", () => {
    if (!strokes.length && !cursor) return;
    edit(() => {
      if (ink.some(Boolean)) remember();
      ink.fill(0);
      cursor = null;
    });
  });
  stage.addEventListener("pointerdown", press);
  stage.addEventListener("pointermove", drag);
  stage.addEventListener("pointerup", lift);
  stage.addEventListener("pointercancel", () => {
    held = false;
    if (tool() === "patch") edit(() => (cursor = before)); // the finger was the page's
  });
  stage.addEventListener("keydown", move);
  document.addEventListener(
    "keydown",
    (event) =>
      (event.ctrlKey || event.metaKey) &&
      event.key === "z" &&
      !event.target.matches?.("input[type=number], input[type=text]") &&
      undo(),
  );
  document.addEventListener("paste", (event) => event.clipboardData.files[0] && take(event.clipboardData.files[0]));
  document.addEventListener("dragover", (event) => {
    event.preventDefault();
    stage.classList.add("over");
  });
  for (const end of ["dragleave", "drop"]) document.addEventListener(end, () => stage.classList.remove("over"));
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    if (event.dataTransfer.files[0]) take(event.dataTransfer.files[0]);
    else say("What was dropped is no file: save the picture first, then drop the file.");
  });
  of("start").addEventListener("click", restore);
  addEventListener("hashchange", () => (loading || named()) && restore());

  function offer() {
    of("start").hidden = false;
    say(OFFERED);
  }

  // What an address names is asked for as much as what is pressed.
  function begin() {
    for (const one of [document.querySelector(".intake"), of("strength").parentElement])
      one.classList.remove("scripted");
    stage.dataset.tool = tool();
    if (named()) restore();
    else if (!unasked()) offer();
    else if (window.requestIdleCallback) requestIdleCallback(() => loading || restore(), { timeout: 2000 });
    else setTimeout(restore);
  }
  if (document.readyState === "complete") begin();
  else addEventListener("load", () => setTimeout(begin));
})();
