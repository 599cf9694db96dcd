"""A right hand of 21 joints, posed for each of the 24 letters of the American finger alphabet.

Joints are in MediaPipe's order. Lengths are in palms (from the wrist to the knuckles), angles in
degrees. Hand axes: the wrist is the origin, x points to the thumb, y to the fingertips and z out of
the palm. View axes: x points to the right, y up and z to the viewer.
"""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from omegaconf import OmegaConf
from scipy.spatial.transform import Rotation

Floats = NDArray[np.float64]
Rng = np.random.Generator
Vector = tuple[float, float, float]

KNUCKLES = np.array([(30, 97, 2), (5, 100, 0), (-18, 96, 0), (-38, 85, 2)]) / 100
FINGER_BONES = np.array([(44, 28, 23), (48, 31, 25), (45, 29, 24), (36, 22, 20)]) / 100
THUMB_ROOT, THUMB_BONES = np.array([0.27, 0.27, 0.19]), np.array([0.45, 0.38, 0.31])
ROLL = 18.0  # degrees by which a hand is turned in the picture plane, at most


@dataclass(frozen=True)
class Pose:
    """One way to hold a letter; `poses.yaml` says what the numbers mean."""

    bends: tuple[Vector, Vector, Vector, Vector]
    leans: tuple[float, float, float, float]
    thumb: tuple[Vector, Vector, Vector]
    views: list[tuple[Vector, Vector]]
    share: float = 1.0
    pictured: int = -1


@cache
def load_poses() -> dict[str, list[Pose]]:
    """Return the ways to hold each letter, the plainest first."""
    table: Any = OmegaConf.to_container(OmegaConf.load(Path(__file__).with_name("poses.yaml")))
    return {letter: [Pose(**way) for way in ways] for letter, ways in table.items()}


def sample_joints(
    pose: Pose, count: int, rng: Rng, turn: float, spread: float = 1.0, person: Rng | None = None
) -> Floats:
    """Sample hands in a pose.

    Args:
        pose: How the letter is held.
        count: Number of hands.
        rng: Random numbers for joints and views.
        turn: Standard deviation, in degrees, of the two turns out of the picture plane.
        spread: Factor on all other deviations; at 1 they are those of many people's hands.
        person: Random numbers for the proportions, where hands of one person share them; `rng` by
            default.

    Returns:
        The joints, float64 (count, 21, 3), in view axes, with the wrist at the origin.
    """
    person = person or rng

    def stray(source: Rng, deviation: float, *shape: int) -> Floats:
        return source.normal(0, spread * deviation, (count, *shape))

    fingers, palms = (np.array(seen, float) for seen in zip(*pose.views, strict=True))
    chosen = rng.integers(0, len(fingers), count)
    up, front = _unit(fingers[chosen]), palms[chosen]
    front = _unit(front - (front * up).sum(1, keepdims=True) * up)
    roll = spread * rng.uniform(-ROLL, ROLL, count)
    angles = np.stack([roll, *rng.normal(0, turn, (2, count))], axis=1)
    turns = Rotation.from_euler("ZYX", angles, degrees=True).as_matrix()
    axes = np.einsum("nij,nkj->nki", turns, np.stack([np.cross(up, front), up, front], axis=1))

    size, joints = np.exp(stray(person, 0.07)), np.zeros((count, 21, 3))
    common, width = stray(rng, 9, 3), np.exp(stray(person, 0.1))
    for finger, (bends, lean) in enumerate(zip(pose.bends, pose.leans, strict=True)):
        looseness = 0.35 + 0.65 * (np.array(bends) > 15)  # a straight finger varies less
        noise = (0.7 * common + stray(rng, 9, 3)) * looseness
        flexed = np.radians((bends * (1 + stray(rng, 0.08, 1)) + noise).clip(-8, 165).cumsum(1))
        aside = np.radians(lean * np.exp(stray(rng, 0.3)) + stray(rng, 4))[:, None]
        lengths = (size * np.exp(stray(person, 0.049)))[:, None] * FINGER_BONES[finger]
        lengths = lengths * np.exp(stray(person, 0.08, 3))
        along = np.cos(flexed)
        bones = np.stack([along * np.sin(aside), along * np.cos(aside), np.sin(flexed)], axis=2)
        knuckle = KNUCKLES[finger] * np.stack([width, *np.ones((2, count))], axis=1)
        knuckle = (knuckle + stray(person, 0.025, 3))[:, None]
        chain = knuckle + (bones * lengths[:, :, None]).cumsum(1)
        joints[:, 5 + 4 * finger : 9 + 4 * finger] = np.concatenate([knuckle, chain], axis=1)
    joints[:, 1] = THUMB_ROOT + stray(person, 0.05, 3)
    targets = pose.thumb + stray(rng, 0.063, 3, 3) + stray(rng, 0.09, 1, 3)
    lengths = (size * np.exp(stray(person, 0.07)))[:, None] * THUMB_BONES
    for joint in range(3):
        heading = _unit(targets[:, joint] - joints[:, 1 + joint])
        joints[:, 2 + joint] = joints[:, 1 + joint] + lengths[:, joint, None] * heading
    return np.asarray(np.einsum("nij,njk->nik", joints, axes))


def _unit(vectors: Floats) -> Floats:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=-1, keepdims=True))
