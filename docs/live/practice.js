/** @import { Landmarks } from "./letters.js" */
import signs from "./signs.json" with { type: "json" };

const STORE = "sign-letters";
const EMPTY = { letters: {}, streak: 0, longest: 0 };
export const POSES = { J: "I", Z: "D" }; // still hands that letters which are drawn begin with
const FINGERS = ["thumb", "index finger", "middle finger", "ring finger", "little finger"];
const [BEND, SPREAD, THUMB, TURN] = [0.22, 0.22, 0.4, 0.6]; // differences that are worth a word

/** What is practised, and what was read; kept in this browser. */
export class Practice {
  record = JSON.parse(localStorage.getItem(STORE)) ?? structuredClone(EMPTY);

  /** The letter that is asked for. */
  get letter() {
    return this.target[this.index];
  }

  /** @returns {{right: number, missed: number, best: number | null}} counts, and seconds */
  of(letter) {
    return this.record.letters[letter] ?? { right: 0, missed: 0, best: null };
  }

  /**
   * Asks for another letter or word; letters that were missed come more often.
   * @param {boolean} words
   * @param {number} time seconds
   */
  ask(words, time) {
    const choices = words ? signs.words : Object.keys(signs.letters);
    const need = ({ right, missed }) => (missed + 1) / (right + 1);
    const drawn = choices.map((choice) => {
      const most = Math.max(...[...choice].map((letter) => need(this.of(letter))));
      return { choice, key: choice === this.target ? 0 : Math.random() ** (1 / most) };
    });
    this.target = drawn.reduce((top, one) => (one.key > top.key ? one : top)).choice;
    [this.index, this.since, this.fumbled] = [0, time, false];
  }

  /**
   * Takes a letter that was read, or null where one is given up.
   * @returns {boolean} whether it is the one that was asked for
   */
  take(letter, time) {
    const [wanted, { record }] = [this.letter, this];
    const { right, missed, best } = this.of(wanted);
    if (letter === wanted) {
      const seconds = Math.min(best ?? Infinity, time - this.since);
      record.letters[wanted] = { right: right + 1, missed, best: seconds };
      record.longest = Math.max(record.longest, ++record.streak);
      [this.index, this.since, this.fumbled] = [this.index + 1, time, false];
    } else if (letter !== POSES[wanted] && !this.fumbled) {
      record.letters[wanted] = { right, missed: missed + 1, best };
      [record.streak, this.fumbled] = [0, true];
    }
    localStorage.setItem(STORE, JSON.stringify(record));
    return letter === wanted;
  }

  /** Forgets all that was read. */
  forget() {
    this.record = structuredClone(EMPTY);
    localStorage.removeItem(STORE);
  }
}

/**
 * Says what differs between a hand and the nearest example of a letter.
 * @param {Landmarks} landmarks
 * @param {number[][]} examples landmarks of the letter that is held
 * @param {string} letter that is asked for
 * @returns {{text: string, fingers: number[]}[]} the largest difference first; fingers: 0 (thumb) to 4
 */
export function advise(landmarks, examples, letter) {
  const mine = measure(landmarks);
  const all = examples.map((example) => compare(mine, measure(example), signs.letters[letter]));
  const total = (notes) => notes.reduce((sum, { size }) => sum + size * size, 0);
  const nearest = all.reduce((best, notes) => (total(notes) < total(best) ? notes : best));
  return nearest.filter(({ size }) => size > 1).sort((one, other) => other.size - one.size);
}

function compare(mine, wanted, [, thumb, turn]) {
  const notes = [];
  const note = (size, text, ...fingers) => notes.push({ size, text, fingers });
  for (const finger of [1, 2, 3, 4]) {
    const more = wanted.reach[finger] - mine.reach[finger];
    const verb = more > 0 ? "Straighten" : wanted.reach[finger] > 0.6 ? "Bend" : "Curl";
    note(Math.abs(more) / BEND, `${verb} your ${FINGERS[finger]}.`, finger);
  }
  for (const finger of [1, 2, 3]) {
    const more = wanted.gap[finger] - mine.gap[finger];
    const bent = [wanted, mine].flatMap(({ reach }) => reach.slice(finger, finger + 2));
    const verb = more > 0 ? "Spread" : wanted.gap[finger] < 0 ? "Cross" : "Close";
    const both = `${FINGERS[finger].split(" ")[0]} and ${FINGERS[finger + 1]}`;
    const size = Math.min(...bent) > 0.75 ? Math.abs(more) / SPREAD : 0; // of straight fingers
    note(size, `${verb} ${both}.`, finger, finger + 1);
  }
  note(Math.hypot(...minus(wanted.thumb, mine.thumb)) / THUMB, thumb, 0);
  const away = Math.min(dot(wanted.up, mine.up), dot(wanted.front, mine.front));
  note((1 - away) / TURN, turn, 0, 1, 2, 3, 4);
  return notes;
}

const minus = (one, other) => one.map((x, i) => x - other[i]);
const dot = (one, other) => one.reduce((sum, x, i) => sum + x * other[i], 0);
const unit = (one) => one.map((x) => x / Math.hypot(...one));

/** Measures a hand along its own axes: up to the knuckles, across them, and out of the palm. */
function measure(landmarks) {
  const at = (i) => [...landmarks.slice(3 * i, 3 * i + 3)];
  const long = (i, j) => Math.hypot(...minus(at(i), at(j)));
  const up = unit(minus(at(9), at(0)));
  const across = minus(at(17), at(5));
  const side = unit(across.map((x, i) => x - dot(across, up) * up[i]));
  const front = [0, 1, 2].map((i) => {
    const [j, k] = [(i + 1) % 3, (i + 2) % 3];
    return up[j] * side[k] - up[k] * side[j];
  });
  const roots = [1, 5, 9, 13, 17];
  const bones = (i) => long(i, i + 1) + long(i + 1, i + 2) + long(i + 2, i + 3);
  const reach = roots.map((i) => long(i, i + 3) / bones(i)); // 1: a straight finger
  const palms = (vector, axis) => dot(vector, axis) / long(9, 0);
  const gap = roots.map((i) => palms(minus(at(Math.min(i + 7, 20)), at(i + 3)), side));
  const thumb = [side, up].map((axis) => palms(minus(at(4), at(5)), axis));
  return { reach, gap, thumb, up, front };
}
