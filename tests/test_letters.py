import pytest

from sign_cnn.letters import LETTERS, class_index, raw_label


def test_classes_are_the_alphabet_without_j_and_z_and_raw_labels_its_positions():
    assert LETTERS == "ABCDEFGHIKLMNOPQRSTUVWXY"
    assert [class_index(letter) for letter in LETTERS.lower()] == list(range(24))
    assert [raw_label(letter) for letter in LETTERS] == [*range(9), *range(10, 25)]
    assert [class_index(letter, "CAB") for letter in "ABC"] == [1, 2, 0]


@pytest.mark.parametrize("letter", ["J", "z", "", "AB", "ß", "1"])
def test_what_is_no_letter_is_refused(letter: str):
    with pytest.raises(ValueError, match=f"^{letter!r} is not one of the letters {LETTERS}$"):
        class_index(letter)
