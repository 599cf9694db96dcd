/** @import { Spelled } from "./spelling.js" */

const [EXTRA, MISSING, DOUBLED, LATER] = [6, 5, 0.5, 0.3]; // costs in nats, of a letter

/**
 * Returns the likeliest words of which a spelled beginning may be meant for.
 * @param {string[]} words the most frequent first
 * @param {Spelled[]} spelled letters of one word
 * @returns {string[]} up to three
 */
export function suggest(words, spelled) {
  if (!spelled.length) return [];
  const written = spelled.map(({ letter }) => letter).join("");
  const costs = words.map((word, rank) => [word, misspelling(spelled, word) + Math.log(rank + 10)]);
  costs.sort(([, one], [, other]) => one - other);
  const likeliest = costs.slice(0, 4).map(([word]) => word);
  return likeliest.filter((word) => word !== written).slice(0, 3);
}

/** Returns what it costs that a word was meant: letters misread, left out, or still to come. */
function misspelling(spelled, word) {
  let row = Array.from({ length: word.length + 1 }, (_, i) => MISSING * i);
  for (const { chances } of spelled) {
    const next = [row[0] + EXTRA];
    for (let i = 0; i < word.length; i++) {
      const read = row[i] - Math.log((chances[word[i]] ?? 0) + 0.01);
      const skip = next[i] + (word[i] === word[i - 1] ? DOUBLED : MISSING);
      next.push(Math.min(read, row[i + 1] + EXTRA, skip));
    }
    row = next;
  }
  return Math.min(...row.map((cost, i) => cost + LATER * (word.length - i)));
}
