"""Letters wrong on clips that are made of still hands: `python -m scripts.spelling TABLE`.

Each clip spells a word with stills of one person, or of one source where people are not told apart:
a still is held for .25 to .5 s, and the next one follows after a straight move of .15 to .3 s. For
a doubled letter the hand slides sideways or bounces. J and Z are drawn from a still I, D or
X: a hook with a turn of the wrist, and three lines. Frames come at 10 to 30 a second, not quite
regularly; each has a finder's jitter, and one in fifty no hand. A still without a hand stays one.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation
from torchmetrics.functional.text import char_error_rate

from sign_cnn.console import print_table
from sign_cnn.hands.augment import to_palms
from sign_cnn.hands.finder import Hand
from sign_cnn.hands.landmarks import read_landmarks, to_landmarks
from sign_cnn.hands.spelling import interpolate
from sign_cnn.hands.words import load_words, to_text
from sign_cnn.spell import HANDS, MOTION, load_speller

Floats = NDArray[np.floating[Any]]
Pose = tuple[float, Floats, Floats]  # seconds to it from the one before, landmarks, place in palms
JITTER, DRIFT, LOST = 0.015, 0.02, 0.02  # palms, palms, share of frames


def draw_letter(
    letter: str, double: bool, stills: dict[str, Floats], rng: np.random.Generator
) -> list[Pose]:
    """Return the poses of a letter, the first of which the hand has to move to."""
    zero: Floats = np.zeros(2)
    start = {"J": "I", "Z": rng.choice([x for x in "DX" if x in stills] or ["D"])}.get(
        letter, letter
    )
    still, move, hold = rng.choice(stills[start]), rng.uniform(0.15, 0.3), rng.uniform(0.25, 0.5)
    poses: list[Pose] = [(move, still, zero), (hold, still, zero)]
    if double:
        way = rng.uniform(0.35, 0.6) * np.array([1.0, 0.0] if rng.random() < 0.5 else [0.0, 1.0])
        poses.append((0.15, still, way))
        if way[1]:
            poses.append((0.15, still, zero))
        poses.append((rng.uniform(0.25, 0.5), still, poses[-1][2]))
    if letter in "JZ":
        seconds, size = rng.uniform(0.5, 1.0), rng.uniform(0.6, 1.4)
        poses[1] = (rng.uniform(0, 0.3), still, zero)
        corners = np.array([[-1, 0], [0, 0.9], [-1, 0.9]]) if letter == "Z" else _hook()
        for number, corner in enumerate(corners, start=1):
            share = number / len(corners) if letter == "J" else 0
            turn = Rotation.from_euler("yz", [-110 * share, 25 * share], degrees=True)
            pose = turn.apply(still).reshape(21, 3)
            poses.append((seconds / len(corners), pose, size * corner))
    return poses


def _hook() -> Floats:
    """Return the way of a J, down and round, in palms (9, 2)."""
    angle = np.radians(np.linspace(0, 140, 6))
    curve = np.stack([0.4 * (1 - np.cos(angle)), 0.8 + 0.4 * np.sin(angle)], axis=1)
    return np.concatenate([[[0, 0.25], [0, 0.5]], curve])


def make_clip(
    text: str, stills: dict[str, Floats], rng: np.random.Generator
) -> tuple[list[float], list[Hand | None]]:
    """Return times and hands of a word."""
    poses, place = list[Pose](), np.zeros(2)
    for number, letter in enumerate(text):
        if number and letter == text[number - 1] and letter not in "JZ":
            continue
        double = text[number + 1 : number + 2] == letter not in "JZ"
        drawn = draw_letter(letter, double, stills, rng)
        poses += [(seconds, pose, place + way) for seconds, pose, way in drawn]
        place = rng.normal(0, 0.1, 2)
    keys = np.cumsum([0, *(seconds for seconds, *_ in poses[1:])])
    rate = rng.choice([10, 15, 25, 30])
    times = np.arange(0, keys[-1], 1 / rate)
    times = np.sort(times + rng.normal(0, 0.05 / rate, len(times)))
    hands = interpolate(times, keys, np.stack([pose for _, pose, _ in poses]))
    hands[..., :2] += interpolate(times, keys, np.stack([way for *_, way in poses]))[:, None]
    hands += rng.normal(0, JITTER, hands.shape)
    drift = pd.DataFrame(rng.normal(0, 1, (len(times), 63))).ewm(halflife=0.3 * rate).mean()
    hands += DRIFT * (drift / drift.stack().std()).to_numpy().reshape(hands.shape)
    found = np.isfinite(hands).all(axis=(1, 2)) & (rng.random(len(times)) >= LOST)
    pixels = (90 * hands + [320, 300, 0]).astype(np.float32)
    return times.tolist(), [
        Hand(row, "left") if ok else None for row, ok in zip(pixels, found, strict=True)
    ]


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser("python -m scripts.spelling")
    parser.add_argument("table", type=Path, metavar="TABLE", help="table of still hands")
    parser.add_argument("--clips", type=int, default=50, help="of each person (default: 50)")
    parser.add_argument("--model", type=Path, default=HANDS, metavar="ONNX")
    parser.add_argument("--motion", type=Path, default=MOTION, metavar="ONNX")
    options = parser.parse_args()
    speller, english = load_speller(options.model, options.motion), load_words("english")
    assert english
    vocabulary = [word for word in english.words[:5000] if 3 <= len(word) <= 8]
    table, rows = read_landmarks(options.table), []
    for number, ((source, _), mine) in enumerate(table.groupby(["source", "person"])):
        stills = {str(letter): _normalize(few) for letter, few in mine.groupby("letter")}
        drawn = {letter for letter, pose in (("J", "I"), ("Z", "D")) if pose in stills}
        known = ({*stills} - {*"JZ"}) | (drawn if speller.read_motion else set())
        words = [word for word in vocabulary if {*word} <= known]
        rng = np.random.default_rng([0, number])
        for word in rng.choice(words, options.clips).tolist():
            letters = speller(*make_clip(word, stills, rng))
            rows.append([source, word, to_text(letters), to_text(letters, english)])
    clips = pd.DataFrame(rows, columns=["source", "word", "no list", "list"])
    shares = dict[str, dict[str, float]]()
    for source, some in [*clips.groupby("source"), ("all", clips)]:
        shares[source] = {"clips": len(some)}
        for name in ("no list", "list"):
            wrong = char_error_rate([*some[name]], [*some["word"]]).item()
            right = (some[name] == some["word"]).mean()
            shares[source] |= {f"letters wrong, {name}": wrong, f"words right, {name}": right}
    print_table(pd.DataFrame(shares).T.round(3).rename_axis("source").reset_index())


def _normalize(rows: pd.DataFrame) -> Floats:
    """Return hands (N, 21, 3) with the wrist at 0 and the palm as unit; NaN where not found."""
    hands = np.full((len(rows), 21, 3), np.nan)
    found = rows["found"].to_numpy() == 1
    hands[found] = to_palms(to_landmarks(rows[found]))
    return hands


if __name__ == "__main__":
    main()
