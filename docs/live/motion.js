/** @import { Landmarks } from "./geometry.js" */
/** @import { Network } from "./letters.js" */
import { landmarksAt } from "./geometry.js";

const WINDOWS = [0.45, 0.7, 1, 1.4]; // seconds
const LONGEST = 1.6; // seconds of frames that are kept
const STEP = 0.1; // seconds from one look to the next
const MOMENTS = 24; // in a window
const CLASSES = 4; // of the network: J, Z, held and moving
const MAX_GAP = 0.3; // seconds without a hand, across which no window reaches
const MIN_STROKE = 0.5; // probability
const PATIENCE = 0.25; // seconds in which a likelier window may follow

/** @typedef {{letter: string, start: number, end: number, probability: number}} Stroke seconds */

/** Reads the letters that are drawn, J and Z. */
export class StrokeReader {
  #frames = [];
  #looked = 0;
  #best = null;

  /** @param {Network} network of windows of landmarks */
  constructor(network) {
    this.network = network;
  }

  /**
   * Takes a frame.
   * @param {number} time seconds
   * @param {Landmarks | undefined} landmarks of the hand, if there is one
   * @returns {Promise<Stroke | null>} a stroke that is over, once
   */
  async step(time, landmarks) {
    if (time - this.#frames.at(-1)?.time > MAX_GAP) this.#frames = [];
    this.#frames = this.#frames.filter((frame) => frame.time > time - LONGEST);
    if (landmarks) this.#frames.push({ time, landmarks });
    const lengths = WINDOWS.filter((length) => time - length >= this.#frames[0]?.time);
    if (landmarks && lengths.length && time - this.#looked >= STEP) await this.#look(time, lengths);
    const stroke = this.#best;
    if (!stroke || time - stroke.end < PATIENCE) return null;
    this.#best = null;
    this.#frames = this.#frames.filter((frame) => frame.time >= stroke.end);
    return stroke;
  }

  async #look(time, lengths) {
    this.#looked = time;
    const windows = lengths.flatMap((length) =>
      Array.from({ length: MOMENTS }, (_, moment) =>
        landmarksAt(this.#frames, time - length * (1 - moment / (MOMENTS - 1))),
      ),
    );
    const shape = [lengths.length, MOMENTS, 21, 3];
    const rows = await this.network.read(Float32Array.from(windows.flat()), shape);
    rows.forEach((probability, i) => {
      const letter = "JZ"[i % CLASSES];
      const start = time - lengths[Math.floor(i / CLASSES)];
      if (letter && probability >= (this.#best?.probability ?? MIN_STROKE))
        this.#best = { letter, start, end: time, probability };
    });
  }
}
