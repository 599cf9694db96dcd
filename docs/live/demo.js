/** @import { Hand } from "./finder.js" */
import { landmarksAt } from "./geometry.js";

const [HOLD, DRAW, MOVE] = [0.3, 0.8, 0.35]; // seconds: held before, drawn or held, on the way
const LONGEST_FRAME = 0.12; // seconds by which it moves on, so that slow machines miss nothing
const PALM = 1.15; // pixels: a hundredth of a palm
const [LEFT, RIGHT, DOWN] = [275, 365, 300]; // pixels: the wrist, in turn, so that doubles slide

/** A drawn hand that spells a text again and again, in place of a camera and a hand finder. */
export class DrawnHand {
  #frames = []; // without landmarks where there is no hand
  #time = 0; // seconds
  #asked = performance.now();

  /**
   * @param {string} text letters and spaces
   * @param {{letters: Record<string, number[][]>, strokes: Record<string, number[][]>}} examples
   */
  constructor(text, { letters, strokes }) {
    let time = 0;
    for (const [place, letter] of [...text, " "].entries()) {
      const hands = strokes[letter] ?? letters[letter]?.slice(0, 1) ?? [null];
      const steps = [HOLD, ...hands.map(() => DRAW / hands.length), MOVE];
      const to = [place % 2 ? RIGHT : LEFT, DOWN, 0];
      for (const [i, hand] of [hands[0], ...hands, hands.at(-1)].entries()) {
        this.#frames.push({ time, landmarks: hand?.map((x, j) => PALM * x + to[j % 3]) });
        time += steps[i];
      }
    }
  }

  /**
   * Returns the hand of this moment.
   * @returns {Promise<Hand | null>}
   */
  async find() {
    const now = performance.now();
    this.#time += Math.min((now - this.#asked) / 1000, LONGEST_FRAME);
    this.#asked = now;
    const landmarks = landmarksAt(this.#frames, this.#time % this.#frames.at(-1).time);
    return landmarks && { landmarks: Float32Array.from(landmarks), hand: "left" };
  }
}
