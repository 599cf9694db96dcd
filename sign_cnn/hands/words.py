"""Words for what was spelled: a list with frequencies as prior, and which letters get confused."""

import math
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

import numpy as np

from sign_cnn.errors import DataError, UserError, error_message
from sign_cnn.hands.spelling import ALPHABET, Letter

SIZE = 20_000  # words of the English list
LONGEST = 24  # letters of a word
CONFUSED = ("AEMNST", "CEO", "DGXZ", "GHQ", "IJY", "KPV", "RUV", "MNPQ", "DY")
CONFUSION, SLIP = 0.02, 0.002  # added to a letter that the read one looks like, and to all others
# Costs in nats; those of leaving out a letter that was read grow with its probability.
MISSED, MISSED_DOUBLE = 5.0, 1.5
EXTRA, EXTRA_SURE = 2.0, 3.0
NEW_WORD, NEW_LETTER = 3.0, 2.1  # of a word that is not in the list, and of each of its letters
NEAR = 3  # letters by which lengths may differ


class WordList:
    """Words, and how often each is used."""

    def __init__(self, frequencies: dict[str, float]) -> None:
        """Store the words.

        Args:
            frequencies: How often each word is used, in any unit; words with other characters than
                the letters A to Z, in either case, are left out.
        """
        words = {word.upper(): n for word, n in frequencies.items() if 1 < len(word) <= LONGEST}
        words = {word: n for word, n in words.items() if {*word} <= {*ALPHABET} and n > 0}
        self.words = list(words)
        self.costs = -np.log(np.array(list(words.values())) / max(sum(words.values()), 1e-12))
        self.lengths = np.array([len(word) for word in words], np.int64)
        padded = "".join(word.ljust(LONGEST, ALPHABET[0]) for word in words).encode()
        self.codes = np.frombuffer(padded, np.uint8).reshape(-1, LONGEST) - ord(ALPHABET[0])
        double = np.diff(self.codes, axis=1, prepend=-1) == 0
        self.missed = np.where(double, MISSED_DOUBLE, MISSED)

    def suggest(self, letters: Sequence[Letter], count: int = 3) -> list[str]:
        """Return the likeliest words for letters that were read, the best first.

        A noisy channel: the prior of the word, and the least cost of letters that were read as
        others, not read, or read though they were not there. What was read is itself a candidate,
        as a name that is not in the list.

        Args:
            letters: Of one word.
            count: Number of words.
        """
        read = "".join(letter.letter for letter in letters)
        cost = NEW_WORD + sum(NEW_LETTER - math.log(letter.probability) for letter in letters)
        near = np.flatnonzero(np.abs(self.lengths - len(letters)) <= NEAR)
        if len(letters) < 2 or not len(near):  # a letter alone says too little against itself
            return [read]
        codes, missed = self.codes[near], self.missed[near]
        all_missed = row = np.pad(missed.cumsum(1), ((0, 0), (1, 0)))
        for number, letter in enumerate(letters):
            look = [
                any({letter.letter, other} <= {*group} for group in CONFUSED) for other in ALPHABET
            ]
            replaced = -np.log(letter.probabilities + np.where(look, CONFUSION, SLIP))
            again = number > 0 and letters[number - 1].letter == letter.letter
            extra = MISSED_DOUBLE if again else EXTRA + EXTRA_SURE * letter.probability
            new = row + extra
            new[:, 1:] = np.minimum(new[:, 1:], row[:, :-1] + replaced[codes])
            row = np.minimum.accumulate(new - all_missed, axis=1) + all_missed
        costs = row[np.arange(len(near)), self.lengths[near]] + self.costs[near]
        pairs = {read: cost}
        for index in np.argsort(costs, kind="stable")[:count]:
            word = self.words[near[index]]
            pairs[word] = min(float(costs[index]), pairs.get(word, math.inf))
        return sorted(pairs, key=pairs.__getitem__)[:count]


def load_words(name: str) -> WordList | None:
    """Return the list that `--words` names.

    Args:
        name: "english" for the commonest words of `wordfreq`, "none", or the path of a text file
            with a word a line, and its frequency behind it where it is known.

    Returns:
        The list; None for "none".

    Raises:
        UserError: If wordfreq is not installed.
        DataError: If the file cannot be read, or has no word.
    """
    if name == "none":
        return None
    if name == "english":
        try:
            from wordfreq import top_n_list, word_frequency
        except ImportError:
            way_out = 'pip install -e ".[spell]", or --words none'
            raise UserError(f"--words english needs wordfreq: {way_out}") from None
        commonest = top_n_list("en", SIZE)
        return WordList({word: word_frequency(word, "en") for word in commonest})
    try:
        lines = [line.split() for line in Path(name).read_text(encoding="utf-8").splitlines()]
        words = WordList({line[0]: float(line[1]) if line[1:] else 1.0 for line in lines if line})
    except (OSError, ValueError) as error:
        raise DataError(f"{name} is no list of words: {error_message(error)}") from None
    if not words.words:
        raise DataError(f"{name} has no word of the letters A to Z: write one on each line")
    return words


def to_text(letters: Sequence[Letter], words: WordList | None = None) -> str:
    """Return what was spelled, with spaces between words; with a list, each as its likeliest."""
    starts = np.cumsum([letter.new_word for letter in letters]).tolist()
    groups = groupby(zip(starts, letters, strict=True), key=lambda pair: pair[0])
    spelled = [[letter for _, letter in group] for _, group in groups]
    if words:
        return " ".join(words.suggest(word, 1)[0] for word in spelled)
    return " ".join("".join(letter.letter for letter in word) for word in spelled)
