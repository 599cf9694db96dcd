/** @import { Landmarks } from "./letters.js" */
/** @import { Stroke } from "./motion.js" */

// As in sign_cnn/hands/spelling.py, which says what they mean; lengths are in palms.
const STEP = 0.1; // seconds over which speeds are measured
const [HELD_SPEED, MIN_HELD, FLOOR, UNSURE] = [1, 0.02, 0.1, 0.3];
const [RATE, ENTRY, JUMP, LONGEST_FRAME] = [20, 2, 2, 0.2];
const [SLIDE_SPEED, SLIDE, RESHAPED, WITHDRAWN] = [1.2, 0.25, 0.25, 0.35];
const STROKES = { J: "I", Z: "DX" }; // letters that are drawn: those that their first pose looks like
const SPACE = 0.7; // seconds without a hand that end a word
const HELD = 0.5; // seconds for which a letter is held until it counts

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
  #frames = []; // of the last STEP seconds and a little more
  #best; // log-probability of the likeliest path to each state; the last one is "between letters"
  #since; // seconds at which that path came into the state
  #last = null; // the letter that counted last, with its shape and place
  #palm = 0; // pixels, smoothed
  #moved = 0; // when the hand last moved as a whole
  #seen = Infinity; // when a hand was last seen

  /** @param {string[]} classNames */
  constructor(classNames) {
    this.classNames = classNames;
    this.#reset(0);
  }

  #reset(time) {
    this.#best = this.classNames.map(() => -ENTRY).concat(0);
    this.#since = this.#best.map(() => time);
    this.#frames = [];
  }

  /** Adds a letter or a space, held or by hand. */
  add(letter, start, end = start, chances = { [letter]: 1 }) {
    this.spelled.push({ letter, start, end, chances });
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
    const elapsed = Math.min(time - (this.#frames.at(-1)?.time ?? time), LONGEST_FRAME);
    this.#frames = this.#frames.filter((other) => other.time > time - 3 * STEP);
    const before = this.#frames.findLast((other) => other.time <= time - STEP) ?? this.#frames[0];
    this.#frames.push(frame);
    this.#seen = time;
    this.#palm += (this.#palm ? 0.05 : 1) * (frame.palm - this.#palm);
    const seconds = before ? time - before.time : 1;
    const speed = before ? distance(frame.shape, before.shape) / seconds : 0;
    const way = (other) => distance(frame.place, other.place) / this.#palm;
    const slide = before ? way(before) / seconds : 0;
    if (slide > SLIDE_SPEED) this.#moved = time;
    this.#advance(time, elapsed, probabilities, 1 / (1 + (speed / HELD_SPEED) ** 2));

    const last = this.#last;
    const away = last && way(last) > SLIDE && slide > SLIDE_SPEED;
    if (away || (last && distance(frame.shape, last.shape) > RESHAPED)) last.blocked = "";
    const state = argmax(this.#best);
    const letter = this.classNames[state] ?? "";
    if (!letter) return { letter, share: 0, counted: "" };
    if (last?.blocked.includes(letter)) {
      if (this.spelled.at(-1)?.letter === letter) this.spelled.at(-1).end = time;
      return { letter, share: 1, counted: "" };
    }
    const start = Math.max(this.#since[state], this.#moved);
    const share = Math.min((time - start) / HELD, 1);
    if (share < 1) return { letter, share, counted: "" };
    const chances = this.classNames.map((name, i) => [name, probabilities[i]]);
    this.add(letter, start, time, Object.fromEntries(chances));
    this.#last = { ...frame, blocked: letter };
    return { letter, share, counted: letter };
  }

  /** Takes a stroke in place of its first pose, which counts again only after another shape. */
  #draw({ letter, start, end }) {
    this.spelled = this.spelled.filter((held) => !isWithdrawn(held, { letter, start, end }));
    this.add(letter, start, end);
    const frame = this.#frames.at(-1);
    this.#last = frame && { ...frame, blocked: STROKES[letter] };
    return { letter, share: 1, counted: letter };
  }

  /** Ends the word once there was no hand for a while. */
  #rest(time) {
    if (time - this.#seen < SPACE) return "";
    this.#reset(time);
    [this.#last, this.#seen] = [null, Infinity];
    if ((this.spelled.at(-1)?.letter ?? " ") === " ") return "";
    this.add(" ", time);
    return " ";
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

/** Whether a letter is the first pose of a stroke, or lies within it. */
function isWithdrawn({ letter, start, end }, stroke) {
  const middle = (start + end) / 2;
  const inside = stroke.start <= middle && middle <= stroke.end && letter !== " ";
  const first = STROKES[stroke.letter].includes(letter) && start < stroke.start;
  return inside || (first && stroke.start - WITHDRAWN <= end);
}

/** Returns the palm's length and the hand's place, in pixels, and its shape, from the wrist, in palms. */
function describe(landmarks) {
  const at = Array.from({ length: 21 }, (_, i) => landmarks.subarray(3 * i, 3 * i + 3));
  const mean = (numbers) => numbers.reduce((sum, x) => sum + x, 0) / numbers.length;
  const knuckles = [5, 9, 13, 17].map((i) => at[i]);
  const palm = mean(
    knuckles.map((knuckle) => Math.hypot(...knuckle.map((x, axis) => x - at[0][axis]))),
  );
  const shape = at.map(([x, y]) => [(x - at[0][0]) / palm, (y - at[0][1]) / palm]);
  const place = [0, 1].map((axis) => mean([at[0], ...knuckles].map((point) => point[axis])));
  return { palm, shape, place: [place] };
}

/** Returns the mean distance of points. */
function distance(points, others) {
  const gaps = points.map(([x, y], i) => Math.hypot(x - others[i][0], y - others[i][1]));
  return gaps.reduce((sum, gap) => sum + gap, 0) / gaps.length;
}

const argmax = (numbers) => numbers.reduce((top, x, i) => (x > numbers[top] ? i : top), 0);
