/** @import { Landmarks } from "./geometry.js" */
/** @import { Stroke } from "./motion.js" */
import { distance, mean, toPoints } from "./geometry.js";

// As in sign_cnn/hands/spelling.py, which says what they mean; lengths are in palms. Some differ,
// as a letter counts at once here, and in Python only when the whole clip is known.
const STEP = 0.1; // seconds over which speeds are measured
const [HELD_SPEED, MIN_HELD, FLOOR, UNSURE] = [1, 0.02, 0.1, 0.3];
const [RATE, ENTRY, JUMP, LONGEST_FRAME] = [20, 2, 2, 0.2];
const [SLIDE_SPEED, SLIDE, RESHAPED, WITHDRAWN] = [1.2, 0.25, 0.25, 0.35];
const SPACE = 0.7; // seconds without a hand that end a word
const HELD = 0.5; // seconds for which a letter is held until it counts
/** Letters that are drawn, each with those that its first pose looks like. */
export const STROKES = { J: "I", Z: "DX" };

/**
 * @typedef {object} Spelled
 * @property {string} letter
 * @property {number} start seconds
 * @property {number} end
 * @property {Record<string, number>} chances probability by letter
 */

/** Decodes letters frame by frame: Viterbi over the letters and "between letters". */
export class Speller {
  /** @type {Spelled[]} */
  spelled = [];
  #frames; // of the last STEP seconds and a little more
  #best; // log-probability of the likeliest path to each state; the last one is "between letters"
  #since; // seconds at which that path came into the state
  #last; // the hand of the letter that counted last, which is blocked until it moves on
  #palm = 0; // pixels, smoothed
  #moved = 0; // when the hand last moved as a whole
  #seen; // when a hand was last seen

  /** @param {string[]} classNames */
  constructor(classNames) {
    this.classNames = classNames;
    this.#reset(0);
  }

  #reset(time) {
    this.#best = this.classNames.map(() => -ENTRY).concat(0);
    this.#since = this.#best.map(() => time);
    [this.#frames, this.#last, this.#seen] = [[], { blocked: "" }, Infinity];
  }

  /** Adds a letter or a space, held or by hand. */
  add(letter, start, end = start, chances = { [letter]: 1 }) {
    this.spelled.push({ letter, start, end, chances });
    return { letter, share: 1, counted: letter };
  }

  /**
   * Takes a frame.
   * @param {number} time seconds
   * @param {Landmarks | undefined} landmarks of the hand, if there is one
   * @param {Float32Array | undefined} probabilities of each letter
   * @param {Stroke | null} stroke that has just ended
   * @returns {{letter: string, share: number, counted: string}} the letter that is held, the share
   *   of the time for which it has to be held, and the letter or space that counts from now on
   */
  step(time, landmarks, probabilities, stroke) {
    if (stroke) return this.#draw(stroke);
    if (!landmarks) return { letter: "", share: 0, counted: this.#rest(time) };
    const frame = { time, ...describe(landmarks) };
    const elapsed = Math.min(time - (this.#frames.at(-1) ?? frame).time, LONGEST_FRAME);
    const recent = this.#frames.filter((other) => other.time > time - 3 * STEP);
    this.#frames = [...recent, frame];
    const before = recent.findLast((other) => other.time <= time - STEP) ?? this.#frames[0];
    const seconds = time - before.time || 1;
    this.#seen = time;
    this.#palm += (this.#palm ? 0.05 : 1) * (frame.palm - this.#palm);
    const way = (other) => distance(frame.place, other.place) / this.#palm;
    const slide = way(before) / seconds;
    if (slide > SLIDE_SPEED) this.#moved = time;
    const speed = meanDistance(frame.shape, before.shape) / seconds;
    this.#advance(time, elapsed, probabilities, 1 / (1 + (speed / HELD_SPEED) ** 2));

    const last = this.#last;
    const isAway = () => slide > SLIDE_SPEED && way(last) > SLIDE;
    const isReshaped = () => meanDistance(frame.shape, last.shape) > RESHAPED;
    if (last.blocked && (isAway() || isReshaped())) last.blocked = "";
    const state = argmax(this.#best);
    const letter = this.classNames[state];
    if (!letter) return { letter: "", share: 0, counted: "" };
    const [blocked, newest] = [last.blocked.includes(letter), this.spelled.at(-1)];
    if (blocked && newest?.letter === letter) newest.end = time;
    const start = Math.max(this.#since[state], this.#moved);
    const share = blocked ? 1 : Math.min((time - start) / HELD, 1);
    if (blocked || share < 1) return { letter, share, counted: "" };
    this.#last = { ...frame, blocked: letter };
    const chances = this.classNames.map((name, i) => [name, probabilities[i]]);
    return this.add(letter, start, time, Object.fromEntries(chances));
  }

  /** Takes a stroke in place of its first pose, which counts again only after another shape. */
  #draw({ letter, start, end }) {
    const isWithdrawn = (held) => {
      const middle = (held.start + held.end) / 2;
      const inside = start <= middle && middle <= end && held.letter !== " ";
      const isPose = STROKES[letter].includes(held.letter) && held.start < start;
      return inside || (isPose && start - WITHDRAWN <= held.end);
    };
    this.spelled = this.spelled.filter((held) => !isWithdrawn(held));
    if (this.#frames.length) this.#last = { ...this.#frames.at(-1), blocked: STROKES[letter] };
    return this.add(letter, start, end);
  }

  /** Ends the word once there was no hand for a while. */
  #rest(time) {
    if (time - this.#seen < SPACE) return "";
    this.#reset(time);
    const isWord = (this.spelled.at(-1)?.letter ?? " ") !== " ";
    return isWord ? this.add(" ", time).counted : "";
  }

  /** Goes one frame on in all paths. */
  #advance(time, elapsed, probabilities, held) {
    const [best, since, blank] = [this.#best, this.#since, this.classNames.length];
    const sure = Math.min(Math.max(held, MIN_HELD), 1 - MIN_HELD);
    const top = argmax(best.slice(0, blank)); // the best letter, which jumps; "between" does not
    const origin = Math.max(best[blank], best[top] - JUMP);
    const come = best.map((_, state) => (state === blank ? best[top] : origin - ENTRY));
    this.#since = since.map((start, state) => (best[state] >= come[state] ? start : time));
    this.#best = best.map((score, state) => {
      const seen = (1 - FLOOR) * probabilities[state] + FLOOR / blank;
      const chance = state === blank ? 1 - sure + sure * UNSURE : sure * seen;
      return Math.max(score, come[state]) + RATE * elapsed * Math.log(chance);
    });
  }
}

/** Returns the palm's length and the hand's place, in pixels, and its shape, from the wrist, in palms. */
function describe(landmarks) {
  const at = toPoints(landmarks);
  const [wrist, ...knuckles] = [0, 5, 9, 13, 17].map((i) => at[i]);
  const palm = mean(knuckles.map((knuckle) => distance(knuckle, wrist)));
  const shape = at.map(([x, y]) => [(x - wrist[0]) / palm, (y - wrist[1]) / palm]);
  const place = [0, 1].map((axis) => mean([wrist, ...knuckles].map((point) => point[axis])));
  return { palm, shape, place };
}

const meanDistance = (points, others) => mean(points.map((point, i) => distance(point, others[i])));
const argmax = (numbers) => numbers.reduce((top, x, i) => (x > numbers[top] ? i : top), 0);
