/** @import { Landmarks } from "./letters.js" */

const ALPHABET = [..."ABCDEFGHIJKLMNOPQRSTUVWXYZ"];
const WORDS =
  `ACE BAKE BIRD BLUE BOX CAT CHESS CITY DANCE DAY DOG DRUM EARTH FISH FOX FROG GAME GIFT HAND
HAPPY HOME ICE JAM JAZZ JOB JOY JUMP KID KING LAKE LEMON LION LOVE MAZE MILK MOON NAME NIGHT OCEAN PARK
PIANO QUICK QUIZ RAIN RIVER SALT SIGN SNOW STAR SUN TIME TRAIN TREE VOICE WATER WAVE WORD YES ZEBRA ZERO
ZOO`.split(/\s+/);
const STORE = "sign-letters";
export const POSES = { J: "I", Z: "D" }; // still hands that letters which are drawn begin with
const FINGERS = ["thumb", "index finger", "middle finger", "ring finger", "little finger"];
const [BEND, SPREAD, THUMB, TURN] = [0.22, 0.22, 0.4, 0.6]; // differences that are worth a word

/** What is practised, and what was read; kept in this browser. */
export class Practice {
  record = JSON.parse(localStorage.getItem(STORE)) ?? { letters: {}, streak: 0, longest: 0 };

  /** The letter that is asked for. */
  get letter() {
    return this.target[this.index];
  }

  /** @returns {{right: number, missed: number, best: number | null}} best: seconds */
  of(letter) {
    return this.record.letters[letter] ?? { right: 0, missed: 0, best: null };
  }

  /**
   * Asks for another letter or word; those that were missed come more often.
   * @param {boolean} words
   * @param {number} time seconds
   */
  ask(words, time) {
    const choices = (words ? WORDS : ALPHABET).filter((choice) => choice !== this.target);
    const weights = choices.map((choice) => {
      const all = [...choice].map((letter) => this.of(letter));
      return (
        all.reduce((sum, { right, missed }) => sum + (missed + 1) / (right + 1), 0) / all.length
      );
    });
    let left = Math.random() * weights.reduce((sum, weight) => sum + weight);
    this.target = choices.find((_, i) => (left -= weights[i]) <= 0) ?? choices[0];
    [this.index, this.since, this.fumbled] = [0, time, false];
  }

  /**
   * Takes a letter that was read, or null for one that is given up.
   * @returns {boolean} whether it is the one that was asked for
   */
  take(letter, time) {
    const wanted = this.letter;
    const result = { ...this.of(wanted) };
    const right = letter === wanted;
    if (right) {
      result.right += 1;
      result.best = Math.min(result.best ?? Infinity, time - this.since);
      this.record.streak += 1;
      this.record.longest = Math.max(this.record.longest, this.record.streak);
      [this.index, this.since, this.fumbled] = [this.index + 1, time, false];
    } else if (letter !== POSES[wanted] && !this.fumbled) {
      result.missed += 1;
      [this.record.streak, this.fumbled] = [0, true];
    }
    this.record.letters[wanted] = result;
    localStorage.setItem(STORE, JSON.stringify(this.record));
    return right;
  }

  /** Forgets all that was read. */
  forget() {
    this.record = { letters: {}, streak: 0, longest: 0 };
    localStorage.removeItem(STORE);
  }
}

/**
 * Says what differs between a hand and the nearest example.
 * @param {Landmarks} landmarks
 * @param {number[][]} examples landmarks of the letter
 * @param {string} thumb what to say of the thumb
 * @returns {{text: string, fingers: number[]}[]} the largest differences first; fingers: 0 (thumb) to 4
 */
export function advise(landmarks, examples, thumb) {
  const mine = measure(landmarks);
  const all = examples.map((example) => compare(mine, measure(example), thumb));
  const total = (notes) => notes.reduce((sum, { size }) => sum + size * size, 0);
  const nearest = all.reduce((best, notes) => (total(notes) < total(best) ? notes : best));
  return nearest.filter(({ size }) => size > 1).sort((one, other) => other.size - one.size);
}

function compare(mine, wanted, thumb) {
  const notes = [1, 2, 3, 4].map((finger) => {
    const more = wanted.reach[finger] - mine.reach[finger];
    const verb = more > 0 ? "Straighten" : wanted.reach[finger] > 0.6 ? "Bend" : "Curl";
    return {
      text: `${verb} your ${FINGERS[finger]}.`,
      fingers: [finger],
      size: Math.abs(more) / BEND,
    };
  });
  for (const finger of [1, 2, 3]) {
    const more = wanted.gap[finger] - mine.gap[finger];
    const straight = Math.min(
      ...[wanted, mine].flatMap(({ reach }) => reach.slice(finger, finger + 2)),
    );
    const both = `${FINGERS[finger].split(" ")[0]} and ${FINGERS[finger + 1]}`;
    const text =
      more > 0
        ? `Spread ${both}.`
        : wanted.gap[finger] < 0
          ? `Cross ${both}.`
          : `Bring ${both} together.`;
    notes.push({
      text,
      fingers: [finger, finger + 1],
      size: straight > 0.75 ? Math.abs(more) / SPREAD : 0,
    });
  }
  notes.push({
    text: thumb,
    fingers: [0],
    size: Math.hypot(...wanted.thumb.map((x, i) => x - mine.thumb[i])) / THUMB,
  });
  for (const [axis, say] of [
    ["up", "Point your hand"],
    ["front", "Turn your palm"],
  ]) {
    const [x, y, z] = wanted[axis];
    const away = 1 - wanted[axis].reduce((sum, value, i) => sum + value * mine[axis][i], 0);
    const way =
      Math.abs(x) > Math.max(Math.abs(y), Math.abs(z))
        ? "to the side"
        : Math.abs(y) > Math.abs(z)
          ? y > 0
            ? "down"
            : "up"
          : z < 0
            ? "to the camera"
            : "to yourself";
    notes.push({ text: `${say} ${way}.`, fingers: [0, 1, 2, 3, 4], size: away / TURN });
  }
  return notes;
}

/** Measures a hand in its own axes, in palms: from wrist to knuckles, across them, out of the palm. */
function measure(numbers) {
  const at = (i) => [numbers[3 * i], numbers[3 * i + 1], numbers[3 * i + 2]];
  const minus = (one, other) => one.map((x, i) => x - other[i]);
  const dot = (one, other) => one.reduce((sum, x, i) => sum + x * other[i], 0);
  const unit = (one) => one.map((x) => x / Math.hypot(...one));
  const along = minus(at(9), at(0));
  const up = unit(along);
  const knuckles = minus(at(17), at(5));
  const side = unit(
    minus(
      knuckles,
      up.map((x) => x * dot(knuckles, up)),
    ),
  );
  const front = [1, 2, 0].map((i, j) => up[i] * side[(i + 1) % 3] - up[(i + 1) % 3] * side[i]);
  const palm = Math.hypot(...along);
  const long = (i, j) => Math.hypot(...minus(at(i), at(j)));
  const roots = [1, 5, 9, 13, 17];
  const reach = roots.map(
    (i) => long(i, i + 3) / (long(i, i + 1) + long(i + 1, i + 2) + long(i + 2, i + 3)),
  );
  const gap = roots.map((i) => dot(minus(at(i < 17 ? i + 7 : i), at(i + 3)), side) / palm);
  const tip = minus(at(4), at(5));
  return { reach, gap, thumb: [dot(tip, side) / palm, dot(tip, up) / palm], up, front };
}
