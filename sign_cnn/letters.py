"""The letters of Sign Language MNIST, and how its CSVs label them."""

LETTERS = "ABCDEFGHIKLMNOPQRSTUVWXY"
"""The 24 letters of the data set in class order; J and Z are motions and do not occur."""


def raw_label(letter: str) -> int:
    """Return the label of a letter in the CSVs: A to Z are 0 to 25."""
    return ord(letter) - ord("A")
