"""Decoding of clips that are made of the sample hands, which a stand-in network knows by heart."""

from collections.abc import Sequence
from itertools import pairwise, product

import numpy as np
import pytest
from fake_finder import SAMPLES
from numpy.typing import NDArray

from sign_cnn.errors import DataError
from sign_cnn.hands.finder import Hand
from sign_cnn.hands.spelling import (
    BLANK,
    ENTRY,
    FLOOR,
    JUMP,
    RATE,
    UNSURE,
    Letter,
    Speller,
    interpolate,
    speed,
    viterbi,
)
from sign_cnn.hands.words import WordList, load_words, to_text
from sign_cnn.letters import LETTERS

PALMS = np.linalg.norm(SAMPLES[:, [5, 9, 13, 17]] - SAMPLES[:, :1], axis=2).mean(1)
SHAPES = (SAMPLES - SAMPLES[:, :1]) / PALMS[:, None, None]  # of the letters, in palms
Pose = tuple[float, str, Sequence[float]]  # seconds to it, letter, place of the wrist in palms


def read_letters(landmarks: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return probabilities of the samples, by their distances."""
    palms = np.linalg.norm(landmarks[:, [5, 9, 13, 17]] - landmarks[:, :1], axis=2).mean(1)
    shapes = (landmarks - landmarks[:, :1]) / palms[:, None, None]
    distance = np.linalg.norm(shapes[:, None] - SHAPES, axis=3).mean(2)
    shares = np.exp(-20 * distance)
    return shares / shares.sum(1, keepdims=True)


def read_motion(windows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Call a window a J in which the wrist goes down by a palm, from its start to its end."""
    down = np.diff(windows[:, [0, 6, 17, 23], 0, 1])
    is_j = ((down / 50 > 0.1).all(1) & (down.sum(1) / 50 > 0.9)).astype(np.float32)[:, None]
    return is_j * [0.9, 0, 0, 0.1] + (1 - is_j) * [0, 0, 1, 0]


def hold(text: str) -> list[Pose]:
    return [(seconds, letter, (0, 0)) for letter in text for seconds in (0.25, 0.35)]


def film(poses: Sequence[Pose], rate: float = 30, unit: float = 50, mirror: bool = False):
    """Return times and hands of poses between which the hand moves."""
    keys = np.cumsum([0, *(seconds for seconds, *_ in poses[1:])])
    shapes = np.stack([SHAPES[LETTERS.index(letter)] for _, letter, _ in poses])
    shapes[..., :2] += np.array([place for *_, place in poses])[:, None]
    rng = np.random.default_rng(0)
    times = np.sort(np.arange(0, keys[-1], 1 / rate) + rng.uniform(0, 0.2 / rate))
    hands = interpolate(times, keys, shapes) + rng.normal(0, 0.01, (len(times), 21, 3))
    hands = unit * (hands * [-1 if mirror else 1, 1, 1] + 4)
    side = "right" if mirror else "left"
    return times.tolist(), [Hand(hand.astype(np.float32), side) for hand in hands]


def read(times, hands, motion=None) -> str:
    return to_text(Speller(read_letters, motion)(times, hands))


@pytest.mark.parametrize("mirror", [False, True])
@pytest.mark.parametrize("unit", [200, 0.1])  # pixels, shares of the picture
@pytest.mark.parametrize("rate", [10, 15, 30])
def test_held_letters_are_read_at_any_frame_rate_in_any_unit_by_either_hand(rate, unit, mirror):
    assert read(*film(hold("HANDSY"), rate, unit, mirror)) == "HANDSY"


def test_letters_have_times_and_probabilities_in_order():
    letters = Speller(read_letters)(*film(hold("BLG")))
    assert [letter.letter for letter in letters] == list("BLG")
    assert [letter.start for letter in letters] == pytest.approx([0, 0.6, 1.2], abs=0.15)
    assert all(0.2 < letter.end - letter.start < 0.6 for letter in letters)
    assert all(0.8 < letter.probability <= 1 for letter in letters)
    assert all(letter.probabilities.sum() == pytest.approx(1) for letter in letters)


def test_letters_survive_frames_in_which_no_hand_was_found():
    times, hands = film(hold("BLG"))
    lost = np.random.default_rng(1).random(len(times)) < 0.15
    seen = [None if gone else hand for gone, hand in zip(lost, hands, strict=True)]
    assert read(times, seen) == "BLG"


@pytest.mark.parametrize("kept", [True, False], ids=["frames without a hand", "no frames"])
def test_a_space_comes_where_the_hand_was_gone(kept: bool):
    times, hands = film(hold("BY"))
    later = [time + times[-1] + 1.2 for time in times]
    gone = [times[-1] + step / 30 for step in range(1, 36)] if kept else []
    assert read(times + gone + later, [*hands, *[None] * len(gone), *hands]) == "BY BY"


@pytest.mark.parametrize("way", [[(0.5, 0)], [(0, 0.6), (0, 0)]], ids=["slide", "bounce"])
def test_a_slide_or_a_bounce_doubles_a_letter(way):
    last = way[-1]
    moves = [(0.15, "L", place) for place in way]
    poses = [*hold("BL"), *moves, (0.35, "L", last), (0.25, "Y", last), (0.35, "Y", last)]
    assert read(*film(poses)) == "BLLY"


def test_a_hand_that_drifts_or_trembles_reads_no_letter_twice():
    drift = [(0.0, "B", (0, 0)), (2.0, "B", (1.5, 0)), (0.3, "L", (1.5, 0)), (1.0, "L", (1.5, 0))]
    assert read(*film(drift)) == "BL"


def test_a_stroke_replaces_the_pose_that_it_starts_from():
    way = (0.5, "I", (0, 0)), (0.6, "I", (0, 1.2))
    poses = [*hold("BI"), *way, *((seconds, x, (0, 1.2)) for seconds, x, _ in hold("Y"))]
    assert read(*film(poses)) == "BIY"
    letters = Speller(read_letters, read_motion)(*film(poses))
    assert to_text(letters) == "BJY"
    assert letters[1].probability == pytest.approx(0.9)


@pytest.mark.parametrize("frames", [0, 1, 2])
def test_short_clips_are_read(frames: int):
    times, hands = film(hold("B"))
    assert read(times[:frames], hands[:frames], read_motion) in {"", "B"}
    assert read(times[:frames], [None] * frames, read_motion) == ""


def test_the_frames_at_either_end_of_a_hold_are_slow():
    places = np.array([0, 0, 0, 0.5, 1, 1, 1])[:, None, None]
    assert speed(np.arange(7) / 10, places) == pytest.approx([0, 0, 0, 5, 0, 0, 0])


def test_viterbi_finds_the_best_of_all_paths():
    rng, frames = np.random.default_rng(0), 3
    for _ in range(10):
        shares, held = rng.dirichlet(np.full(24, 0.1), frames), rng.uniform(0.05, 0.95, frames)
        duration = rng.uniform(0.05, 0.5, frames)
        letters = held[:, None] * ((1 - FLOOR) * shares + FLOOR / 24)
        blank = 1 - held + held * UNSURE
        scores = RATE * duration[:, None] * np.log(np.column_stack([letters, blank]))

        def score(path: tuple[int, ...], scores=scores) -> float:
            total = sum(scores[frame, state] for frame, state in enumerate(path))
            for before, state in pairwise((BLANK, *path)):
                total -= ENTRY * (state not in (before, BLANK))
                total -= JUMP * (BLANK not in (before, state) and before != state)
            return float(total)

        best = max(product(range(25), repeat=frames), key=score)
        assert viterbi(shares, held, duration).tolist() == list(best)


def spelled(text: str, other: str = "") -> list[Letter]:
    """Return letters that are sure, but where the other text has another one at 30 %."""
    letters = []
    for number, pair in enumerate(zip(text, other or text, strict=True)):
        shares, (first, second) = np.full(26, 0.001), (ord(letter) - 65 for letter in pair)
        shares[second] = 0.3
        shares[first] = 0.97 if first == second else 0.67
        letters.append(Letter(pair[0], number, number + 0.3, float(shares[first]), shares))
    return letters


WORDS = WordList({"house": 1e-4, "hose": 1e-5, "happy": 1e-4, "mary": 1e-5, "the": 1, "it's": 1})


@pytest.mark.parametrize(
    ("letters", "text"),
    [
        (spelled("HOUSE"), "HOUSE"),
        (spelled("HOUTE", "HOUSE"), "HOUSE"),  # one letter unsure
        (spelled("HAPY"), "HAPPY"),  # a double not seen
        (spelled("HAAPPY"), "HAPPY"),
        (spelled("MARA"), "MARA"),  # a name, sure
        (spelled("ZOLTAN"), "ZOLTAN"),
        (spelled("B"), "B"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_word_list_corrects_what_is_unsure_and_keeps_names(letters: list[Letter], text: str):
    assert to_text(letters, WORDS) == text
    assert WORDS.suggest(letters)[0] == text


def test_suggestions_are_the_likeliest_words_once_each():
    words = WORDS.suggest(spelled("HOUE"))
    assert {"HOUE", "HOUSE"} < {*words}
    assert len({*words}) == len(words) == 3


def test_a_file_of_words_is_read_with_frequencies_or_without(tmp_path):
    path = tmp_path / "words.txt"
    path.write_text("Anna 3\n\nbert\n")
    words = load_words(str(path))
    assert words
    assert words.words == ["ANNA", "BERT"]
    assert np.exp(-words.costs) == pytest.approx([0.75, 0.25])
    assert load_words("none") is None
    for content in ("", "anna many"):
        path.write_text(content)
        with pytest.raises(DataError, match=r"words\.txt"):
            load_words(str(path))


def test_the_english_list_knows_common_words():
    pytest.importorskip("wordfreq")
    words = load_words("english")
    assert words
    assert {"HELLO", "HOUSE"} < {*words.words}
    assert words.costs[words.words.index("THE")] < words.costs[words.words.index("HOUSE")]
