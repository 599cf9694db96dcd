const [HOLD, MOVE, DRAW, PAUSE] = [1, 0.35, 0.8, 1.2]; // seconds: held, on the way, drawn, lowered
const LONGEST_FRAME = 0.12; // seconds by which it moves on, so that slow machines miss nothing
const [PALM, RIGHT, DOWN] = [1.15, 320, 300]; // pixels: a hundredth of a palm, and the wrist's place

/** A drawn hand that spells a text again and again, in place of a camera and a hand finder. */
export class DrawnHand {
  #keys = []; // seconds, and the landmarks then, or null for no hand
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
      const frames = stroke ?? letters[letter]?.slice(0, 1) ?? [null];
      const pause = stroke ? HOLD / 3 : frames[0] ? HOLD / 2 : PAUSE / 2;
      for (const frame of [frames[0], ...frames, frames.at(-1)]) {
        const aside = place % 2 ? 45 : -45; // so that doubled letters slide
        const to = [RIGHT + aside, DOWN, 0];
        this.#keys.push({ time, landmarks: frame?.map((x, i) => PALM * x + to[i % 3]) });
        time += stroke && frame !== frames[0] ? DRAW / frames.length : pause;
      }
      time += MOVE - pause;
    }
  }

  /** Returns the hand of this moment, as `HandFinder.find`. */
  async find() {
    const [now, end] = [performance.now(), this.#keys.at(-1).time];
    const time = (this.#time + Math.min((now - this.#asked) / 1000, LONGEST_FRAME)) % end;
    [this.#time, this.#asked] = [time, now];
    const after = this.#keys.findIndex((key) => key.time > time);
    const [one, other] = [this.#keys[after - 1], this.#keys[after]];
    if (!one.landmarks || !other.landmarks) return null;
    const share = (time - one.time) / (other.time - one.time);
    const landmarks = one.landmarks.map((x, i) => x + share * (other.landmarks[i] - x));
    return { landmarks: Float32Array.from(landmarks), hand: "left", score: 1 };
  }
}
