// A visitor's own picture: from a file, or the camera, to what the network is given; or a sentence that says why not.
// It comes with the network, when the page can already be read.
"use strict";
function Photos({ model, stage, button, element, canvas, turn, claim, say, take }) {
  const LARGEST = 50e6; // pixels, and sides at most 20 to 1, as generator/photos.py accepts them
  const LONGEST = 20;

  function refuse(words) {
    throw new Error(words);
  }

  // -> the picture, and (S, S, 3) bytes of it.
  async function read(file, name) {
    if (!file.size) refuse(name + " is empty: it has 0 bytes.");
    if (!honest())
      refuse("This browser changes what a page reads from pictures, as Firefox does to resist fingerprinting, so the network would answer to noise. The report’s own photos still work.");
    const url = URL.createObjectURL(file);
    const image = element("img", { src: url });
    await new Promise((done) => (image.onload = image.onerror = done));
    const [width, height] = [image.naturalWidth, image.naturalHeight];
    URL.revokeObjectURL(url);
    if (file.type === "image/svg+xml") refuse(name + " is a drawing in SVG, which has no pixels of its own; save it as PNG first.");
    if (!width || !height) refuse(name + " is no image that this browser can read.");
    if (width * height > LARGEST)
      refuse(name + " has " + Math.round((width * height) / 1e6) + " million pixels, more than the 50 million that this page takes; make it smaller first.");
    if (Math.max(width, height) > LONGEST * Math.min(width, height))
      refuse(name + " is " + width + " × " + height + ": its sides may be at most 20 to 1; crop it first.");
    const [inks, bits] = [await inksOf(file), await bitsOf(file)];
    if (inks === 4) refuse(name + " is in the colours of print (CMYK), which browsers show in their own ways; save it in RGB first.");
    if (bits === 16) refuse(name + " has 16 bits a colour, which browsers round in their own ways; save it with 8 first.");
    const options = { imageOrientation: "from-image", colorSpaceConversion: "none", premultiplyAlpha: "none" };
    const picture = await createImageBitmap(file, options).catch(() => null);
    if (!picture) refuse(name + " is damaged: this browser could not read it to its end.");
    return [picture, await cut(picture)];
  }

  const part = async (file, at) => new DataView(await file.slice(at, at + 10).arrayBuffer());

  // How many a PNG has (ISO/IEC 15948, 11.2.1); 0 for other files.
  async function bitsOf(file) {
    const png = file.size > 33 && (await part(file, 0)).getUint32(0) === 0x89504e47;
    return png ? (await part(file, 24)).getUint8(0) : 0;
  }

  // How many values a JPEG's pixel has, from its frame's header (ITU-T T.81, B.2.2); 0 for other files.
  async function inksOf(file) {
    if (file.size < 12 || (await part(file, 0)).getUint16(0) !== 0xffd8) return 0;
    for (let at = 2; at + 10 <= file.size; ) {
      const found = await part(file, at);
      const marker = found.getUint16(0);
      if (marker < 0xffc0 || marker === 0xffda) return 0;
      if (marker < 0xffd0 && ![0xffc4, 0xffc8, 0xffcc].includes(marker)) return found.getUint8(9);
      at += 2 + found.getUint16(2);
    }
    return 0;
  }

  // Strips of rows at a time, so that a photo of 12 million pixels does not hold the page up. Tall photos go through it
  // on their side, as the report's version of Pillow shrinks them: vertically first.
  async function cut(picture) {
    const { size, resize, tallFirst } = model;
    const turned = tallFirst && picture.height > 2 * picture.width && resize < picture.width;
    const [width, height] = turned ? [picture.height, picture.width] : [picture.width, picture.height];
    const cutter = Engine.cutter(width, height, size, resize);
    const rows = Math.max(1, Math.min(height, Math.floor(4e5 / width)));
    const strip = canvas(width, rows);
    const context = strip.getContext("2d", { willReadFrequently: true });
    if (turned) context.setTransform(0, 1, 1, 0, 0, 0); // rows become columns
    context.imageSmoothingEnabled = false;
    context.fillStyle = "#fff"; // transparency lies on white
    for (let top = 0; top < height; top += rows) {
      const count = Math.min(rows, height - top);
      const [left, above, across, down] = turned ? [top, 0, count, width] : [0, top, width, count];
      context.fillRect(0, 0, across, down);
      context.drawImage(picture, left, above, across, down, 0, 0, across, down);
      cutter.add(context.getImageData(0, 0, width, count).data, count);
      await turn();
    }
    const bytes = cutter.finish();
    return turned ? bytes.map((_none, i) => bytes[3 * (size * (Math.floor(i / 3) % size) + Math.floor(i / 3 / size)) + (i % 3)]) : bytes;
  }

  // Whether pixels are read as they were drawn.
  function honest() {
    const probe = canvas(16, 16);
    const context = probe.getContext("2d", { willReadFrequently: true });
    const drawn = new ImageData(16, 16);
    drawn.data.forEach((_none, i) => (drawn.data[i] = i % 4 === 3 ? 255 : (i * 37) % 256));
    context.putImageData(drawn, 0, 0);
    return context.getImageData(0, 0, 16, 16).data.every((value, i) => value === drawn.data[i]);
  }

  // The camera films on the stage until its button is pressed again or another photo is chosen.
  let film = null;

  function stop() {
    film?.stream.getTracks().forEach((track) => track.stop());
    film?.video.remove();
    film = null;
    button.textContent = "Use the camera";
  }

  async function shoot() {
    if (film) {
      const { video } = film;
      if (!video.videoWidth) return; // it has not begun to play
      const frame = canvas(video.videoWidth, video.videoHeight);
      frame.getContext("2d").drawImage(video, 0, 0);
      stop();
      return frame.toBlob((blob) => take(blob, "Your photo"));
    }
    const current = claim(false);
    try {
      const stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
      const video = element("video", { srcObject: stream, muted: true, playsInline: true });
      if (film) stop();
      film = { stream, video };
      if (!current()) return stop();
      stage.append(video);
      await video.play();
      if (current()) button.textContent = "Take the photo";
    } catch {
      if (current()) say("The camera cannot be used: there is none, or it was not allowed.");
    }
  }

  button.hidden = !navigator.mediaDevices?.getUserMedia;
  button.addEventListener("click", shoot);
  return { read, stop };
}
