"""The only place that knows how raw label, class index and letter belong together.

The CSVs label A..Z as 0..25. J (9) and Z (25) are motions, not poses, and do not occur, so 24 classes remain:
labels 0..8 are classes 0..8, labels 10..24 are classes 9..23.
"""

LETTERS = "ABCDEFGHIKLMNOPQRSTUVWXY"
"""The 24 letters in class order: `LETTERS[class_index]`."""

NUM_CLASSES = len(LETTERS)

RAW_LABELS = tuple(ord(letter) - ord("A") for letter in LETTERS)
"""The 24 labels that a CSV may hold, in class order: `RAW_LABELS[class_index]`."""


def letter_of(class_index: int) -> str:
    """The letter of a class.

    >>> letter_of(9)
    'K'
    """
    if not 0 <= class_index < NUM_CLASSES:
        raise ValueError(f"class index {class_index} is not in 0..{NUM_CLASSES - 1}")
    return LETTERS[class_index]


def class_of(letter: str) -> int:
    """The class of a letter, of either case.

    >>> class_of("k")
    9
    """
    index = LETTERS.find(letter.upper()) if len(letter) == 1 and letter.isascii() else -1
    if index < 0:
        raise ValueError(f"{letter!r} is not one of the 24 letters {LETTERS} (J and Z are motions)")
    return index
