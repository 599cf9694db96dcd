/**
 * Finds a hand in a picture as sign_cnn/hands/finder.py does, with the same weights and to the same
 * points; through a video it follows the hand, and looks for palms only once it is lost. This is
 * the worker of finder.js: a message holds a picture, the answer its hand.
 */
import { loadAndCompile, loadLiteRt, Tensor } from "@litertjs/core";

const PALM_SIZE = 192; // pixels
const HAND_SIZE = 224; // pixels
const MIN_SCORE = 0.5; // probability of a palm, and of a hand
const OVERLAP = 0.3; // intersection over union of two boxes of one palm
const PALM = { scale: 2.6, shift: 0.5 }; // from the box of a palm to the square of its hand
const STEADY = [0, 1, 2, 3, 5, 6, 9, 10, 13, 14, 17, 18]; // landmarks: the wrist and lower joints
const NEXT = { scale: 2, shift: 0.1 }; // from their box to the square of the next frame
const DEPTH = 0.4; // by which MediaPipe divides z
const BORDER = 0.5; // of the picture on each side: a hand that fills it is found only so

/**
 * A square in a picture, in its pixels.
 * @typedef {object} Square
 * @property {number} x of the centre
 * @property {number} y of the centre
 * @property {number} side
 * @property {[number, number]} up the unit vector that points up in the cut
 */

/** Milliseconds that the stages of the last picture took; `pixels` reads and cuts it. */
self.stages = { pixels: 0, palms: 0, hands: 0 };

const canvas = new OffscreenCanvas(1, 1);
const pen = canvas.getContext("2d", { alpha: false, willReadFrequently: true });

/**
 * Returns the pixels of a picture, or of a smaller one, whose pixels are means of squares of it.
 * @param {ImageBitmap} picture
 * @param {number} shrink side of a square, pixels
 */
function readPixels(picture, shrink) {
  const { width, height } = picture;
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
  pen.drawImage(picture, 0, 0);
  const pixels = pen.getImageData(0, 0, width, height);
  if (shrink === 1) return pixels;
  const small = new ImageData(Math.ceil(width / shrink), Math.ceil(height / shrink));
  for (let i = 0; i < small.data.length; i++) {
    const [column, row] = [(i >> 2) % small.width, Math.floor((i >> 2) / small.width)];
    const [right, low] = [(column + 1) * shrink, (row + 1) * shrink];
    let [sum, count] = [0, 0];
    for (let y = row * shrink; y < low && y < height; y++)
      for (let x = column * shrink; x < right && x < width; x++, count++)
        sum += pixels.data[4 * (y * width + x) + (i & 3)];
    small.data[i] = sum / count;
  }
  return small;
}

const mix = (a, b, share) => a + share * (b - a);

/**
 * Writes a square of a picture, 0..1, into an array; black outside of the picture. The arithmetic
 * is that of Pillow, since browsers' canvases interpolate each in their own way.
 * @param {ImageBitmap} picture
 * @param {Square} square
 * @param {number} size of the cut, pixels
 * @param {Float32Array} inputs size × size × 3
 */
function cut(picture, { x, y, side, up }, size, inputs) {
  const shrink = Math.max(1, Math.floor(side / size / 2)); // else most pixels would be skipped
  const { data, width, height } = readPixels(picture, shrink);
  const [upX, upY] = up.map((part) => (part * side) / size / shrink); // one pixel of the cut
  const cornerX = x / shrink + ((upX + upY) * size) / 2;
  const cornerY = y / shrink + ((upY - upX) * size) / 2;
  inputs.fill(0);
  for (let i = 0; i < size * size; i++) {
    const [column, row] = [(i % size) + 0.5, Math.floor(i / size) + 0.5];
    const px = cornerX - column * upY - row * upX;
    const py = cornerY + column * upX - row * upY;
    if (px < 0 || py < 0 || px >= width || py >= height) continue;
    const [left, top] = [Math.floor(px - 0.5), Math.floor(py - 0.5)];
    const [near, far] = [4 * Math.max(left, 0), 4 * Math.min(left + 1, width - 1)];
    const upper = 4 * width * Math.max(top, 0);
    const lower = 4 * width * Math.min(top + 1, height - 1);
    for (let c = 0; c < 3; c++) {
      const above = mix(data[upper + near + c], data[upper + far + c], px - 0.5 - left);
      const below = mix(data[lower + near + c], data[lower + far + c], px - 0.5 - left);
      inputs[3 * i + c] = Math.floor(mix(above, below, py - 0.5 - top)) / 255;
    }
  }
}

/**
 * Loads a network.
 * @param {"palms" | "hands"} stage
 * @param {string} url of the weights
 * @param {number} size of its pictures, pixels
 * @param {"wasm" | "webgpu"} accelerator
 * @returns a function of a picture and a square of it to the outputs, in the order of the model
 */
async function loadNetwork(stage, url, size, accelerator) {
  const answer = await fetch(url);
  if (!answer.ok) throw new Error(`${url} is not there: make site puts it beside the page`);
  const weights = new Uint8Array(await answer.arrayBuffer());
  const model = await loadAndCompile(weights, { accelerator, gpuOptions: { precision: "fp32" } });
  const inputs = new Float32Array(size * size * 3);
  const infer = async () => {
    const tensor = new Tensor(inputs, [1, size, size, 3]);
    const outputs = await model.run(tensor);
    const numbers = await Promise.all(outputs.map((output) => output.data()));
    for (const used of [tensor, ...outputs]) used.delete();
    return numbers;
  };
  await infer(); // a graphics card compiles, or fails, now
  return async (picture, square) => {
    const start = performance.now();
    cut(picture, square, size, inputs);
    const middle = performance.now();
    const numbers = await infer();
    self.stages.pixels += middle - start;
    self.stages[stage] += performance.now() - middle;
    return numbers;
  };
}

const grid = (cells, repeats) =>
  Array.from({ length: cells * cells * repeats }, (_, i) => {
    const cell = Math.floor(i / repeats);
    return [((cell % cells) + 0.5) / cells, (Math.floor(cell / cells) + 0.5) / cells];
  });
const ANCHORS = [...grid(24, 2), ...grid(12, 6)]; // x and y, 0..1

/** Returns the square around a box (centre and size) in which (dx, dy) points up. */
function squareAround([x, y, width, height], [dx, dy], { scale, shift }) {
  const up = [dx, dy].map((part) => part / Math.max(Math.hypot(dx, dy), 1e-6));
  const way = shift * height;
  return { x: x + way * up[0], y: y + way * up[1], side: scale * Math.max(width, height), up };
}

/** Returns the intersection over union of two boxes. */
function overlap(box, other) {
  const [width, height] = [0, 1].map((axis) => {
    const [from, to] = [-0.5, 0.5].map((end) =>
      [box, other].map((one) => one[axis] + end * one[axis + 2]),
    );
    return Math.max(0, Math.min(...to) - Math.max(...from));
  });
  return (width * height) / (box[2] * box[3] + other[2] * other[3] - width * height);
}

/**
 * Returns the square of the hand with the likeliest palm: the mean of the boxes that overlap with
 * the likeliest one, weighted by their scores.
 * @param {Float32Array[]} outputs 18 numbers an anchor (centre, size, seven points), and its logit
 * @param {Square} square upright, in which they are
 * @returns {Square | null}
 */
function handOfPalm([boxes, logits], { x, y, side }) {
  const palms = [];
  for (const [anchor, logit] of logits.entries()) {
    const score = 1 / (1 + Math.exp(-logit));
    if (score < MIN_SCORE) continue;
    const [left, top] = [x, y].map((centre, i) => centre + (ANCHORS[anchor][i] - 0.5) * side);
    const origin = (i) => (i === 2 || i === 3 ? 0 : [left, top][i % 2]);
    const numbers = Array.from(boxes.subarray(18 * anchor, 18 * anchor + 18));
    palms.push({ score, box: numbers.map((n, i) => (n / PALM_SIZE) * side + origin(i)) });
  }
  const [best] = palms.sort((a, b) => b.score - a.score);
  if (!best) return null;
  const same = palms.filter(({ box }) => overlap(box, best.box) > OVERLAP);
  const sum = (term) => same.reduce((total, palm) => total + term(palm), 0);
  const mean = best.box.map((_, i) => sum((p) => p.score * p.box[i]) / sum((p) => p.score));
  const [wristX, wristY, , , middleX, middleY] = mean.slice(4);
  return squareAround(mean, [middleX - wristX, middleY - wristY], PALM);
}

/**
 * Returns the square in which the hand of the next frame is read.
 * @param {Float32Array} landmarks 21 × (x, y, z), pixels
 * @returns {Square}
 */
function nextSquare(landmarks) {
  const [dx, dy] = [0, 1].map((axis) => {
    const [wrist, index, middle, ring] = [0, 5, 9, 13].map((point) => landmarks[3 * point + axis]);
    return (index + ring) / 4 + middle / 2 - wrist;
  });
  const [ux, uy] = squareAround([0, 0, 0, 0], [dx, dy], NEXT).up;
  const extent = (ax, ay) => {
    const places = STEADY.map((point) => landmarks[3 * point] * ax + landmarks[3 * point + 1] * ay);
    const [low, high] = [Math.min(...places), Math.max(...places)];
    return [(low + high) / 2, high - low];
  };
  const [across, width] = extent(-uy, ux);
  const [along, height] = extent(ux, uy);
  const centre = [along * ux - across * uy, along * uy + across * ux];
  return squareAround([...centre, width, height], [ux, uy], NEXT);
}

let readPalms, readHand; // the networks
let next = null; // the square of the hand, as the frame before says
let border = null; // around the picture in which palms were last looked for

/** Returns the hand in a square of a picture, or null. */
async function readSquare(picture, square) {
  const [points, [score], [left]] = await readHand(picture, square);
  if (score < MIN_SCORE) return null;
  const [ux, uy] = square.up;
  const step = square.side / HAND_SIZE;
  const landmarks = new Float32Array(63);
  for (let i = 0; i < 63; i += 3) {
    const [across, along] = [points[i] - HAND_SIZE / 2, HAND_SIZE / 2 - points[i + 1]];
    landmarks[i] = square.x + step * (along * ux - across * uy);
    landmarks[i + 1] = square.y + step * (along * uy + across * ux);
    landmarks[i + 2] = (points[i + 2] * step) / DEPTH;
  }
  return { landmarks, hand: left > 0.5 ? "left" : "right", score };
}

const commands = {
  async load({ baseUrl, accelerator }) {
    self.Module = { printErr: console.debug }; // LiteRT tells there what it does
    await loadLiteRt(baseUrl);
    const [palms, hand] = [`${baseUrl}palm_detection_full`, `${baseUrl}hand_landmark_full`];
    readPalms = await loadNetwork("palms", `${palms}.tflite`, PALM_SIZE, accelerator);
    readHand = await loadNetwork("hands", `${hand}.tflite`, HAND_SIZE, accelerator);
  },

  async find({ picture }) {
    self.stages = { pixels: 0, palms: 0, hands: 0 };
    let hand = next && (await readSquare(picture, next));
    // The first picture is looked at without a border and with one, a later one in turn.
    for (const width of border === null ? [0, BORDER] : [BORDER - border]) {
      if (hand) break;
      border = width;
      const side = Math.max(picture.width, picture.height) * (1 + 2 * border);
      const whole = { x: picture.width / 2, y: picture.height / 2, side, up: [0, -1] };
      const square = handOfPalm(await readPalms(picture, whole), whole);
      hand = square && (await readSquare(picture, square));
    }
    next = hand && nextSquare(hand.landmarks);
    picture.close();
    return hand;
  },

  reset() {
    next = border = null;
  },
};

let last = Promise.resolve(); // a frame waits for the one before
self.onmessage = ({ data }) => {
  last = last
    .then(() => commands[data.command](data))
    .then((result) => self.postMessage({ id: data.id, result }))
    .catch((error) => self.postMessage({ id: data.id, error: error.message ?? String(error) }));
};
