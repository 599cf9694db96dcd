/** @import { Landmarks } from "./geometry.js" */
import { distance, extent, mean, toPoints } from "./geometry.js";

const PALM = [0, 1, 5, 9, 13, 17, 0];
/** The palm, and three bones of each finger; widths are in palms. */
const PARTS = [{ joints: PALM, finger: 5, width: 0.3 }];
for (const finger of [0, 1, 2, 3, 4])
  for (const bone of [1, 2, 3])
    PARTS.push({
      joints: [4 * finger + bone, 4 * finger + bone + 1],
      finger,
      width: (finger === 4 ? 0.285 : 0.325) - 0.025 * bone,
    });

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
  const depth = ({ joints }) => mean(joints.map((joint) => at[joint][2]));
  for (const part of PARTS.toSorted((one, other) => depth(other) - depth(one))) {
    const points = part.joints.map((joint) => at[joint]);
    const width = part.width * thickness * palm;
    const colour = part.finger ? "--hand" : "--thumb";
    stroke(pen, points, "--edge", width + 0.07 * palm);
    const path = stroke(pen, points, wrong.includes(part.finger) ? "--warn" : colour, width);
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
    if (canvas.frames !== frames) return;
    const moment = still ? 0 : Math.floor(performance.now() / 60) % (frames.length + 8);
    pen.reset();
    pen.setTransform(view);
    drawHand(pen, frames[Math.min(moment, frames.length - 1)]);
    if (tip) stroke(pen, trace, "--accent", 9);
    if (!still) requestAnimationFrame(draw);
  };
  canvas.frames = frames;
  draw();
}
