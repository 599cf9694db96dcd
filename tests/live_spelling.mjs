// Spells a clip with the modules of the live page: node live_spelling.mjs SITE_SOURCE CLIP_JSON.
// The clip: paths of the networks, seconds of each frame, and its landmarks, or null for no hand.
import { readFileSync } from "node:fs";

const [live, clip] = process.argv.slice(2);
const { openNetwork } = await import(`${live}/letters.js`);
const { StrokeReader } = await import(`${live}/motion.js`);
const { Speller } = await import(`${live}/spelling.js`);

const { hands, motion, times, landmarks } = JSON.parse(readFileSync(clip, "utf8"));
const network = await openNetwork(readFileSync(hands), 24);
const strokes = new StrokeReader(await openNetwork(readFileSync(motion), 4));
const speller = new Speller(network.classNames);
for (const [frame, time] of times.entries()) {
  const hand = landmarks[frame] ? Float32Array.from(landmarks[frame]) : undefined;
  const probabilities = hand && (await network.read(hand, [1, 21, 3]));
  speller.step(time, hand, probabilities, await strokes.step(time, hand));
}
console.log(speller.spelled.map(({ letter }) => letter).join("").trim());
