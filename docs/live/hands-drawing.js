/** @import { Landmarks } from "./geometry.js" */
import { distance, extent, mean, toPoints } from "./geometry.js";

const PALM = [17, 0, 1, 5, 9, 13, 17];
const BONES = Array.from({ length: 20 }, (_, joint) => [joint, joint + 1]);
const PARTS = [PALM, ...BONES.filter(([joint]) => joint % 4)];

function stroke(pen, points, colour, width) {
  const path = new Path2D();
  for (const [x, y] of points) path.lineTo(x, y);
  [pen.lineCap, pen.lineJoin, pen.lineWidth] = ["round", "round", width];
  pen.strokeStyle = pen.fillStyle = getComputedStyle(pen.canvas).getPropertyValue(colour);
  pen.stroke(path);
  return path;
}

/**
 * Draws a hand, the far parts first, in the colours --hand, --thumb, --edge, and --warn.
 * @param {CanvasRenderingContext2D} pen
 * @param {Landmarks} landmarks in pixels of the canvas
 * @param {{thickness?: number, wrong?: number[]}} options thickness: 1 for a solid hand, less for
 *   its bones; wrong: fingers, 0 (thumb) to 4
 */
export function drawHand(pen, landmarks, { thickness = 1, wrong = [] } = {}) {
  const at = toPoints(landmarks);
  const palm = distance(at[9], at[0]);
  const depth = (joints) => mean(joints.map((joint) => at[joint][2]));
  for (const joints of PARTS.toSorted((one, other) => depth(other) - depth(one))) {
    const finger = joints === PALM ? null : joints[0] >> 2;
    const colour = wrong.includes(finger) ? "--warn" : finger === 0 ? "--thumb" : "--hand";
    const width = (0.32 - 0.025 * (joints[0] % 4)) * thickness * palm;
    const points = joints.map((joint) => at[joint]);
    stroke(pen, points, "--edge", width + 0.07 * palm);
    const path = stroke(pen, points, colour, width);
    if (thickness === 1) pen.fill(path);
  }
}

/**
 * Draws a hand that fills a square canvas.
 * @param {HTMLCanvasElement} canvas
 * @param {number[][]} frames landmarks in hundredths of a palm; several of a letter that is drawn
 * @param {number} [tip] landmark that draws the letter
 */
export function showHand(canvas, frames, tip) {
  const pen = canvas.getContext("2d");
  const hands = frames.map(toPoints);
  const [x, y] = [0, 1].map((axis) => extent(hands.flat().map((point) => point[axis])));
  const zoom = canvas.width / (Math.max(x.length, y.length) + 44);
  const trace = hands.map((points) => points[tip]);
  const still = !tip || matchMedia("(prefers-reduced-motion: reduce)").matches;
  const view = new DOMMatrix().translate(canvas.width / 2, canvas.width / 2).scale(zoom);
  view.translateSelf(-x.middle, -y.middle);
  const draw = () => {
    if (canvas.draw !== draw) return; // another hand is shown
    const moment = still ? 0 : Math.floor(performance.now() / 60) % (frames.length + 8);
    pen.reset();
    pen.setTransform(view);
    drawHand(pen, frames[Math.min(moment, frames.length - 1)]);
    if (tip) stroke(pen, trace, "--accent", 9);
    if (!still) requestAnimationFrame(draw);
  };
  canvas.draw = draw;
  draw();
}
