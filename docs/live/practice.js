/** @import { Landmarks } from "./geometry.js" */
import { distance, minus, toPoints } from "./geometry.js";
import signs from "./signs.json" with { type: "json" };
import { STROKES } from "./spelling.js";

export const STORE = "sign-letters";
const FINGERS = ["thumb", "index finger", "middle finger", "ring finger", "little finger"];
const [BEND, SPREAD, THUMB, TURN] = [0.22, 0.22, 0.4, 0.6]; // differences that are worth a word

/** What is practised, and what was read; kept in this browser. */
export class Practice {
  record = JSON.parse(localStorage.getItem(STORE)) ?? { letters: {}, streak: 0, longest: 0 };

  /** The letter that is asked for. */
  get letter() {
    return this.target[this.index];
  }

  /** Returns how much a letter needs practice: 1 at first, less once it was right, more if missed. */
  need(letter) {
    const { right, missed } = this.record.letters[letter] ?? { right: 0, missed: 0 };
    return (missed + 1) / (right + 1);
  }

  /**
   * Asks for another letter or word; letters that were missed come more often.
   * @param {string[]} choices letters or words, until others are given
   */
  ask(choices = this.choices) {
    const keys = choices.map((choice) => {
      const most = Math.max(...Array.from(choice, (letter) => this.need(letter)));
      return choice === this.target ? 0 : Math.random() ** (1 / most);
    });
    this.target = choices[keys.indexOf(Math.max(...keys))];
    [this.choices, this.index, this.fumbled] = [choices, 0, false];
  }

  /**
   * Takes a letter that was read, or null where one is given up. A space, and the first
   * pose of a letter that is drawn, are neither right nor wrong.
   * @returns {"right" | "wrong" | ""}
   */
  take(letter) {
    const [wanted, { record }] = [this.letter, this];
    if (letter === " " || STROKES[wanted]?.includes(letter)) return "";
    record.letters[wanted] ??= { right: 0, missed: 0 };
    const [isRight, counts] = [letter === wanted, record.letters[wanted]];
    if (isRight) {
      counts.right++;
      record.longest = Math.max(record.longest, ++record.streak);
      this.index++;
    } else if (!this.fumbled) {
      counts.missed++;
      record.streak = 0;
    }
    this.fumbled = !isRight;
    if (!this.letter) this.ask();
    localStorage.setItem(STORE, JSON.stringify(record));
    return isRight ? "right" : "wrong";
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
    const size = Math.min(...bent) > 0.75 ? Math.abs(more) / SPREAD : 0; // of straight fingers
    note(size, `${verb} your ${FINGERS[finger]} and ${FINGERS[finger + 1]}.`, finger, finger + 1);
  }
  note(distance(wanted.thumb, mine.thumb) / THUMB, thumb, 0);
  const away = Math.min(dot(wanted.up, mine.up), dot(wanted.side, mine.side));
  note((1 - away) / TURN, turn, 0, 1, 2, 3, 4);
  return notes;
}

const dot = (one, other) => one.reduce((sum, x, i) => sum + x * other[i], 0);
const unit = (one) => one.map((x) => x / Math.hypot(...one));

/** Measures a hand along its own axes: up to the knuckles, and across them. */
function measure(landmarks) {
  const at = toPoints(landmarks);
  const long = (i, j) => distance(at[i], at[j]);
  const up = unit(minus(at[9], at[0]));
  const across = minus(at[17], at[5]);
  const side = unit(across.map((x, i) => x - dot(across, up) * up[i]));
  const roots = [1, 5, 9, 13, 17];
  const bones = (i) => long(i, i + 1) + long(i + 1, i + 2) + long(i + 2, i + 3);
  const reach = roots.map((i) => long(i, i + 3) / bones(i)); // 1: a straight finger
  const palms = (vector, axis) => dot(vector, axis) / long(9, 0);
  const gap = roots.map((i) => palms(minus(at[Math.min(i + 7, 20)], at[i + 3]), side));
  const thumb = [side, up].map((axis) => palms(minus(at[4], at[5]), axis));
  return { reach, gap, thumb, up, side };
}
