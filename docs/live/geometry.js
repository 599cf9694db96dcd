/** @typedef {Float32Array | number[]} Landmarks 21 × (x, y, z) in any unit */
/** @typedef {{time: number, landmarks: Landmarks}} Frame time in seconds */

/** Returns the points (x, y, z) of a hand. */
export const toPoints = (landmarks) =>
  Array.from({ length: 21 }, (_, i) => Array.from(landmarks.slice(3 * i, 3 * i + 3)));

export const mean = (numbers) => numbers.reduce((sum, x) => sum + x, 0) / numbers.length;
export const minus = (point, other) => point.map((x, axis) => x - other[axis]);
export const distance = (point, other) => Math.hypot(...minus(point, other));

/** Returns the middle and the length of a range of numbers. */
export function extent(numbers) {
  const [low, high] = [Math.min(...numbers), Math.max(...numbers)];
  return { middle: (low + high) / 2, length: high - low };
}

/**
 * Returns the landmarks of a moment, between those of the frames before and after it.
 * @param {Frame[]} frames
 * @param {number} time seconds
 * @returns {number[] | null} null where one of them has no hand
 */
export function landmarksAt(frames, time) {
  const after = frames.findIndex((frame) => frame.time >= time) || 1;
  const [one, other] = [frames[after - 1], frames[after]];
  if (!one.landmarks || !other.landmarks) return null;
  const share = (time - one.time) / (other.time - one.time);
  return Array.from(one.landmarks, (x, i) => x + share * (other.landmarks[i] - x));
}
