"""Rows of the source `drawn` in the package's table of landmarks: `python -m scripts.drawn_landmarks [--write]`.

Hands are computed from hand_poses.yaml (angles of fingers, targets of the thumb, directions seen), with random joints,
bones and views. No photo is in them; but lengths and several angles were set after looking at medians by letter of the
sources t32, boris and set2, so a score on one of those is a little too good.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from omegaconf import OmegaConf
from scipy.spatial.transform import Rotation

import sign_cnn
from sign_cnn.hands.landmarks import COORDINATES, LANDMARKS, read_landmarks

Floats = NDArray[np.float64]

ROWS = 200  # of each letter, about
JOINT, LEAN, LENGTH, THUMB, TURN, ROLL = (
    9.0,
    4.0,
    0.07,
    0.09,
    15.6,
    18.0,
)  # degrees; LENGTH a share, THUMB palms
OFTEN_TURNED = dict.fromkeys("GHPQ", 1.6)  # letters shown from many sides
SAMPLES = Path(sign_cnn.__file__).parent / "app" / "samples.npy"
KNUCKLES = np.array(
    [(0.30, 0.97, 0.02), (0.05, 1.0, 0.0), (-0.18, 0.96, 0.0), (-0.38, 0.85, 0.02)]
)  # palms
FINGERS = np.array(
    [(0.44, 0.28, 0.23), (0.48, 0.31, 0.25), (0.45, 0.29, 0.24), (0.36, 0.22, 0.20)]
)  # bones, palms
THUMB_ROOT, THUMB_BONES = np.array([0.27, 0.27, 0.19]), np.array([0.45, 0.38, 0.31])


def draw_hands(pose: dict[str, Any], count: int, turn: float, rng: np.random.Generator) -> Floats:
    """Points (count, 21, 3) of one way to hold a letter, in palms, x to the right, y down, z away from the viewer."""
    fingers, palm = (np.array(seen, float) for seen in zip(*pose["seen"], strict=True))
    chosen = rng.integers(0, len(fingers), count)
    up, front = _unit(fingers[chosen]), palm[chosen]
    front = _unit(front - (front * up).sum(1, keepdims=True) * up)
    axes = np.stack([np.cross(up, front), up, front], axis=1)
    angles = np.stack([rng.uniform(-ROLL, ROLL, count), *rng.normal(0, turn, (2, count))], axis=1)
    axes = np.einsum(
        "nij,nkj->nki", Rotation.from_euler("ZYX", angles, degrees=True).as_matrix(), axes
    )
    size, points = np.exp(rng.normal(0, LENGTH, count)), np.zeros((count, 21, 3))
    common, width = rng.normal(0, JOINT, (count, 3)), np.exp(rng.normal(0, 0.1, count))
    for finger, (bend, spread) in enumerate(zip(pose["bend"], pose["spread"], strict=True)):
        looseness = 0.35 + 0.65 * (np.array(bend) > 15)  # a straight finger varies less
        noise = (0.7 * common + rng.normal(0, JOINT, (count, 3))) * looseness
        flexed = np.radians(
            (bend * rng.normal(1, 0.08, (count, 1)) + noise).clip(-8, 165).cumsum(1)
        )
        aside = np.radians(spread * np.exp(rng.normal(0, 0.3, count)) + rng.normal(0, LEAN, count))[
            :, None
        ]
        lengths = (size * np.exp(rng.normal(0, LENGTH * 0.7, count)))[:, None] * FINGERS[finger]
        lengths = lengths * np.exp(rng.normal(0, 0.08, (count, 3)))
        bones = np.stack(
            [np.cos(flexed) * np.sin(aside), np.cos(flexed) * np.cos(aside), np.sin(flexed)], axis=2
        )
        knuckle = KNUCKLES[finger] * np.stack([width, *np.ones((2, count))], axis=1) + rng.normal(
            0, 0.025, (count, 3)
        )
        points[:, 5 + 4 * finger] = knuckle
        points[:, 6 + 4 * finger : 9 + 4 * finger] = knuckle[:, None] + (
            bones * lengths[:, :, None]
        ).cumsum(1)
    points[:, 1] = THUMB_ROOT + rng.normal(0, 0.05, (count, 3))
    targets = (
        pose["thumb"]
        + rng.normal(0, THUMB * 0.7, (count, 3, 3))
        + rng.normal(0, THUMB, (count, 1, 3))
    )
    lengths = (size * np.exp(rng.normal(0, LENGTH, count)))[:, None] * THUMB_BONES
    for joint in range(3):
        direction = _unit(targets[:, joint] - points[:, 1 + joint])
        points[:, 2 + joint] = points[:, 1 + joint] + lengths[:, joint, None] * direction
    points = np.array(np.einsum("nij,njk->nik", points, axes) * [1, -1, -1])
    points[:, :, 2] *= np.exp(
        rng.uniform(-0.6, 0.1, (count, 1))
    )  # finders see less depth than there is
    return points


def draw_table(poses: dict[str, Any], rows: int = ROWS, seed: int = 0) -> pd.DataFrame:
    """The rows of all letters, left hands, in the form of the package's table."""
    rng, parts = np.random.default_rng(seed), []
    for letter, ways in poses.items():
        total = sum(way["share"] for way in ways)
        for way in ways:
            count = max(1, round(rows * way["share"] / total))
            points = draw_hands(way, count, TURN * OFTEN_TURNED.get(letter, 1), rng).round(3)
            parts.append(
                pd.DataFrame(points.reshape(count, 63), columns=COORDINATES).assign(letter=letter)
            )
    table = pd.concat(parts, ignore_index=True).assign(
        source="drawn", person="", hand="left", found=1
    )
    return table[["source", "person", "letter", "hand", "found", *COORDINATES]]


def draw_samples(poses: dict[str, Any]) -> NDArray[np.float32]:
    """Points (letters, 21, 3) of the plainest hand of each letter: the mean of many, seen from one side."""
    rng, first = np.random.default_rng(0), {letter: ways[0] for letter, ways in poses.items()}
    hands = [
        draw_hands({**way, "seen": way["seen"][:1]}, ROWS, 0.0, rng).mean(0)
        for way in first.values()
    ]
    return np.stack(hands).astype(np.float32)


def _unit(vectors: Floats) -> Floats:
    lengths: Floats = vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
    return lengths


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m scripts.drawn_landmarks", description="Draw hands as points."
    )
    parser.add_argument(
        "--write",
        action="store_true",
        help="rewrite the rows in the package, and the page's samples",
    )
    options = parser.parse_args()
    poses: Any = OmegaConf.to_container(OmegaConf.load(Path(__file__).with_name("hand_poses.yaml")))
    drawn = draw_table(poses)
    print(f"{len(drawn):,} hands of {drawn['letter'].nunique()} letters")
    if options.write:
        np.save(SAMPLES, draw_samples(poses))
        table = read_landmarks(LANDMARKS)
        table = pd.concat([table[table["source"] != "drawn"], drawn])
        table.to_csv(
            LANDMARKS, index=False, float_format="%.4g", compression={"method": "gzip", "mtime": 0}
        )


if __name__ == "__main__":
    main()
