"""The only place that knows how raw label, class index and letter belong together.

The CSVs label A..Z as 0..25. J and Z are motions and do not occur, which leaves 24 classes: the class index of a letter
is its position in `data.letters`.
"""

LETTERS = "ABCDEFGHIKLMNOPQRSTUVWXY"
"""The 24 letters of the data set in class order."""


def raw_label(letter: str) -> int:
    """The label of a letter in the CSVs."""
    return ord(letter) - ord("A")


def class_index(letter: str, letters: str = LETTERS) -> int:
    """The class of a letter, of either case. Raises ValueError: it is none of `letters`."""
    index = letters.find(letter.upper()) if len(letter) == 1 else -1
    if index < 0:
        raise ValueError(f"{letter!r} is not one of the letters {letters}")
    return index
