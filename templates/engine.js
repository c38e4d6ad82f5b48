// The engine: a photo cut to the network's input as the report does it, the network itself, and its explanations.
// Nothing here touches the page. A map of C channels is a Float32Array of C * h * w values, row by row; a shape is
// [C, h, w], or [n] for a vector. Long work is a generator: it yields where the browser may have its turn.
"use strict";
// biome-ignore lint/correctness/noUnusedVariables: the page's other scripts use it
const Engine = (() => {
  // Winograd's minimal filtering F(4x4, 3x3) (Lavin and Gray 2016, arXiv:1509.09308): 36 products for 16 outputs in
  // place of 144. Sums are held in double precision, so that nothing of the answer is lost to it.
  const TILE = 4;
  const POINTS = 36; // of a 6 x 6 patch
  const GROUP = 16; // output cells of a direct convolution that share one pass over the weights

  // The network

  // A network as the report wrote it (generator/pages/network_script.py), and the letters of weights that came along ->
  // one that runs: shapes known, weights unpacked.
  function* load(told, found) {
    const [key, count] = told.pieces;
    const pieces = Object.values(found?.[key] ?? []);
    if (pieces.length !== count) throw new Error("weights of another network came along: reload the page");
    const letters = pieces.join("");
    const layers = [];
    let shape = [told.input.channels, ...told.input.size];
    for (const step of told.steps) {
      const layer = { ...step, from: shape };
      if (step.floats) yield* unpack(layer, letters);
      shape = layer.shape = outputShape(layer);
      layer.output = new Float32Array(shape.reduce((a, b) => a * b));
      if (layer.kind === "conv") yield* prepare(layer);
      layers.push(layer);
    }
    return { ...told, layers };
  }

  function outputShape({ kind, from, out, kernel, stride, padding }) {
    if (kind === "linear") return [out];
    if (kind === "global") return [from[0]];
    if (kind === "flatten") return [from.reduce((a, b) => a * b)];
    if (kind !== "conv" && kind !== "maxpool") return from;
    const side = (n, axis) => Math.floor((n + 2 * padding[axis] - kernel[axis]) / stride[axis]) + 1;
    return [kind === "conv" ? out : from[0], side(from[1], 0), side(from[2], 1)];
  }

  // For each of `out` rows a float32 factor, then as many biases; whole numbers of `bits` bits, the lowest bit first,
  // in letters of fifteen bits.
  function* unpack(layer, letters) {
    const { out, bits, start, from, kernel } = layer;
    const floats = new Float32Array(Uint8Array.from(atob(layer.floats), (letter) => letter.charCodeAt(0)).buffer);
    layer.bias = floats.slice(out);
    if (layer.kind === "scale") {
      layer.factor = floats.slice(0, out);
      return;
    }
    const row = layer.kind === "conv" ? from[0] * kernel[0] * kernel[1] : from[0];
    layer.weights = new Float32Array(out * row);
    const stream = { letters, bits, place: start, held: 0, kept: 0 };
    for (let k = 0; k < out; k++) {
      unpackRow(stream, floats[k], layer.weights, k * row, (k + 1) * row);
      if (k % 4 === 3) yield;
    }
  }

  function unpackRow(stream, factor, to, start, end) {
    const { letters, bits } = stream;
    let { place, held, kept } = stream;
    const zero = 1 << (bits - 1);
    for (let i = start; i < end; i++) {
      for (; kept < bits; kept += 15) held |= (letters.charCodeAt(place++) - 0x5000) << kept;
      to[i] = ((held & (2 * zero - 1)) - zero) * factor;
      held >>>= bits;
      kept -= bits;
    }
    Object.assign(stream, { place, held, kept });
  }

  // The weights of a convolution as `multiply` wants them: (points, out / 4, in, 4), the last block filled up with 0.
  function* prepare(layer) {
    const { out, kernel, stride, weights, from } = layer;
    layer.winograd = kernel[0] === 3 && kernel[1] === 3 && stride[0] === 1 && stride[1] === 1;
    layer.sliding = kernel[1] === 5 && stride[1] === 1;
    const deep = from[0] * (layer.winograd ? 1 : layer.sliding ? kernel[0] : kernel[0] * kernel[1]);
    const plane = Math.ceil(out / 4) * 4 * deep;
    layer.packed = new Float32Array((layer.winograd ? POINTS : layer.sliding ? 8 : 1) * plane);
    for (let k = 0; k < out; k++) {
      const base = (k - (k % 4)) * deep + (k % 4);
      if (layer.winograd) spreadFilters(weights, 9 * k * deep, deep, layer.packed, base, plane);
      else if (layer.sliding)
        for (let c = 0; c < deep; c++) {
          const row = weights.subarray((k * deep + c) * 5, (k * deep + c + 1) * 5);
          FIVE.filter.forEach((factors, p) => {
            layer.packed[p * plane + base + 4 * c] = dot(factors, row);
          });
        }
      else for (let c = 0; c < deep; c++) layer.packed[base + 4 * c] = weights[k * deep + c];
      if (k % 4 === 3) yield;
    }
  }

  // The network's answer for (C, H, W) normalised pixels; each layer keeps its output.
  function* run(model, pixels) {
    model.pixels = pixels;
    let input = pixels;
    for (const layer of model.layers) {
      yield* STEPS[layer.kind](layer, input, layer.output);
      input = layer.output;
      yield;
    }
    return input;
  }

  const STEPS = {
    *conv(layer, input, output) {
      const way = layer.winograd ? winograd : layer.sliding ? sliding : direct;
      yield* way(layer, input, output);
    },
    *scale({ factor, bias, from }, input, output) {
      const area = from.length > 1 ? from[1] * from[2] : 1;
      for (let i = 0; i < output.length; i++) output[i] = input[i] * factor[(i / area) | 0] + bias[(i / area) | 0];
    },
    *relu(_layer, input, output) {
      for (let i = 0; i < output.length; i++) output[i] = input[i] > 0 ? input[i] : 0;
    },
    *maxpool(layer, input, output) {
      output.fill(-Infinity);
      for (let i = 0; i < layer.kernel[0]; i++)
        for (let j = 0; j < layer.kernel[1]; j++) raise(layer, i, j, input, output);
    },
    *global({ from, pool }, input, output) {
      const area = from[1] * from[2];
      for (let c = 0; c < from[0]; c++) {
        let found = pool === "max" ? -Infinity : 0;
        for (let i = c * area; i < (c + 1) * area; i++)
          found = pool === "max" ? Math.max(found, input[i]) : found + input[i];
        output[c] = pool === "max" ? found : found / area;
      }
    },
    *flatten(_layer, input, output) {
      output.set(input);
    },
    *linear({ weights, bias, from }, input, output) {
      for (let k = 0; k < output.length; k++) {
        let sum = bias[k];
        for (let i = 0, at = k * from[0]; i < from[0]; i++) sum += weights[at + i] * input[i];
        output[k] = sum;
        if (k % 256 === 255) yield;
      }
    },
  };

  // Each cell of a max pooling becomes at least what stands at (i, j) of its window; padding never wins.
  function raise({ from, shape, stride, padding }, i, j, input, output) {
    const first = Math.max(0, Math.ceil((padding[1] - j) / stride[1]));
    const end = Math.min(shape[2], Math.floor((from[2] - 1 + padding[1] - j) / stride[1]) + 1);
    for (let row = 0; row < shape[0] * shape[1]; row++) {
      const y = (row % shape[1]) * stride[0] + i - padding[0];
      if (y < 0 || y >= from[1]) continue;
      const above = (Math.floor(row / shape[1]) * from[1] + y) * from[2] + j - padding[1];
      const to = row * shape[2];
      for (let x = first; x < end; x++) {
        const value = input[above + x * stride[1]];
        if (value > output[to + x]) output[to + x] = value;
      }
    }
  }

  // Where the cell (c, y, x) of a max pooling found its value.
  function strongest({ from, kernel, stride, padding }, input, c, y, x) {
    const top = y * stride[0] - padding[0];
    const left = x * stride[1] - padding[1];
    let best = -1;
    for (let i = Math.max(0, top); i < Math.min(from[1], top + kernel[0]); i++)
      for (let j = Math.max(0, left); j < Math.min(from[2], left + kernel[1]); j++) {
        const at = (c * from[1] + i) * from[2] + j;
        if (best < 0 || input[at] > input[best]) best = at;
      }
    return best;
  }

  // (K / 4, C, 4) weights times (T / 4, C, 4) columns -> (K, T), four by four: sixteen sums stay in registers.
  // biome-ignore format: four rows of four sums side by side
  function multiply(U, u0, V, v0, M, m0, K, C, T) {
    for (let k = 0; k < K; k += 4)
      for (let t = 0; t < T; t += 4) {
        let a0 = 0, a1 = 0, a2 = 0, a3 = 0, b0 = 0, b1 = 0, b2 = 0, b3 = 0;
        let c0 = 0, c1 = 0, c2 = 0, c3 = 0, d0 = 0, d1 = 0, d2 = 0, d3 = 0;
        for (let u = u0 + k * C, v = v0 + t * C, end = u + 4 * C; u < end; u += 4, v += 4) {
          const p = V[v], q = V[v + 1], r = V[v + 2], s = V[v + 3];
          const a = U[u];
          a0 += a * p; a1 += a * q; a2 += a * r; a3 += a * s;
          const b = U[u + 1];
          b0 += b * p; b1 += b * q; b2 += b * r; b3 += b * s;
          const c = U[u + 2];
          c0 += c * p; c1 += c * q; c2 += c * r; c3 += c * s;
          const d = U[u + 3];
          d0 += d * p; d1 += d * q; d2 += d * r; d3 += d * s;
        }
        let m = m0 + k * T + t;
        M[m] = a0; M[m + 1] = a1; M[m + 2] = a2; M[m + 3] = a3;
        m += T;
        M[m] = b0; M[m + 1] = b1; M[m + 2] = b2; M[m + 3] = b3;
        m += T;
        M[m] = c0; M[m + 1] = c1; M[m + 2] = c2; M[m + 3] = c3;
        m += T;
        M[m] = d0; M[m + 1] = d1; M[m + 2] = d2; M[m + 3] = d3;
      }
  }

  // Scratch memory that all layers share.
  const scratch = { V: new Float64Array(0), M: new Float64Array(0) };
  function held(name, length) {
    if (scratch[name].length < length) scratch[name] = new Float64Array(length);
    return scratch[name];
  }

  // Any kernel and stride: the cells below each filter as columns, then one product of matrices.
  function* direct({ from, shape, kernel, stride, padding, packed, bias }, input, output) {
    const [inputs, high, wide] = from;
    const [out, rows, columns] = shape;
    const deep = inputs * kernel[0] * kernel[1];
    const cells = rows * columns;
    const padded = Math.ceil(out / 4) * 4;
    const V = held("V", GROUP * deep).fill(0, 0, GROUP * deep);
    const M = held("M", GROUP * padded);
    for (let start = 0; start < cells; start += GROUP) {
      for (let t = 0; t < GROUP && start + t < cells; t++) {
        const top = Math.floor((start + t) / columns) * stride[0] - padding[0];
        const left = ((start + t) % columns) * stride[1] - padding[1];
        let at = (t - (t % 4)) * deep + (t % 4);
        for (let c = 0; c < inputs; c++)
          for (let y = top; y < top + kernel[0]; y++)
            for (let x = left; x < left + kernel[1]; x++, at += 4)
              V[at] = y < 0 || x < 0 || y >= high || x >= wide ? 0 : input[(c * high + y) * wide + x];
      }
      multiply(packed, 0, V, 0, M, 0, padded, deep, GROUP);
      const count = Math.min(GROUP, cells - start);
      for (let k = 0; k < out; k++)
        for (let t = 0; t < count; t++) output[k * cells + start + t] = M[k * GROUP + t] + bias[k];
      yield;
    }
  }

  // Five wide filters slide over rows by F(4, 5): 8 products for 4 outputs in place of 20. The matrices follow from the
  // points where polynomials are multiplied (Toom and Cook): Lagrange's polynomials, and powers of the points.
  const FIVE = (() => {
    const at = [0, 1, -1, 2, -2, 0.5, -0.5];
    const times = (poly, a) => [0, ...poly].map((value, i) => value - a * (poly[i] ?? 0)); // by (x - a)
    const without = (p) => at.filter((_a, q) => q !== p);
    const scale = at.map((a, p) => without(p).reduce((product, other) => product * (a - other), 1));
    return {
      filter: [...at.map((a, p) => [0, 1, 2, 3, 4].map((i) => a ** i / scale[p])), [0, 0, 0, 0, 1]],
      input: [...at.map((_a, p) => [...without(p).reduce(times, [1]), 0]), at.reduce(times, [1])],
      output: [0, 1, 2, 3].map((i) => [...at.map((a) => a ** i), i === 3 ? 1 : 0]),
    };
  })();

  function dot(factors, values) {
    let sum = 0;
    for (let i = 0; i < factors.length; i++) sum += factors[i] * values[i];
    return sum;
  }

  function* sliding({ from, shape, kernel, stride, padding, packed, bias }, input, output) {
    const [inputs, high, wide] = from;
    const [out, rows, columns] = shape;
    const deep = inputs * kernel[0];
    const padded = Math.ceil(out / 4) * 4;
    const across = Math.ceil(columns / 4);
    const T = Math.ceil(across / 4) * 4;
    const spread = new Float64Array(inputs * high * 8 * T); // (inputs, high, 8, T)
    const eight = new Float64Array(8);
    for (let row = 0; row < inputs * high; row++) {
      for (let t = 0; t < across; t++) {
        for (let i = 0, x = 4 * t - padding[1]; i < 8; i++, x++)
          eight[i] = x < 0 || x >= wide ? 0 : input[row * wide + x];
        for (let p = 0; p < 8; p++) spread[(row * 8 + p) * T + t] = dot(FIVE.input[p], eight);
      }
      if (row % 64 === 63) yield;
    }
    const V = held("V", 8 * deep * T);
    const M = held("M", 8 * padded * T);
    for (let y = 0; y < rows; y++) {
      slice(spread, from, kernel[0], y * stride[0] - padding[0], T, V);
      for (let p = 0; p < 8; p++)
        multiply(packed, p * padded * deep, V, p * deep * T, M, p * padded * T, padded, deep, T);
      join(shape, y, across, T, padded * T, M, bias, output);
      yield;
    }
  }

  // The rows below the filters, beginning with `top`, as columns for `multiply`.
  function slice(spread, [inputs, high], tall, top, T, V) {
    const deep = inputs * tall;
    for (let c = 0; c < inputs; c++)
      for (let i = 0; i < tall; i++) {
        const y = top + i;
        const inside = y >= 0 && y < high;
        for (let p = 0; p < 8; p++)
          for (let t = 0, at = ((c * high + y) * 8 + p) * T; t < T; t++)
            V[p * deep * T + (t - (t % 4)) * deep + 4 * (c * tall + i) + (t % 4)] = inside ? spread[at + t] : 0;
      }
  }

  function join([out, rows, columns], y, across, T, step, M, bias, output) {
    const [, , second, third] = FIVE.output;
    for (let k = 0; k < out; k++)
      for (let t = 0, at = k * T; t < across; t++, at++) {
        const a = M[at + step],
          b = M[at + 2 * step],
          c = M[at + 3 * step];
        const d = M[at + 4 * step],
          e = M[at + 5 * step],
          f = M[at + 6 * step];
        const to = (k * rows + y) * columns + 4 * t;
        const left = columns - 4 * t;
        output[to] = bias[k] + M[at] + a + b + c + d + e + f;
        if (left > 1) output[to + 1] = bias[k] + a - b + 2 * (c - d) + (e - f) / 2;
        if (left > 2) output[to + 2] = bias[k] + a + b + second[3] * (c + d) + second[5] * (e + f);
        if (left > 3) output[to + 3] = bias[k] + a - b + third[3] * (c - d) + third[5] * (e - f) + M[at + 7 * step];
      }
  }

  function* winograd({ from, shape, padding, packed, bias }, input, output) {
    const [out, rows, columns] = shape;
    const across = Math.ceil(columns / TILE);
    const tiles = across * Math.ceil(rows / TILE);
    const T = Math.ceil(tiles / 4) * 4;
    const padded = Math.ceil(out / 4) * 4;
    const V = held("V", POINTS * from[0] * T);
    const M = held("M", POINTS * padded * T);
    yield* spreadInput(from, padding, tiles, across, T, input, V);
    for (let p = 0; p < POINTS; p++) {
      multiply(packed, p * padded * from[0], V, p * from[0] * T, M, p * padded * T, padded, from[0], T);
      yield;
    }
    yield* gather(shape, tiles, across, T, padded * T, M, bias, output);
  }

  // U = G g G' of each of a unit's 3 x 3 filters, in the points 0, 1, -1, 2, -2 and infinity.
  function spreadFilters(weights, start, deep, packed, base, plane) {
    const half = new Float64Array(18); // 6 x 3
    for (let c = 0; c < deep; c++) {
      const at = start + 9 * c;
      for (let x = 0; x < 3; x++) points(weights, at + x, 3, half, x, 3);
      for (let y = 0; y < 6; y++) points(half, 3 * y, 1, packed, base + 4 * c + 6 * y * plane, plane);
    }
  }

  function points(from, at, gap, to, place, step) {
    const a = from[at],
      b = from[at + gap],
      c = from[at + 2 * gap];
    to[place] = a / 4;
    to[place + step] = -(a + b + c) / 6;
    to[place + 2 * step] = (b - a - c) / 6;
    to[place + 3 * step] = a / 24 + b / 12 + c / 6;
    to[place + 4 * step] = a / 24 - b / 12 + c / 6;
    to[place + 5 * step] = c;
  }

  // V = B' d B of each 6 x 6 patch of the input; patches overlap by two.
  function* spreadInput([inputs, high, wide], padding, tiles, across, T, input, V) {
    const d = new Float64Array(POINTS);
    const step = inputs * T;
    for (let tile = 0; tile < tiles; tile++) {
      const top = Math.floor(tile / across) * TILE - padding[0];
      const left = (tile % across) * TILE - padding[1];
      const inside = top >= 0 && left >= 0 && top + 6 <= high && left + 6 <= wide;
      for (let c = 0; c < inputs; c++) {
        for (let y = 0, i = 0; y < 6; y++) {
          let at = (c * high + top + y) * wide + left;
          for (let x = 0; x < 6; x++, i++, at++)
            d[i] = inside || (top + y >= 0 && top + y < high && left + x >= 0 && left + x < wide) ? input[at] : 0;
        }
        for (let x = 0; x < 6; x++) interpolate(d, x, 6, d, x, 6);
        const to = (tile - (tile % 4)) * inputs + 4 * c + (tile % 4);
        for (let y = 0; y < 6; y++) interpolate(d, 6 * y, 1, V, to + 6 * y * step, step);
      }
      if (tile % 16 === 15) yield;
    }
  }

  function interpolate(from, at, gap, to, place, step) {
    const a = from[at],
      b = from[at + gap],
      c = from[at + 2 * gap];
    const d = from[at + 3 * gap],
      e = from[at + 4 * gap],
      f = from[at + 5 * gap];
    to[place] = 4 * a - 5 * c + e;
    to[place + step] = d + e - 4 * (b + c);
    to[place + 2 * step] = 4 * (b - c) + e - d;
    to[place + 3 * step] = 2 * (d - b) + e - c;
    to[place + 4 * step] = 2 * (b - d) + e - c;
    to[place + 5 * step] = 4 * b - 5 * d + f;
  }

  // Y = A' m A, and the bias.
  function* gather([out, rows, columns], tiles, across, T, step, M, bias, output) {
    const half = new Float64Array(24); // 4 x 6
    const cell = new Float64Array(16);
    for (let k = 0; k < out; k++) {
      for (let tile = 0; tile < tiles; tile++) {
        const at = k * T + tile;
        for (let x = 0; x < 6; x++) evaluate(M, at + x * step, 6 * step, half, x, 6);
        for (let y = 0; y < 4; y++) evaluate(half, 6 * y, 1, cell, 4 * y, 1);
        const top = Math.floor(tile / across) * TILE;
        const left = (tile % across) * TILE;
        for (let y = 0; y < TILE && top + y < rows; y++)
          for (let x = 0, to = (k * rows + top + y) * columns + left; x < TILE && left + x < columns; x++)
            output[to + x] = cell[4 * y + x] + bias[k];
      }
      if (k % 8 === 7) yield;
    }
  }

  function evaluate(from, at, gap, to, place, step) {
    const b = from[at + gap],
      c = from[at + 2 * gap],
      d = from[at + 3 * gap],
      e = from[at + 4 * gap];
    to[place] = from[at] + b + c + d + e;
    to[place + step] = b - c + 2 * (d - e);
    to[place + 2 * step] = b + c + 4 * (d + e);
    to[place + 3 * step] = b - c + 8 * (d - e) + from[at + 5 * gap];
  }

  // What an answer is made of

  function inputOf(model, place) {
    return place ? model.layers[place - 1].output : model.pixels;
  }

  // The gradient of a class's logit, back from the head to the first layer behind the explained maps that does not
  // pool: one block of values a channel. Pooling hands gradients on whole, so that a block's sum is that over the maps'
  // cells.
  function gradientOf(model, target) {
    let end = model.cam + 1;
    while (["maxpool", "global", "flatten"].includes(model.layers[end].kind)) end++;
    let found = Float64Array.from(model.classes, (_name, k) => (k === target ? 1 : 0));
    for (let place = model.layers.length - 1; place >= end; place--)
      found = BACK[model.layers[place].kind](model.layers[place], found, inputOf(model, place));
    return { gradient: found, input: inputOf(model, end) };
  }

  // From the gradient of a layer's output to that of its input.
  const BACK = {
    linear({ weights, from }, gradient) {
      const found = new Float64Array(from[0]);
      for (let k = 0; k < gradient.length; k++)
        if (gradient[k])
          for (let i = 0, at = k * from[0]; i < from[0]; i++, at++) found[i] += gradient[k] * weights[at];
      return found;
    },
    relu: ({ output }, gradient) => gradient.map((value, i) => (output[i] > 0 ? value : 0)),
    scale({ factor }, gradient) {
      const area = gradient.length / factor.length;
      return gradient.map((value, i) => value * factor[Math.floor(i / area)]);
    },
    flatten: (_layer, gradient) => gradient,
    global({ from, pool }, gradient, input) {
      const [, high, wide] = from;
      if (pool === "average")
        return new Float64Array(input.length).map((_none, i) => gradient[Math.floor(i / high / wide)] / high / wide);
      const whole = { from, shape: [from[0], 1, 1], kernel: [high, wide], stride: [1, 1], padding: [0, 0] };
      return BACK.maxpool(whole, gradient, input);
    },
    maxpool(layer, gradient, input) {
      const [, high, wide] = layer.shape;
      const found = new Float64Array(input.length);
      gradient.forEach((value, i) => {
        found[strongest(layer, input, Math.floor(i / high / wide), Math.floor(i / wide) % high, i % wide)] += value;
      });
      return found;
    },
  };

  // Grad-CAM of every class (Selvaraju et al. 2017), (K, h, w) raw: a channel weighs as much as the mean of the logit's
  // gradient over its cells.
  function* cams(model) {
    const { shape, output } = model.layers[model.cam];
    const [channels, high, wide] = shape;
    const cells = high * wide;
    const found = new Float32Array(model.classes.length * cells);
    const sum = new Float64Array(cells);
    for (let target = 0; target < model.classes.length; target++) {
      const { gradient } = gradientOf(model, target);
      const block = gradient.length / channels;
      sum.fill(0);
      for (let c = 0; c < channels; c++) {
        let weight = 0;
        for (let i = 0; i < block; i++) weight += gradient[c * block + i];
        for (let i = 0, at = c * cells; i < cells; i++, at++) sum[i] += weight * output[at];
      }
      for (let i = 0; i < cells; i++) found[target * cells + i] = Math.max(0, sum[i] / cells);
      yield;
    }
    return found;
  }

  // What each channel gave to the target's logit: gradient times activation, summed over its cells, (C,).
  function contributions(model, target) {
    const { gradient, input } = gradientOf(model, target);
    const found = new Float64Array(model.layers[model.cam].shape[0]);
    const block = gradient.length / found.length;
    gradient.forEach((value, i) => {
      found[Math.floor(i / block)] += value * input[i];
    });
    return found;
  }

  // The arithmetic behind the cell (c, y, x) of a layer's output: the steps from it back to a convolution, and that
  // convolution's sum for the cell, one part for each input channel, the largest first.
  function unit(model, place, c, y, x) {
    const steps = [];
    for (; place >= 0 && model.layers[place].kind !== "conv"; place--) {
      const layer = model.layers[place];
      steps.unshift({ kind: layer.kind, layer, value: layer.output[(c * layer.shape[1] + y) * layer.shape[2] + x] });
      if (layer.kind !== "maxpool") continue;
      const cell = strongest(layer, inputOf(model, place), c, y, x) % (layer.from[1] * layer.from[2]);
      [y, x] = [Math.floor(cell / layer.from[2]), cell % layer.from[2]];
    }
    if (place < 0) return null;
    const { from, kernel, stride, padding, weights, bias } = model.layers[place];
    const input = inputOf(model, place);
    const area = kernel[0] * kernel[1];
    const parts = [];
    for (let channel = 0; channel < from[0]; channel++) {
      const filter = weights.subarray((c * from[0] + channel) * area, (c * from[0] + channel + 1) * area);
      const patch = filter.map((_weight, i) => {
        const row = y * stride[0] - padding[0] + Math.floor(i / kernel[1]);
        const column = x * stride[1] - padding[1] + (i % kernel[1]);
        const inside = row >= 0 && column >= 0 && row < from[1] && column < from[2];
        return inside ? input[(channel * from[1] + row) * from[2] + column] : 0;
      });
      parts.push({ channel, filter, patch, sum: filter.reduce((sum, weight, i) => sum + weight * patch[i], 0) });
    }
    const sum = parts.reduce((total, part) => total + part.sum, bias[c]);
    parts.sort((one, other) => Math.abs(other.sum) - Math.abs(one.sum));
    return { place, y, x, kernel, parts, bias: bias[c], sum, steps };
  }

  // What the cell (y, x) of a layer's output sees of the input: [top, left, bottom, right], the last two not included;
  // the image's edges are not heeded.
  function field(model, place, y, x) {
    const ends = [y, x, y + 1, x + 1];
    for (; place >= 0; place--) {
      const { kind, kernel, stride, padding } = model.layers[place];
      if (kind !== "conv" && kind !== "maxpool") continue;
      for (const axis of [0, 1]) {
        ends[axis + 2] = (ends[axis + 2] - 1) * stride[axis] - padding[axis] + kernel[axis];
        ends[axis] = ends[axis] * stride[axis] - padding[axis];
      }
    }
    return ends;
  }

  function softmax(logits) {
    const most = Math.max(...logits);
    const shares = Float64Array.from(logits, (logit) => Math.exp(logit - most));
    const sum = shares.reduce((a, b) => a + b);
    return shares.map((share) => share / sum);
  }

  // From a photo to the network's input: what generator/records/input.py says, to the bit as
  // generator/data/preprocessing.py does it with Pillow. An input's size is [H, W], in pixels.

  // To what an image is brought, and where in that the cut begins; below 0: black lies around it.
  function framed({ size, resize, crop }, height, width) {
    const [high, wide] = crop === "centre" ? brought(size, resize, height, width) : squeezed(size, crop, resize);
    const start = (side, cut) => (side >= cut ? even((side - cut) / 2) : -Math.floor((cut - side) / 2));
    return { high, wide, top: start(high, size[0]), left: start(wide, size[1]) };
  }

  // Whatever an image's own shape; with "squash" there is more than is cut out.
  function squeezed(size, crop, resize) {
    const short = Math.min(...size);
    return crop === "squash" ? size.map((side) => Math.floor((side * (resize || short)) / short)) : size;
  }

  // Without a resize as small as the cut allows.
  function brought([high, wide], resize, height, width) {
    const least = (side, along, across) => Math.min(side, Math.ceil((side * along) / across));
    const short = resize || (wide * height > high * width ? least(wide, height, width) : least(high, width, height));
    const long = Math.trunc((short * Math.max(height, width)) / Math.min(height, width));
    return width <= height ? [long, short] : [short, long];
  }

  // A photo's rows come in as RGBA, from the top, or where `turned` is said its columns, from the left; the network's
  // input comes out as (H, W, C) bytes. Of a photo that loses more than twice as much of its height as of its width,
  // Pillow from 13 on makes the height smaller first, and rounds in between (Resample.c, ImagingResampleInner).
  function cutter(width, height, input, tallFirst) {
    const { high, wide, top, left } = framed(input, height, width);
    const columns = taps(width, wide, left, input.size[1], input.interpolation);
    const rows = taps(height, high, top, input.size[0], input.interpolation);
    const turned = tallFirst && height > high && height - high > 2 * (width - wide);
    const [first, then] = turned ? [rows, columns] : [columns, rows];
    const [across, down] = turned ? [height, width] : [width, height];
    const { channels } = input;
    const step = first.length * channels;
    const narrow = new Uint8Array(down * step);
    const squeeze = channels === 1 ? squeezeGrey : squeezeColours;
    let filled = 0;
    return {
      turned,
      add(rgba, count) {
        squeeze(rgba, count, across, first, narrow, filled);
        filled += count;
      },
      finish() {
        const cut = new Uint8Array(then.length * step);
        const [along, next] = turned ? [channels, channels * then.length] : [step, channels];
        then.forEach(({ first: start, weights }, y) => {
          for (let x = 0; x < step; x++) {
            let sum = HALF;
            for (let i = 0; i < weights.length; i++) sum += narrow[(start + i) * step + x] * weights[i];
            cut[y * along + Math.floor(x / channels) * next + (x % channels)] = byte(sum);
          }
        });
        return cut;
      },
    };
  }

  const HALF = 1 << 21; // sums are in 1 / 2^22, as the weights of `taps` are
  const byte = (sum) => Math.min(255, Math.max(0, sum >> 22));

  function squeezeColours(rgba, count, width, columns, narrow, filled) {
    for (let y = 0; y < count; y++)
      for (let x = 0, to = (filled + y) * columns.length * 3; x < columns.length; x++, to += 3) {
        const { first, weights } = columns[x];
        let r = HALF,
          g = HALF,
          b = HALF;
        for (let i = 0, at = 4 * (y * width + first); i < weights.length; i++, at += 4) {
          const weight = weights[i];
          r += rgba[at] * weight;
          g += rgba[at + 1] * weight;
          b += rgba[at + 2] * weight;
        }
        narrow[to] = byte(r);
        narrow[to + 1] = byte(g);
        narrow[to + 2] = byte(b);
      }
  }

  function squeezeGrey(rgba, count, width, columns, narrow, filled) {
    const line = new Uint8Array(width);
    for (let y = 0; y < count; y++) {
      for (let x = 0, at = 4 * y * width; x < width; x++, at += 4) line[x] = luma(rgba[at], rgba[at + 1], rgba[at + 2]);
      for (let x = 0, to = (filled + y) * columns.length; x < columns.length; x++, to++) {
        const { first, weights } = columns[x];
        let sum = HALF;
        for (let i = 0; i < weights.length; i++) sum += line[first + i] * weights[i];
        narrow[to] = byte(sum);
      }
    }
  }

  // ITU-R 601's grey of a colour, in the fixed point of Pillow's convert("L").
  const luma = (red, green, blue) => (19595 * red + 38470 * green + 7471 * blue + 0x8000) >> 16;

  // What Pillow's filters weigh a pixel with at a distance from the middle, and how far they reach.
  const FILTERS = {
    bilinear: [(x) => Math.max(0, 1 - Math.abs(x)), 1],
    bicubic: [(x) => cubic(Math.abs(x)), 2],
    lanczos: [(x) => (x >= -3 && x < 3 ? sinc(x) * sinc(x / 3) : 0), 3],
  };
  const cubic = (x) =>
    x < 1 ? ((-0.5 + 2) * x - (-0.5 + 3)) * x * x + 1 : x < 2 ? (((x - 5) * x + 8) * x - 4) * -0.5 : 0;
  const sinc = (x) => (x === 0 ? 1 : Math.sin(x * Math.PI) / (x * Math.PI));

  // Which pixels of `before` make the pixels start, start + 1, ... of `after`, and how much each weighs, in 1 / 2^22;
  // none make those beyond, which are black.
  function taps(before, after, start, count, interpolation) {
    const scale = before / after;
    const found = interpolation === "nearest" ? nearest(scale, after) : null;
    const [filter, reach] = FILTERS[interpolation] ?? [];
    const shrunk = Math.max(1, scale);
    const support = reach * shrunk;
    return Array.from({ length: count }, (_none, i) => {
      if (start + i < 0 || start + i >= after) return { first: 0, weights: new Int32Array(0) };
      if (found) return { first: found[start + i], weights: Int32Array.of(1 << 22) };
      const centre = (start + i + 0.5) * scale;
      const first = Math.max(0, Math.trunc(centre - support + 0.5));
      const end = Math.min(before, Math.trunc(centre + support + 0.5));
      const shares = [];
      for (let x = first; x < end; x++) shares.push(filter((x - centre + 0.5) * (1 / shrunk)));
      const sum = shares.reduce((a, b) => a + b);
      return { first, weights: Int32Array.from(shares, (share) => rounded((share / sum) * (1 << 22))) };
    });
  }

  // Away from zero where it is a half.
  const rounded = (value) => Math.trunc(value < 0 ? value - 0.5 : value + 0.5);

  // The nearest pixel to each of `after`, counted on from one to the next (Geometry.c, ImagingScaleAffine).
  function nearest(scale, after) {
    const found = new Int32Array(after);
    for (let i = 0, at = scale * 0.5; i < after; i++, at += scale) found[i] = at;
    return found;
  }

  // To the nearest whole number, halves to the even one, as Python rounds.
  function even(value) {
    const below = Math.floor(value);
    return value - below === 0.5 ? below + (below % 2) : Math.round(value);
  }

  // (H, W, C) bytes, red first -> (C, H, W) normalised, in float32 as torch computes it, in the network's order.
  function normalise({ mean, std, range, channels, size, order }, bytes) {
    const area = size[0] * size[1];
    const pixels = new Float32Array(channels * area);
    const by = Math.fround(255 / range);
    for (let c = 0; c < channels; c++) {
      const [zero, one] = [mean[c], std[c]].map((value) => Math.fround(Math.fround(value) * by));
      const from = order === "bgr" ? channels - 1 - c : c;
      for (let i = 0; i < area; i++) pixels[c * area + i] = Math.fround(bytes[channels * i + from] - zero) / one;
    }
    return pixels;
  }

  // A pixel of the network's input as a colour to be shown.
  const shown = (values) => (values.length === 1 ? [values[0], values[0], values[0]] : values);

  // A stroke of a brush: the pixels whose middles are within its radius of the line from one place to the other get its
  // colour, of grey images its grey; without one what was drawn there is erased.
  function stroke({ size: [high, wide], channels }, ink, from, to, radius, colour) {
    const [red, green, blue] = colour && channels === 1 ? shown([luma(...colour)]) : (colour ?? []);
    const value = colour ? (1 << 24) | (red << 16) | (green << 8) | blue : 0;
    const [dx, dy] = [to.x - from.x, to.y - from.y];
    const length = dx * dx + dy * dy || 1; // squared
    const ends = (a, b, end) => [
      Math.max(0, Math.floor(Math.min(a, b) - radius)),
      Math.min(end, Math.ceil(Math.max(a, b) + radius)),
    ];
    const [left, right] = ends(from.x, to.x, wide);
    const [top, bottom] = ends(from.y, to.y, high);
    for (let row = top; row < bottom; row++)
      for (let column = left; column < right; column++) {
        const [x, y] = [column + 0.5 - from.x, row + 0.5 - from.y];
        const share = Math.min(1, Math.max(0, (x * dx + y * dy) / length)); // where the stroke is nearest
        if (Math.hypot(x - share * dx, y - share * dy) <= radius) ink[row * wide + column] = value;
      }
  }

  // Enlarged with bilinear interpolation, as torch's interpolate(align_corners=False) does it.
  function enlarge(map, high, wide, tall, across) {
    const found = new Float32Array(tall * across);
    const at = (i, count, side) => Math.max(0, ((i + 0.5) * count) / side - 0.5);
    for (let y = 0; y < tall; y++) {
      const down = at(y, high, tall);
      const top = Math.min(Math.floor(down), high - 1);
      const bottom = Math.min(top + 1, high - 1);
      for (let x = 0; x < across; x++) {
        const over = at(x, wide, across);
        const left = Math.min(Math.floor(over), wide - 1);
        const right = Math.min(left + 1, wide - 1);
        const above = map[top * wide + left] * (1 - over + left) + map[top * wide + right] * (over - left);
        const below = map[bottom * wide + left] * (1 - over + left) + map[bottom * wide + right] * (over - left);
        found[y * across + x] = above * (1 - down + top) + below * (down - top);
      }
    }
    return found;
  }

  return { load, run, cams, contributions, unit, field, softmax, framed, cutter, normalise, shown, stroke, enlarge };
})();
