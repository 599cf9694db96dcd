/** @import { Landmarks } from "./letters.js" */

const FINGERS = [1, 5, 9, 13, 17].map((root) => [root, root + 1, root + 2, root + 3]);
const PALM = [0, 1, 5, 9, 13, 17, 0];

const toPoints = (landmarks) =>
  Array.from({ length: 21 }, (_, i) => landmarks.slice(3 * i, 3 * i + 3));

function stroke(pen, points, colour, width) {
  const path = new Path2D();
  for (const [x, y] of points) path.lineTo(x, y);
  [pen.lineCap, pen.lineJoin, pen.lineWidth] = ["round", "round", width];
  pen.strokeStyle = pen.fillStyle = getComputedStyle(pen.canvas).getPropertyValue(colour);
  pen.stroke(path);
  if (points.length === PALM.length) pen.fill(path);
}

/**
 * Draws a solid hand, the far parts first, in the colours --hand, --thumb and --edge.
 * @param {CanvasRenderingContext2D} pen
 * @param {Landmarks | number[]} landmarks in pixels of the canvas
 */
export function drawHand(pen, landmarks) {
  const at = toPoints(landmarks);
  const palm = Math.hypot(...at[9].map((x, axis) => x - at[0][axis]));
  const parts = FINGERS.flatMap((finger, number) =>
    [0, 1, 2].map((i) => ({
      points: [at[finger[i]], at[finger[i + 1]]],
      width: (number === 4 ? 0.26 : 0.3) - 0.025 * i,
      colour: number ? "--hand" : "--thumb",
    })),
  );
  parts.push({ points: PALM.map((i) => at[i]), width: 0.3, colour: "--hand" });
  const depth = ({ points }) => points.reduce((sum, [, , z]) => sum + z, 0) / points.length;
  for (const { points, width, colour } of parts.sort((one, other) => depth(other) - depth(one))) {
    stroke(pen, points, "--edge", (width + 0.07) * palm);
    stroke(pen, points, colour, width * palm);
  }
}

/**
 * Draws lines along the bones, those of some fingers in the colour of a warning.
 * @param {CanvasRenderingContext2D} pen
 * @param {Landmarks} landmarks in pixels of the canvas
 * @param {number[]} wrong fingers, 0 (thumb) to 4
 */
export function drawBones(pen, landmarks, wrong) {
  const at = toPoints(landmarks);
  for (const [number, finger] of [...FINGERS, [0, 1], [0, 5, 9, 13, 17, 0]].entries()) {
    const points = finger.map((i) => at[i]);
    stroke(pen, points, "--edge", 9);
    stroke(pen, points, wrong.includes(number) ? "--warn" : "--hand", 5);
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
  const [x, y] = [0, 1].map((axis) => {
    const all = frames.flatMap((frame) => frame.filter((_, i) => i % 3 === axis));
    const [low, high] = [Math.min(...all) - 22, Math.max(...all) + 22];
    return { middle: (low + high) / 2, length: high - low };
  });
  const zoom = canvas.width / Math.max(x.length, y.length);
  const origin = [canvas.width / 2 - zoom * x.middle, canvas.width / 2 - zoom * y.middle, 0];
  const placed = frames.map((frame) => frame.map((number, i) => zoom * number + origin[i % 3]));
  const trace = placed.map((frame) => frame.slice(3 * tip));
  const still = !tip || matchMedia("(prefers-reduced-motion: reduce)").matches;
  const draw = () => {
    if (canvas.frames !== frames) return;
    const moment = still ? 0 : Math.floor(performance.now() / 60) % (frames.length + 8);
    pen.clearRect(0, 0, canvas.width, canvas.width);
    drawHand(pen, placed[Math.min(moment, frames.length - 1)]);
    if (tip) stroke(pen, trace, "--accent", 9 * zoom);
    if (!still) requestAnimationFrame(draw);
  };
  canvas.frames = frames;
  draw();
}
