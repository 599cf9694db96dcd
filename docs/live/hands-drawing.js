/** @import { Landmarks } from "./letters.js" */

const FINGERS = [1, 5, 9, 13, 17].map((root) => [root, root + 1, root + 2, root + 3]);
const PALM = [0, 1, 5, 9, 13, 17];

/** Returns landmarks as 21 points. */
const points = (landmarks) =>
  Array.from({ length: 21 }, (_, i) => landmarks.slice(3 * i, 3 * i + 3));

/**
 * Draws a solid hand, the far parts first.
 * @param {CanvasRenderingContext2D} pen
 * @param {Landmarks | number[]} landmarks in pixels of the canvas
 * @param {CSSStyleDeclaration} colours with --hand, --thumb and --edge
 */
export function drawHand(pen, landmarks, colours) {
  const at = points(landmarks);
  const palm = Math.hypot(...at[9].map((x, axis) => x - at[0][axis]));
  const depth = (part) => part.bone.reduce((sum, i) => sum + at[i][2], 0) / part.bone.length;
  const parts = FINGERS.flatMap((finger, number) =>
    [0, 1, 2].map((i) => ({
      bone: finger.slice(i, i + 2),
      width: (0.3 - 0.025 * i - (number === 4 ? 0.04 : 0)) * palm,
      colour: number ? "--hand" : "--thumb",
    })),
  );
  parts.push({ bone: [...PALM, 0], width: 0.3 * palm, colour: "--hand" });
  [pen.lineCap, pen.lineJoin] = ["round", "round"];
  for (const { bone, width, colour } of parts.sort((one, other) => depth(other) - depth(one))) {
    const shape = new Path2D();
    for (const i of bone) shape.lineTo(at[i][0], at[i][1]);
    stroke(pen, shape, "--edge", width + 0.07 * palm, colours);
    stroke(pen, shape, colour, width, colours);
    if (bone.length > 2) pen.fill(shape);
  }
}

/**
 * Draws lines along the bones, those of some fingers in the colour of a warning.
 * @param {CanvasRenderingContext2D} pen
 * @param {Landmarks} landmarks in pixels of the canvas
 * @param {CSSStyleDeclaration} colours with --hand, --warn and --edge
 * @param {number[]} wrong fingers, 0 (thumb) to 4
 */
export function drawBones(pen, landmarks, colours, wrong = []) {
  const at = points(landmarks);
  for (const [number, bone] of [[...PALM, 0], ...FINGERS].entries()) {
    const shape = new Path2D();
    for (const i of bone) shape.lineTo(at[i][0], at[i][1]);
    stroke(pen, shape, "--edge", 9, colours);
    stroke(pen, shape, wrong.includes(number - 1) ? "--warn" : "--hand", 5, colours);
  }
}

function stroke(pen, shape, colour, width, colours) {
  pen.strokeStyle = pen.fillStyle = colours.getPropertyValue(colour);
  pen.lineWidth = width;
  pen.stroke(shape);
}

/**
 * Draws a hand that fills a canvas, in motion where there are several frames.
 * @param {HTMLCanvasElement} canvas
 * @param {number[][]} frames landmarks in hundredths of a palm
 * @param {number} finger whose tip leaves a trace, as the index of its landmark
 */
export function showHand(canvas, frames, finger) {
  const pen = canvas.getContext("2d");
  const colours = getComputedStyle(canvas);
  const range = [0, 1].map((axis) => {
    const all = frames.flatMap((frame) => points(frame).map((point) => point[axis]));
    return [Math.min(...all) - 22, Math.max(...all) + 22];
  });
  const zoom = Math.min(...range.map(([low, high]) => canvas.width / (high - low)));
  const placed = frames.map((frame) =>
    frame.map((x, i) => {
      const [low, high] = range[i % 3] ?? [0, 0];
      return (x - (low + high) / 2) * zoom + (i % 3 < 2 ? canvas.width / 2 : 0);
    }),
  );
  const trace = new Path2D();
  for (const frame of placed) trace.lineTo(frame[3 * finger], frame[3 * finger + 1]);
  const still = frames.length < 2 || matchMedia("(prefers-reduced-motion)").matches;
  const draw = () => {
    const frame = still ? 0 : Math.floor(performance.now() / 60) % (frames.length + 8);
    pen.clearRect(0, 0, canvas.width, canvas.width);
    drawHand(pen, placed[Math.min(frame, frames.length - 1)], colours);
    if (frames.length > 1) stroke(pen, trace, "--accent", canvas.width / 40, colours);
    if (!still && canvas.isConnected && canvas.frames === frames) requestAnimationFrame(draw);
  };
  canvas.frames = frames;
  draw();
}
