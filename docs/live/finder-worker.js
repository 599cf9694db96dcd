/**
 * Finds a hand in a picture as sign_cnn/hands/finder.py does, with the same weights and to the same
 * points; through a video it follows the hand, and looks for palms only once it is lost. This is
 * the worker of finder.js: a message holds a picture, the answer its hand.
 */
import { getWebGpuDevice, loadAndCompile, loadLiteRt, Tensor } from "@litertjs/core";
import { extent, toPoints } from "./geometry.js";

const [PALM_SIZE, HAND_SIZE] = [192, 224]; // pixels
const MIN_SCORE = 0.5; // probability of a palm, and of a hand
const NEAR = 0.5; // of its size: how far apart the centres of two boxes of one palm may lie
const PALM = { scale: 2.6, shift: 0.5 }; // from the box of a palm to the square of its hand
const STEADY = [0, 1, 2, 3, 5, 6, 9, 10, 13, 14, 17, 18]; // landmarks: the wrist and lower joints
const NEXT = { scale: 2, shift: 0.1 }; // from their box to the square of the next frame
const DEPTH = 0.4; // by which MediaPipe divides z
const BORDER = 0.5; // of the picture on each side: a hand that fills it is found only so

/**
 * A square of a picture, as the matrix from the pixels of its cut to those of the picture.
 * @typedef {DOMMatrix} Square
 */

const canvas = new OffscreenCanvas(1, 1);
const pen = canvas.getContext("2d", { alpha: false, willReadFrequently: true });

/**
 * Cuts a square out of a picture; black outside of the picture.
 * @param {ImageBitmap} picture
 * @param {Square} square
 * @param {number} size of the cut, pixels
 * @returns {Promise<Float32Array>} size × size × 3, 0..1
 */
async function cut(picture, square, size) {
  const shrink = Math.max(1, Math.floor(Math.hypot(square.a, square.b) / 2)); // skips no pixels
  const resizeWidth = Math.ceil(picture.width / shrink);
  const options = { resizeWidth, resizeQuality: "high" };
  const small = shrink > 1 ? await createImageBitmap(picture, options) : picture;
  canvas.width = canvas.height = size; // clears it
  pen.imageSmoothingQuality = "low"; // bilinear
  pen.setTransform(square.inverse());
  pen.drawImage(small, 0, 0, picture.width, picture.height);
  const { data } = pen.getImageData(0, 0, size, size); // of four numbers a pixel
  return new Float32Array(size * size * 3).map((_, i) => data[i + Math.floor(i / 3)] / 255);
}

/** Returns the square whose centre is the origin of some axes. */
function makeSquare(axes, side, size) {
  const scale = side / size;
  return axes.scale(scale, scale, scale).translate(-size / 2, -size / 2);
}

/** Returns the square of a hand, around a box whose centre is the origin of some axes. */
const handAround = (axes, width, height, { scale, shift }) =>
  makeSquare(axes.translate(0, -shift * height), scale * Math.max(width, height), HAND_SIZE);

/** Returns a rotation after which the vector (dx, dy) points up. */
const turnTo = (dx, dy) => new DOMMatrix().rotateFromVector(-dy, dx);

/**
 * Loads a network.
 * @param {string} name of its file, beside the page
 * @param {number} size of its pictures, pixels
 * @param {"wasm" | "webgpu"} accelerator
 * @returns a function of a picture and a square of it to the outputs, in the order of the model
 */
async function loadNetwork(name, size, accelerator) {
  const options = { accelerator, gpuOptions: { precision: "fp32" } };
  const model = await loadAndCompile(name, options);
  const infer = async (inputs) => {
    const tensor = new Tensor(inputs, [1, size, size, 3]);
    const outputs = await model.run(tensor);
    const numbers = await Promise.all(outputs.map((output) => output.data()));
    for (const used of [tensor, ...outputs]) used.delete();
    return numbers;
  };
  await infer(new Float32Array(size * size * 3)); // a graphics card compiles, or fails, now
  return async (picture, square) => infer(await cut(picture, square, size));
}

const grid = (cells, repeats) =>
  Array.from({ length: cells * cells * repeats }, (_, i) => {
    const cell = Math.floor(i / repeats);
    return [cell % cells, Math.floor(cell / cells)].map((x) => ((x + 0.5) / cells) * PALM_SIZE);
  });
const ANCHORS = [...grid(24, 2), ...grid(12, 6)]; // x and y, pixels

/**
 * Returns the square of the hand with the likeliest palm: the mean of the boxes around
 * the likeliest one, weighted by their scores.
 * @param {Float32Array[]} outputs 18 numbers an anchor (centre, size, seven points), and its logit
 * @param {Square} whole in which they are
 * @returns {Square | null}
 */
function handOfPalm([boxes, logits], whole) {
  const palms = ANCHORS.flatMap((anchor, i) => {
    const score = 1 / (1 + Math.exp(-logits[i]));
    if (score < MIN_SCORE) return [];
    const numbers = Array.from(boxes.subarray(18 * i, 18 * i + 18));
    const origin = (place) => (place === 2 || place === 3 ? 0 : anchor[place % 2]);
    return { score, box: numbers.map((number, place) => number + origin(place)) };
  });
  const [best] = palms.sort((a, b) => b.score - a.score);
  if (!best) return null;
  const [x, y, size] = best.box;
  const same = palms.filter(({ box }) => Math.hypot(box[0] - x, box[1] - y) < NEAR * size);
  const sum = (term) => same.reduce((total, palm) => total + term(palm), 0);
  const mean = best.box.map((_, i) => sum((p) => p.score * p.box[i]) / sum((p) => p.score));
  const point = (i) => whole.transformPoint({ x: mean[i], y: mean[i + 1] });
  const [centre, wrist, middle] = [point(0), point(4), point(8)];
  const turn = turnTo(middle.x - wrist.x, middle.y - wrist.y);
  const axes = new DOMMatrix().translate(centre.x, centre.y).multiply(turn);
  return handAround(axes, mean[2] * whole.a, mean[3] * whole.a, PALM);
}

/**
 * Returns the square in which the hand of the next frame is read.
 * @param {DOMPoint[]} points landmarks
 * @returns {Square}
 */
function nextSquare(points) {
  const [wrist, index, middle, ring] = [0, 5, 9, 13].map((i) => points[i]);
  const up = (axis) => (index[axis] + ring[axis]) / 4 + middle[axis] / 2 - wrist[axis];
  const turn = turnTo(up("x"), up("y"));
  const steady = STEADY.map((i) => turn.inverse().transformPoint(points[i]));
  const [x, y] = ["x", "y"].map((axis) => extent(steady.map((point) => point[axis])));
  return handAround(turn.translate(x.middle, y.middle), x.length, y.length, NEXT);
}

let readPalms, readHand; // the networks
let next = null; // the square of the hand, as the frame before says
let border = BORDER; // around the picture in which palms were last looked for

/** Returns the hand in a square of a picture, or null, and keeps where it will be next. */
async function readSquare(picture, square) {
  const [numbers, [score], [left]] = await readHand(picture, square);
  next = null;
  if (score < MIN_SCORE) return null;
  const toPicture = ([x, y, z]) => square.transformPoint({ x, y, z: z / DEPTH });
  const points = toPoints(numbers).map(toPicture);
  next = nextSquare(points);
  const landmarks = Float32Array.from(points.flatMap(({ x, y, z }) => [x, y, z]));
  return { landmarks, hand: left > 0.5 ? "left" : "right" };
}

/** Loads LiteRT and both networks, onto the graphics card where there is one that works. */
async function load() {
  self.Module = { printErr: console.debug }; // LiteRT tells there what it does
  await loadLiteRt("./");
  const loadBoth = async (accelerator) => {
    readPalms = await loadNetwork("palm_detection_full.tflite", PALM_SIZE, accelerator);
    readHand = await loadNetwork("hand_landmark_full.tflite", HAND_SIZE, accelerator);
  };
  const card = getWebGpuDevice();
  if (!card || card.adapterInfo?.isFallbackAdapter) return loadBoth("wasm");
  await loadBoth("webgpu").catch(() => loadBoth("wasm"));
}

async function find({ picture, isVideo }) {
  let hand = isVideo && next && (await readSquare(picture, next));
  for (const width of isVideo ? [BORDER - border] : [0, BORDER]) {
    if (hand) break;
    border = width;
    const centre = new DOMMatrix().translate(picture.width / 2, picture.height / 2);
    const side = Math.max(picture.width, picture.height) * (1 + 2 * border);
    const whole = makeSquare(centre, side, PALM_SIZE);
    const square = handOfPalm(await readPalms(picture, whole), whole);
    hand = square && (await readSquare(picture, square));
  }
  picture.close();
  return hand;
}

self.onmessage = ({ data, ports: [port] }) =>
  (data.picture ? find(data) : load())
    .then((result) => port.postMessage({ result }))
    .catch((error) => port.postMessage({ error }));
