/** @import { Hand } from "./finder.js" */
import { landmarksAt } from "./geometry.js";

const [HOLD, MOVE, DRAW, PAUSE] = [1, 0.35, 0.8, 1.2]; // seconds: held, on the way, drawn, lowered
const LONGEST_FRAME = 0.12; // seconds by which it moves on, so that slow machines miss nothing
const [PALM, RIGHT, DOWN] = [1.15, 320, 300]; // pixels: a hundredth of a palm, and the wrist's place

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
      const stroke = strokes[letter];
      const hands = stroke ?? letters[letter]?.slice(0, 1) ?? [null];
      const pause = stroke ? HOLD / 3 : hands[0] ? HOLD / 2 : PAUSE / 2;
      for (const hand of [hands[0], ...hands, hands.at(-1)]) {
        const aside = place % 2 ? 45 : -45; // so that doubled letters slide
        const to = [RIGHT + aside, DOWN, 0];
        this.#frames.push({ time, landmarks: hand?.map((x, i) => PALM * x + to[i % 3]) });
        time += stroke && hand !== hands[0] ? DRAW / hands.length : pause;
      }
      time += MOVE - pause;
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
