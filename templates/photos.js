// A visitor's own picture: from a file, or the camera, to what the network is given; or a sentence that says why not.
// It comes with the network, when the page can already be read.
"use strict";
// biome-ignore lint/correctness/noUnusedVariables: the page's other scripts use it
function Photos({ model, layers, stage, button, element, canvas, turn, claim, say, decline, take }) {
  const LARGEST = 50e6; // pixels, and sides at most 20 to 1, as generator/data/image_files.py accepts them
  const LONGEST = 20;
  const PLAIN = { imageOrientation: "from-image", colorSpaceConversion: "none", premultiplyAlpha: "none" };
  // An AVIF of 8 x 2 pixels, the left half red and the right one blue, with colours at half the resolution; and the red
  // in its rows as Pillow decodes it.
  const HALVED =
    "AAAAIGZ0eXBhdmlmAAAAAGF2aWZtaWYxbWlhZk1BMUIAAADrbWV0YQAAAAAAAAAhaGRscgAAAAAAAAAAcGljdAAAAAAAAAAAAAAAAAAA" +
    "AAAOcGl0bQAAAAAAAQAAAB5pbG9jAAAAAEQAAAEAAQAAAAEAAAETAAAAKQAAAChpaW5mAAAAAAABAAAAGmluZmUCAAAAAAEAAGF2MDFD" +
    "b2xvcgAAAABqaXBycAAAAEtpcGNvAAAAFGlzcGUAAAAAAAAACAAAAAIAAAAQcGl4aQAAAAADCAgIAAAADGF2MUOBAAwAAAAAE2NvbHJu" +
    "Y2x4AAEADQAGgAAAABdpcG1hAAAAAAAAAAEAAQQBAoMEAAAAMW1kYXQSAAoIGAg/kgIaDQgyGxAAAInTNRwNhVrgRKMTf/Y8NXAyJxrv" +
    "S8bKsg==";
  const ENLARGED = [255, 255, 255, 204, 51, 0, 0, 0];
  // Where x and y go, (a, b, c, d) of a canvas, for each turn that EXIF counts.
  const TURNS = {
    2: [-1, 0, 0, 1],
    3: [-1, 0, 0, -1],
    4: [1, 0, 0, -1],
    5: [0, 1, 1, 0],
    6: [0, 1, -1, 0],
    7: [0, -1, -1, 0],
    8: [0, -1, 1, 0],
  };

  function refuse(words) {
    throw new Error(words);
  }

  // -> the picture, and (H, W, C) bytes of it.
  async function read(blob, name) {
    if (!blob.size) refuse(`${name} is empty: it has 0 bytes.`);
    if (!honest())
      refuse(
        "This browser changes what a page reads from pictures, as Firefox does to resist fingerprinting, " +
          "so the network would answer to noise. The report’s own photos still work.",
      );
    const url = URL.createObjectURL(blob);
    const image = element("img", { src: url });
    await new Promise((done) => (image.onload = image.onerror = done));
    const [width, height] = [image.naturalWidth, image.naturalHeight];
    URL.revokeObjectURL(url);
    if (blob.type === "image/svg+xml")
      refuse(`${name} is a drawing in SVG, which has no pixels of its own; save it as PNG first.`);
    if (!width || !height) refuse(`${name} is no image that this browser can read.`);
    if (width * height > LARGEST)
      refuse(
        `${name} has ${Math.round((width * height) / 1e6)} million pixels, ` +
          "more than the 50 million that this page takes; make it smaller first.",
      );
    if (Math.max(width, height) > LONGEST * Math.min(width, height))
      refuse(`${name} is ${width} × ${height}: its sides may be at most 20 to 1; crop it first.`);
    const file = new DataView(await blob.arrayBuffer());
    const { inks, bits, turned } = await told(file).catch(() => ({}));
    if (inks === 4)
      refuse(`${name} is in the colours of print (CMYK), which browsers show in their own ways; save it in RGB first.`);
    if (bits === 16)
      refuse(`${name} has 16 bits a colour, which browsers round in their own ways; save it with 8 first.`);
    const fault = await faultOf(file);
    if (fault)
      refuse(`${name} is an AVIF with ${fault}, which browsers read in their own ways; save it as JPEG or PNG first.`);
    const picture = await createImageBitmap(blob, PLAIN).catch(() => null);
    if (!picture || turned === undefined) refuse(`${name} is damaged: this browser could not read it to its end.`);
    const whole = await upright(await onWhite(picture), turned);
    return [whole, await cut(whole)];
  }

  // What files say

  const words = (view) => new TextDecoder("latin1").decode(view);

  // The parts of a JPEG before its pixels (ITU-T T.81, B.1), of a PNG (ISO/IEC 15948, 5.3) or a WebP (RFC 9649, 2.3).
  function* partsOf(file) {
    const end = file.byteLength;
    const kind = end > 12 && file.getUint32(0);
    const part = (at, length) => new DataView(file.buffer, at, Math.max(0, Math.min(length, end - at)));
    const letters = (at) => words(part(at, 4));
    if (kind >>> 16 === 0xffd8)
      for (let at = 2; at + 4 <= end; at += 2 + file.getUint16(at + 2)) {
        const marker = file.getUint16(at);
        if (marker < 0xffc0 || marker === 0xffda) return;
        const frame = marker < 0xffd0 && ![0xffc4, 0xffc8, 0xffcc].includes(marker);
        yield [frame ? "frame" : marker === 0xffe1 ? "APP1" : "", part(at + 4, file.getUint16(at + 2) - 2)];
      }
    else if (kind === 0x89504e47)
      for (let at = 8; at + 12 <= end; at += 12 + file.getUint32(at))
        yield [letters(at + 4), part(at + 8, file.getUint32(at))];
    else if (kind === 0x52494646 && letters(8) === "WEBP")
      for (let at = 12, size; at + 8 <= end; at += 8 + size + (size % 2)) {
        size = file.getUint32(at + 4, true);
        yield [letters(at), part(at + 8, size)];
      }
  }

  // How many values a JPEG's pixel has and how many bits a PNG's, 0 for other files; and how Pillow turns the picture
  // where browsers do not, as EXIF counts turns. They heed EXIF in a JPEG and in a PNG before its pixels, where Pillow
  // has it from anywhere, also as the text that ImageMagick made of it, and where it tells no turn, from XMP.
  async function told(file) {
    const found = { inks: 0, bits: 0, turned: 1 };
    let [exif, older, xmp, heeded] = [null, null, "", false];
    let pixels = false;
    for (const [kind, part] of partsOf(file)) {
      if (kind === "frame") found.inks = part.getUint8(5);
      else if (kind === "IHDR") found.bits = part.getUint8(8);
      else if (kind === "IDAT") pixels = true;
      else if (kind === "XMP ") xmp = words(part);
      else if (kind === "eXIf" || kind === "EXIF") [exif, heeded] = [part, kind === "eXIf" && !pixels];
      else if (kind === "APP1" && words(part).startsWith("Exif\0")) [exif, heeded] = [exif ?? part, true];
      else if (kind === "APP1" && words(part).startsWith("http://ns.adobe.com/xap/1.0/\0")) xmp = words(part);
      else if (["tEXt", "zTXt", "iTXt"].includes(kind)) {
        const [key, value] = await text(kind, part);
        if (key === "XML:com.adobe.xmp") xmp = value;
        if (key === "Raw profile type exif")
          older = new DataView(
            Uint8Array.from(value.split("\n").slice(3).join("").match(/../g) ?? [], (two) => parseInt(two, 16)).buffer,
          );
      }
    }
    const turn = orientation(exif ?? older);
    if (turn === null) found.turned = Number(/tiff:Orientation(?:="|>)(\d)/.exec(xmp)?.[1] ?? 1);
    else if (!heeded) found.turned = turn;
    return found;
  }

  // A PNG's text by its name (ISO/IEC 15948, 11.3.4), if it may tell a turn.
  async function text(kind, part) {
    const [key] = words(part).split("\0", 1);
    if (!["XML:com.adobe.xmp", "Raw profile type exif"].includes(key)) return [];
    const behind = (at) => words(part).indexOf("\0", at) + 1;
    let start = behind(0);
    const packed = kind === "zTXt" || (kind === "iTXt" && part.getUint8(start));
    if (kind === "zTXt") start += 1;
    // Two bytes, the language and the key in it follow.
    if (kind === "iTXt") start = behind(behind(start + 2));
    const rest = new Uint8Array(part.buffer, part.byteOffset + start, part.byteLength - start);
    return [
      key,
      packed
        ? await new Response(new Blob([rest]).stream().pipeThrough(new DecompressionStream("deflate"))).text()
        : words(rest),
    ];
  }

  // The turn that EXIF tells (CIPA DC-008, 4.6.4); null where it tells none or ends too early.
  function orientation(exif) {
    try {
      const start = exif.getUint32(0) === 0x45786966 ? 6 : 0; // "Exif" and two zeros
      const little = exif.getUint16(start) === 0x4949;
      const list = start + exif.getUint32(start + 4, little);
      for (let i = 0; i < exif.getUint16(list, little); i++)
        if (exif.getUint16(list + 2 + 12 * i, little) === 0x0112) return exif.getUint16(list + 10 + 12 * i, little);
    } catch {
      // as without any
    }
    return null;
  }

  // What of an AVIF comes out otherwise in browsers than in Pillow; "" where nothing does, and for other files. Its
  // coding is in its "av1C" (AV1 in ISOBMFF, 2.3.3), whose third byte has bits for more than eight bits a colour, for
  // grey, and for colours at half the resolution.
  async function faultOf(file) {
    if (file.byteLength < 12 || file.getUint32(4) !== 0x66747970) return ""; // "ftyp"
    const all = words(file);
    const codings = [...all.matchAll(/av1C/g)].map(({ index }) => file.getUint8(index + 6));
    if (!codings.length) return "";
    if (all.includes("auxiliary:alpha")) return "transparency";
    if (codings.some((bits) => bits & 0x40)) return "more than 8 bits a colour";
    if (/tiff:Orientation(="|>)[2-8]/.test(all)) return "a turn told by XMP";
    const halved = codings.some((bits) => bits & 0x0c && !(bits & 0x10));
    return halved && !(await smooths()) ? "chroma subsampling" : "";
  }

  // Whether the browser enlarges halved colours between pixels, as Pillow does: a row of red and blue comes out as
  // there.
  async function smooths() {
    const picture = await createImageBitmap(
      new Blob([Uint8Array.from(atob(HALVED), (letter) => letter.charCodeAt(0))]),
      PLAIN,
    );
    const context = canvas(picture.width, 1).getContext("2d", { willReadFrequently: true });
    context.drawImage(picture, 0, 0);
    const { data } = context.getImageData(0, 0, picture.width, 1);
    return ENLARGED.every((value, i) => value === data[4 * i]);
  }

  // What is drawn

  // Transparency laid on white, to the bit as Pillow's alpha_composite does it. A canvas holds colours already
  // multiplied by their share, which Firefox rounds otherwise; there a VideoFrame gives them as they are. In Chromium
  // it does not, but the canvas is right, so that each is tried. Where neither is, a colour may differ by one.
  async function onWhite(picture) {
    const probe = new ImageData(16, 256); // sixteen values with each share
    for (let i = 0; i < 4096; i++) probe.data.set([17 * (i % 16), 5 + 16 * (i % 16), 90, i >> 4], 4 * i);
    const wanted = laid(probe.data.slice());
    const same = (data) => data.every((value, i) => value === wanted[i]);
    const drawn = await createImageBitmap(probe, PLAIN);
    const context = canvas(16, 256).getContext("2d", { willReadFrequently: true });
    context.fillStyle = "#fff";
    context.fillRect(0, 0, 16, 256);
    context.drawImage(drawn, 0, 0);
    if (same(context.getImageData(0, 0, 16, 256).data) || !window.VideoFrame) return picture;
    const { data: tried } = await straight(drawn);
    if (!same(laid(tried))) return picture;
    const { data, clear } = await straight(picture);
    if (!clear) return picture;
    const step = 4e5;
    for (let start = 0; start < data.length; start += step) {
      laid(data.subarray(start, start + step));
      await turn();
    }
    return createImageBitmap(new ImageData(data, picture.width, picture.height));
  }

  // A picture's RGBA, and whether any of it may be transparent.
  async function straight(picture) {
    const frame = new VideoFrame(picture, { timestamp: 0 });
    const data = new Uint8ClampedArray(4 * picture.width * picture.height);
    await frame.copyTo(data, { format: "RGBA" });
    const clear = !frame.format.endsWith("X");
    frame.close();
    return { data, clear };
  }

  function laid(rgba) {
    for (let i = 0; i < rgba.length; i += 4) {
      const share = rgba[i + 3];
      for (let c = i; c < i + 3; c++) rgba[c] = Math.round((rgba[c] * share + 255 * (255 - share)) / 255);
      rgba[i + 3] = 255;
    }
    return rgba;
  }

  // A picture turned as EXIF counts turns, a strip of its rows at a time.
  async function upright(picture, turned) {
    if (!TURNS[turned]) return picture;
    const [a, b, c, d] = TURNS[turned];
    const { width, height } = picture;
    const drawn = a ? new OffscreenCanvas(width, height) : new OffscreenCanvas(height, width);
    const context = drawn.getContext("2d", { willReadFrequently: true });
    context.fillStyle = "#fff";
    context.fillRect(0, 0, drawn.width, drawn.height);
    context.setTransform(a, b, c, d, a + c < 0 ? drawn.width : 0, b + d < 0 ? drawn.height : 0);
    context.imageSmoothingEnabled = false;
    const rows = Math.max(1, Math.floor(4e5 / width));
    for (let top = 0; top < height; top += rows) {
      const count = Math.min(rows, height - top);
      context.drawImage(picture, 0, top, width, count, 0, top, width, count);
      await turn();
    }
    return drawn.transferToImageBitmap();
  }

  // Strips of rows at a time, so that a photo of 12 million pixels does not hold the page up. Tall photos go through it
  // on their side, as the report's version of Pillow shrinks them: vertically first.
  async function cut(picture) {
    const cutter = Engine.cutter(picture.width, picture.height, model.input, model.tallFirst);
    const { turned } = cutter;
    const [width, height] = turned ? [picture.height, picture.width] : [picture.width, picture.height];
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
    return cutter.finish();
  }

  // What is cut out of a picture as the visitor sees it, and as the network does.
  function lay(picture, width, height, bytes) {
    const { size, channels } = model.input;
    const { photo, seen } = layers;
    const context = photo.getContext("2d");
    context.fillStyle = "#000"; // around what is too small for the cut
    context.fillRect(0, 0, photo.width, photo.height);
    if (width && height) {
      const { high, wide, top, left } = Engine.framed(model.input, height, width);
      const [down, across] = [photo.height / size[0], photo.width / size[1]];
      const place = [-left * across, -top * down, wide * across, high * down];
      context.fillStyle = "#fff"; // transparency lies on white, as the network sees it
      context.fillRect(...place);
      context.imageSmoothingQuality = "high";
      context.drawImage(picture, ...place);
    }
    const image = new ImageData(size[1], size[0]);
    for (let i = 0; i < size[0] * size[1]; i++)
      image.data.set([...Engine.shown(bytes.subarray(channels * i, channels * (i + 1))), 255], 4 * i);
    seen.getContext("2d").putImageData(image, 0, 0);
  }

  // Whether pixels are read as they were drawn.
  function honest() {
    const probe = canvas(16, 16);
    const context = probe.getContext("2d", { willReadFrequently: true });
    const drawn = new ImageData(16, 16);
    for (let i = 0; i < drawn.data.length; i++) drawn.data[i] = i % 4 === 3 ? 255 : (i * 37) % 256;
    context.putImageData(drawn, 0, 0);
    return context.getImageData(0, 0, 16, 16).data.every((value, i) => value === drawn.data[i]);
  }

  // The camera films on the stage until its button is pressed again, another photo is chosen, or it ends without one.
  let film = null;

  function stop() {
    for (const track of film?.stream.getTracks() ?? []) track.stop();
    film?.video.remove();
    film = null;
    button.textContent = "Use the camera";
  }

  const end = () => decline("The camera is off.");

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
      for (const track of stream.getTracks()) track.addEventListener("ended", () => film?.stream === stream && end());
      stage.append(video);
      await video.play();
      if (!current()) return;
      button.textContent = "Take the photo";
      say("The camera is on: its button takes the photo, the Escape key stops it.");
    } catch {
      if (current()) decline("The camera cannot be used: there is none, or it was not allowed.");
    }
  }

  button.hidden = !navigator.mediaDevices?.getUserMedia;
  button.addEventListener("click", shoot);
  document.addEventListener("keydown", (event) => event.key === "Escape" && film && end());
  return { read, lay, stop };
}
