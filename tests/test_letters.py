from sign_cnn.letters import LETTERS, raw_label


def test_classes_are_the_alphabet_without_j_and_z_and_raw_labels_its_positions():
    assert LETTERS == "ABCDEFGHIKLMNOPQRSTUVWXY"
    assert [raw_label(letter) for letter in LETTERS] == [*range(9), *range(10, 25)]
