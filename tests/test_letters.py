import pytest

from sign_cnn.letters import LETTERS, NUM_CLASSES, RAW_LABELS, class_of, letter_of


def test_there_are_24_letters_without_j_and_z():
    assert NUM_CLASSES == 24
    assert set("ABCDEFGHIJKLMNOPQRSTUVWXYZ") - set(LETTERS) == {"J", "Z"}


def test_raw_labels_skip_the_place_of_j():
    assert RAW_LABELS[:10] == (0, 1, 2, 3, 4, 5, 6, 7, 8, 10)
    assert RAW_LABELS[-1] == 24


@pytest.mark.parametrize("index", range(24))
def test_every_class_has_its_letter_and_raw_label(index: int):
    assert class_of(letter_of(index)) == index
    assert chr(ord("A") + RAW_LABELS[index]) == letter_of(index)


@pytest.mark.parametrize("letter", ["J", "z", "", "AB", "ß", "ı", "ſ", "1"])
def test_what_is_no_letter_is_refused(letter: str):
    with pytest.raises(ValueError, match=f"^{letter!r} is not one of the 24 letters {LETTERS} "):
        class_of(letter)


@pytest.mark.parametrize("index", [-1, 24])
def test_a_class_out_of_range_is_refused(index: int):
    with pytest.raises(ValueError, match=rf"^class index {index} is not in 0\.\.23$"):
        letter_of(index)
