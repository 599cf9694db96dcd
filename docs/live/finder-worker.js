/**
 * Finds a hand in a picture, as sign_cnn/hands/finder.py does, with the same weights; in a video it
 * follows the hand, so that palms are looked for only once it is lost. It runs as a worker of
 * finder.js: a message holds a picture, the answer the hand.
 */
import { loadAndCompile, loadLiteRt, Tensor } from "@litertjs/core";

const PALM_SIZE = 192; // pixels
const HAND_SIZE = 224;
const MIN_PALM = 0.5; // probabilities
const MIN_HAND = 0.5;
const OVERLAP = 0.3; // intersection over union of two boxes of one palm
const [SCALE, SHIFT] = [2.6, 0.5]; // side of a hand's square, and its way to the fingers, in palms
const [NEXT_SCALE, NEXT_SHIFT] = [2, 0.1]; // the same, in the box around the steady landmarks
const STEADY = [0, 1, 2, 3, 5, 6, 9, 10, 13, 14, 17, 18]; // wrist and lower joints (MediaPipe)
const DEPTH = 0.4; // by which MediaPipe divides z
const BORDER = 0.5; // of the picture on each side, for a second look where no palm is found

/**
 * A square in a picture, in its pixels.
 * @typedef {{x: number, y: number, side: number, up: number[]}} Square centre, side, and the unit
 *   vector that points up in the cut
 */

/** Centres of the palm detector's anchors, x and y in turn, 0..1. */
const ANCHORS = Float32Array.from(
  [
    [24, 2],
    [12, 6],
  ].flatMap(([cells, repeats]) =>
    Array.from({ length: cells * cells * repeats }, (_, i) => {
      const cell = Math.floor(i / repeats);
      return [((cell % cells) + 0.5) / cells, (Math.floor(cell / cells) + 0.5) / cells];
    }).flat(),
  ),
);

const mix = (/** @type {number} */ a, /** @type {number} */ b, /** @type {number} */ share) =>
  a + share * (b - a);
const sigmoid = (/** @type {number} */ logit) => 1 / (1 + Math.exp(-logit));

/** Milliseconds that the stages of the last picture took; `pixels` reads and cuts it. */
self.stages = { pixels: 0, palms: 0, hands: 0 };

const reader = new OffscreenCanvas(1, 1).getContext("2d", {
  alpha: false,
  willReadFrequently: true,
});

/** Returns the pixels of a picture, made smaller by a whole number. */
function readPixels(/** @type {ImageBitmap} */ picture, /** @type {number} */ shrink) {
  const { canvas } = reader;
  const [width, height] = [picture.width, picture.height].map((side) => Math.ceil(side / shrink));
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
  reader.imageSmoothingQuality = "medium"; // means of pixels
  reader.drawImage(picture, 0, 0, picture.width / shrink, picture.height / shrink);
  return reader.getImageData(0, 0, width, height);
}

/** A network of pictures of one size. */
class Network {
  /** @param {"palms" | "hands"} stage @param {string} url @param {number} size pixels @param {"wasm" | "webgpu"} accelerator */
  static async load(stage, url, size, accelerator) {
    const answer = await fetch(url);
    if (!answer.ok) throw new Error(`${url} is missing: make live puts it beside the page`);
    const weights = new Uint8Array(await answer.arrayBuffer());
    const model = await loadAndCompile(weights, { accelerator, gpuOptions: { precision: "fp32" } });
    return Object.assign(new Network(), {
      stage,
      model,
      size,
      inputs: new Float32Array(3 * size ** 2),
    });
  }

  /**
   * Returns the outputs for a square of a picture, black outside of it.
   * @param {ImageBitmap} picture
   * @param {Square} square
   * @returns {Promise<Float32Array[]>} in the order of the model
   */
  async run(picture, square) {
    const start = performance.now();
    this.cut(picture, square);
    const cut = performance.now();
    const { size, inputs } = this;
    const tensor = new Tensor(inputs, [1, size, size, 3]);
    const outputs = await this.model.run(tensor);
    const numbers = await Promise.all(outputs.map((output) => output.data()));
    for (const used of [tensor, ...outputs]) used.delete();
    self.stages.pixels += cut - start;
    self.stages[this.stage] += performance.now() - cut;
    return numbers;
  }

  /**
   * Writes a square of a picture into the inputs, 0..1, as Pillow's bilinear transform does: a
   * canvas would interpolate otherwise in each browser, and points would move.
   */
  cut(picture, { x, y, side, up: [ux, uy] }) {
    const { size, inputs } = this;
    const shrink = Math.max(1, Math.floor(side / size / 2)); // four pixels would skip most others
    const { data, width, height } = readPixels(picture, shrink);
    const step = side / size / shrink;
    const [stepX, stepY] = [ux * step, uy * step]; // a pixel of the cut upwards; (-y, x): rightwards
    const cornerX = x / shrink + ((stepX + stepY) * size) / 2;
    const cornerY = y / shrink + ((stepY - stepX) * size) / 2;
    inputs.fill(0);
    for (let row = 0, to = 0; row < size; row++) {
      for (let column = 0; column < size; column++, to += 3) {
        const px = cornerX - (column + 0.5) * stepY - (row + 0.5) * stepX;
        const py = cornerY + (column + 0.5) * stepX - (row + 0.5) * stepY;
        if (px < 0 || py < 0 || px >= width || py >= height) continue;
        const [left, top] = [Math.floor(px - 0.5), Math.floor(py - 0.5)];
        const [dx, dy] = [px - 0.5 - left, py - 0.5 - top];
        const near = 4 * Math.max(left, 0);
        const far = 4 * Math.min(left + 1, width - 1);
        const upper = 4 * width * Math.max(top, 0);
        const lower = 4 * width * Math.min(top + 1, height - 1);
        for (let c = 0; c < 3; c++) {
          const above = mix(data[upper + near + c], data[upper + far + c], dx);
          const below = mix(data[lower + near + c], data[lower + far + c], dx);
          inputs[to + c] = Math.floor(mix(above, below, dy)) / 255;
        }
      }
    }
  }
}

/**
 * Returns the square of the hand whose palm is the likeliest in a square of the picture.
 * @param {Float32Array} boxes 18 numbers an anchor: centre, size and seven points, in pixels
 * @param {Float32Array} logits one an anchor
 * @param {Square} square upright
 * @returns {Square | null}
 */
function likeliestHand(boxes, logits, square) {
  const best = logits.reduce((top, logit, i) => (logit > logits[top] ? i : top), 0);
  if (sigmoid(logits[best]) < MIN_PALM) return null;
  const palm = (/** @type {number} */ anchor) => {
    const numbers = boxes.subarray(18 * anchor, 18 * anchor + 18);
    return Array.from(numbers, (number, i) => {
      const origin = i === 2 || i === 3 ? 0 : ANCHORS[2 * anchor + (i % 2)]; // 2, 3: the size
      return number / PALM_SIZE + origin;
    });
  };
  const first = palm(best);
  const mean = new Array(18).fill(0); // of the palms that overlap with it, weighted
  let sum = 0;
  for (let anchor = 0; anchor < logits.length; anchor++) {
    const score = sigmoid(logits[anchor]);
    if (score < MIN_PALM) continue;
    const other = palm(anchor);
    if (overlap(first, other) <= OVERLAP) continue;
    sum += score;
    for (let i = 0; i < 18; i++) mean[i] += score * other[i];
  }
  const [cx, cy, width, height, wristX, wristY, , , middleX, middleY] = mean.map((n) => n / sum);
  const up = direction(middleX - wristX, middleY - wristY);
  const way = SHIFT * height;
  const [x, y] = [cx + way * up[0], cy + way * up[1]];
  const corner = [square.x - square.side / 2, square.y - square.side / 2];
  return {
    x: corner[0] + x * square.side,
    y: corner[1] + y * square.side,
    side: SCALE * Math.max(width, height) * square.side,
    up,
  };
}

/** Returns the intersection over union of two boxes, each centre and size. */
function overlap([x, y, width, height], [x2, y2, width2, height2]) {
  const common = (a, length, a2, length2) =>
    Math.max(
      0,
      Math.min(a + length / 2, a2 + length2 / 2) - Math.max(a - length / 2, a2 - length2 / 2),
    );
  const both = common(x, width, x2, width2) * common(y, height, y2, height2);
  return both / (width * height + width2 * height2 - both);
}

/** Returns the unit vector along (x, y). */
function direction(x, y) {
  const length = Math.max(Math.hypot(x, y), 1e-6);
  return [x / length, y / length];
}

/**
 * Returns the square in which the hand of a frame is looked for in the next one.
 * @param {Float32Array} landmarks 21 × (x, y, z), pixels
 * @returns {Square}
 */
function nextSquare(landmarks) {
  const at = (point, axis) => landmarks[3 * point + axis];
  const knuckles = [0, 1].map((axis) => (at(5, axis) + at(13, axis) + 2 * at(9, axis)) / 4);
  const up = direction(knuckles[0] - at(0, 0), knuckles[1] - at(0, 1));
  const along = STEADY.map((point) => at(point, 0) * up[0] + at(point, 1) * up[1]);
  const across = STEADY.map((point) => at(point, 1) * up[0] - at(point, 0) * up[1]);
  const [low, high, left, right] = [along, across].flatMap((all) => [
    Math.min(...all),
    Math.max(...all),
  ]);
  const [way, aside] = [(low + high) / 2 + NEXT_SHIFT * (high - low), (left + right) / 2];
  return {
    x: way * up[0] - aside * up[1],
    y: way * up[1] + aside * up[0],
    side: NEXT_SCALE * Math.max(high - low, right - left),
    up,
  };
}

/** Finds the hand of a picture, and follows it through the frames of a video. */
class Tracker {
  /** @param {Network} palms @param {Network} hands */
  constructor(palms, hands) {
    [this.palms, this.hands] = [palms, hands];
    this.reset();
  }

  /** Forgets the frame before: the next picture has nothing to do with it. */
  reset() {
    this.square = null; // of the hand, as the frame before says
    this.border = null; // around the picture where the last palm was looked for
  }

  /** @param {ImageBitmap} picture @returns {Promise<import("./finder.js").Hand | null>} */
  async find(picture) {
    let hand = this.square && (await this.read(picture, this.square));
    // A single picture gets both looks, without a border and with one; a frame one of them in turn.
    const borders = this.border === null ? [0, BORDER] : [BORDER - this.border];
    for (let i = 0; !hand && i < borders.length; i++) {
      this.border = borders[i];
      hand = await this.look(picture, this.border);
    }
    this.square = hand && nextSquare(hand.landmarks);
    return hand;
  }

  /** Looks for a hand in the whole picture, with a border around it. */
  async look(picture, border) {
    const [x, y] = [picture.width / 2, picture.height / 2];
    const side = Math.max(picture.width, picture.height) * (1 + 2 * border);
    const whole = { x, y, side, up: [0, -1] };
    const [boxes, logits] = await this.palms.run(picture, whole);
    const square = likeliestHand(boxes, logits, whole);
    return square && this.read(picture, square);
  }

  /** Reads the landmarks in a square. */
  async read(picture, square) {
    const [points, [score], [left]] = await this.hands.run(picture, square);
    if (score < MIN_HAND) return null;
    const {
      x,
      y,
      side,
      up: [ux, uy],
    } = square;
    const step = side / HAND_SIZE;
    const landmarks = new Float32Array(63);
    for (let i = 0; i < 63; i += 3) {
      const [across, along] = [points[i] - HAND_SIZE / 2, HAND_SIZE / 2 - points[i + 1]];
      landmarks[i] = x + step * (along * ux - across * uy);
      landmarks[i + 1] = y + step * (along * uy + across * ux);
      landmarks[i + 2] = (points[i + 2] * step) / DEPTH;
    }
    return { landmarks, hand: left > 0.5 ? "left" : "right", score };
  }
}

/** @type {Tracker} */
let tracker;

const commands = {
  async load({ baseUrl, accelerator }) {
    await loadLiteRt(baseUrl);
    const load = (stage, name, size) =>
      Network.load(stage, `${baseUrl}${name}.tflite`, size, accelerator);
    const palms = await load("palms", "palm_detection_full", PALM_SIZE);
    tracker = new Tracker(palms, await load("hands", "hand_landmark_full", HAND_SIZE));
  },
  async find({ picture }) {
    self.stages = { pixels: 0, palms: 0, hands: 0 };
    const hand = await tracker.find(picture);
    picture.close();
    return hand;
  },
  reset: () => tracker.reset(),
};

let last = Promise.resolve(); // one after the other: a frame needs the one before
self.onmessage = ({ data }) => {
  last = last
    .then(() => commands[data.command](data))
    .then((result) => self.postMessage({ id: data.id, result }))
    .catch((error) => self.postMessage({ id: data.id, error: error.message ?? String(error) }));
};
