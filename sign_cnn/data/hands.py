"""Hands as geometry: 24 letter poses of the American Sign Language finger alphabet, and their bones in space.

Lengths are in palm lengths (wrist to knuckles), angles in degrees. In the hand's own axes the wrist is the origin,
y points to the fingertips, x to the thumb, z out of the palm. In view axes x points right, y up and z to the viewer.
It is always the right hand.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Vector = tuple[float, float, float]
Floats = NDArray[np.float64]

STRAIGHT = (4.0, 6.0, 4.0)
FIST = (82.0, 102.0, 62.0)
DRAPED = (54.0, 100.0, 10.0)  # over the thumb, as in M, N and T

KNUCKLES = np.array([(0.34, 0.98, 0.0), (0.115, 1.04, 0.03), (-0.11, 1.0, 0.02), (-0.32, 0.88, -0.02)])
CARPALS = np.array([(0.15, 0.1, 0.0), (0.05, 0.08, 0.02), (-0.06, 0.08, 0.02), (-0.15, 0.1, 0.0)])
FINGER_LENGTHS = np.array([(0.45, 0.28, 0.22), (0.5, 0.32, 0.23), (0.46, 0.3, 0.22), (0.36, 0.22, 0.2)])
FINGER_RADII = np.array([0.136, 0.14, 0.133, 0.117])
TAPER = np.array([1.0, 0.95, 0.87])
THUMB_ROOT = np.array([0.22, 0.16, 0.06])
THUMB_LENGTHS = np.array([0.42, 0.36, 0.3])
THUMB_RADII = np.array([0.165, 0.128, 0.112])

HAND, ARM, SLEEVE = range(3)


@dataclass(frozen=True)
class Pose:
    """One letter: how each finger bends and leans, where the thumb goes, how the hand is held."""

    bends: tuple[Vector, Vector, Vector, Vector]  # index to little finger: flexion at knuckle, middle and end joint
    thumb: tuple[Vector, Vector, Vector]  # the thumb's knuckle, joint and tip head for these points
    leans: tuple[float, float, float, float] = (1.0, 0.0, -1.0, -2.0)  # each finger's angle towards the thumb side
    fingers: Vector = (0.0, 1.0, 0.0)  # where straight fingers point, in view axes
    palm: Vector = (0.1, 0.0, 1.0)  # where the palm faces, in view axes
    arm: Vector = (-0.12, -1.0, -0.1)  # from the wrist to the elbow, in view axes


THUMB_BESIDE = ((0.54, 0.48, 0.14), (0.62, 0.84, 0.3), (0.54, 1.2, 0.4))
THUMB_OUT = ((0.5, 0.48, 0.1), (0.86, 0.56, 0.12), (1.2, 0.62, 0.12))
THUMB_OVER = ((0.48, 0.48, 0.34), (0.38, 0.68, 0.62), (-0.05, 0.74, 0.68))
THUMB_OPPOSED = ((0.36, 0.42, 0.4), (0.3, 0.66, 0.68), (0.24, 0.9, 0.86))
BACK_OF_HAND = (0.1, -0.15, -1.0)
SIDEWAYS = (1.0, 0.06, 0.1)
ARM_BEHIND = (-1.0, -0.45, -0.1)

POSES: dict[str, Pose] = {
    "A": Pose((FIST, FIST, FIST, FIST), THUMB_BESIDE),
    "B": Pose((STRAIGHT, STRAIGHT, STRAIGHT, STRAIGHT), ((0.44, 0.5, 0.2), (0.24, 0.7, 0.32), (-0.1, 0.66, 0.32))),
    "C": Pose(
        ((38.0, 42.0, 28.0),) * 4,
        ((0.3, 0.34, 0.46), (0.3, 0.5, 0.82), (0.26, 0.72, 1.06)),
        fingers=(0.05, 1.0, 0.0),
        palm=(1.0, 0.0, 0.35),
    ),
    "D": Pose(
        (STRAIGHT, (62.0, 72.0, 40.0), (66.0, 74.0, 40.0), (70.0, 74.0, 40.0)),
        THUMB_OPPOSED,
        palm=(0.55, 0.0, 0.8),
    ),
    "E": Pose(((52.0, 112.0, 50.0),) * 4, ((0.48, 0.4, 0.22), (0.34, 0.5, 0.46), (-0.1, 0.5, 0.52))),
    "F": Pose(
        ((58.0, 66.0, 32.0), (14.0, 8.0, 4.0), (4.0, 6.0, 4.0), (0.0, 6.0, 4.0)),
        ((0.44, 0.44, 0.34), (0.48, 0.7, 0.6), (0.4, 0.9, 0.72)),
        leans=(6.0, 4.0, -10.0, -24.0),
        palm=(0.45, 0.0, 0.9),
    ),
    "G": Pose(
        (STRAIGHT, FIST, FIST, FIST),
        ((0.54, 0.46, 0.1), (0.7, 0.8, 0.1), (0.66, 1.2, 0.1)),
        fingers=SIDEWAYS,
        palm=BACK_OF_HAND,
        arm=ARM_BEHIND,
    ),
    "H": Pose((STRAIGHT, STRAIGHT, FIST, FIST), THUMB_OVER, fingers=SIDEWAYS, palm=BACK_OF_HAND, arm=ARM_BEHIND),
    "I": Pose((FIST, FIST, FIST, STRAIGHT), THUMB_OVER, leans=(1.0, 0.0, -1.0, -10.0)),
    "K": Pose(
        (STRAIGHT, (20.0, 8.0, 4.0), FIST, FIST),
        ((0.44, 0.5, 0.26), (0.34, 0.84, 0.44), (0.2, 1.2, 0.54)),
        leans=(10.0, -14.0, -1.0, -2.0),
        palm=(0.3, 0.0, 1.0),
    ),
    "L": Pose((STRAIGHT, FIST, FIST, FIST), THUMB_OUT),
    "M": Pose((DRAPED, DRAPED, DRAPED, FIST), ((0.3, 0.5, 0.3), (-0.1, 0.7, 0.46), (-0.3, 0.84, 0.68))),
    "N": Pose((DRAPED, DRAPED, FIST, FIST), ((0.4, 0.5, 0.24), (0.14, 0.74, 0.46), (-0.04, 0.92, 0.74))),
    "O": Pose(
        ((56.0, 52.0, 36.0),) * 4,
        ((0.28, 0.34, 0.44), (0.24, 0.6, 0.78), (0.16, 0.94, 0.86)),
        fingers=(0.05, 1.0, 0.0),
        palm=(1.0, 0.0, 0.3),
    ),
    "P": Pose(
        (STRAIGHT, (70.0, 8.0, 4.0), FIST, FIST),
        ((0.44, 0.5, 0.26), (0.3, 0.84, 0.4), (0.18, 1.1, 0.46)),
        leans=(4.0, 2.0, -1.0, -2.0),
        fingers=(1.0, -0.25, 0.3),
        palm=(-0.2, -1.0, -0.5),
        arm=(-1.0, 0.2, -0.1),
    ),
    "Q": Pose(
        ((16.0, 10.0, 6.0), FIST, FIST, FIST),
        ((0.54, 0.44, 0.2), (0.74, 0.76, 0.26), (0.7, 1.16, 0.26)),
        fingers=(0.15, -1.0, 0.1),
        palm=(0.2, 0.0, -1.0),
        arm=(-0.8, 0.6, -0.1),
    ),
    "R": Pose(
        ((10.0, 6.0, 4.0), (-4.0, 4.0, 4.0), FIST, FIST),
        THUMB_OVER,
        leans=(-13.0, 11.0, -1.0, -2.0),
        palm=(0.45, 0.0, 0.9),
    ),
    "S": Pose((FIST, FIST, FIST, FIST), ((0.4, 0.54, 0.42), (0.16, 0.74, 0.68), (-0.3, 0.76, 0.72))),
    "T": Pose(
        ((72.0, 98.0, 40.0), FIST, FIST, FIST),
        ((0.42, 0.54, 0.24), (0.26, 0.86, 0.56), (0.22, 1.4, 0.72)),
        leans=(8.0, -4.0, -3.0, -3.0),
        palm=(-0.18, 0.0, 0.9),
    ),
    "U": Pose((STRAIGHT, STRAIGHT, FIST, FIST), THUMB_OVER),
    "V": Pose((STRAIGHT, STRAIGHT, FIST, FIST), THUMB_OVER, leans=(16.0, -12.0, -1.0, -2.0)),
    "W": Pose(
        (STRAIGHT, STRAIGHT, STRAIGHT, FIST),
        ((0.42, 0.44, 0.24), (0.16, 0.6, 0.46), (-0.2, 0.72, 0.6)),
        leans=(17.0, 0.0, -17.0, -2.0),
    ),
    "X": Pose(((10.0, 88.0, 58.0), FIST, FIST, FIST), THUMB_OVER, palm=(0.8, 0.0, 0.6)),
    "Y": Pose((FIST, FIST, FIST, STRAIGHT), THUMB_OUT, leans=(1.0, 0.0, -1.0, -22.0)),
}


@dataclass(frozen=True)
class Spread:
    """How far one photograph strays from its pose: standard deviations."""

    joint: float = 1.8  # degrees, every flexion
    lean: float = 1.0  # degrees, sideways, every finger
    length: float = 0.018  # relative, every bone
    thumb: float = 0.018  # palm lengths, every point that the thumb heads for
    turn: float = 2.5  # degrees, out of the picture plane
    roll: float = 10.0  # degrees, in the picture plane: the largest, not a deviation


@dataclass(frozen=True)
class Bones:
    """Capsules in view axes, wrist at the origin."""

    starts: Floats  # (n, 3)
    ends: Floats  # (n, 3)
    radii: Floats  # (n,)
    parts: NDArray[np.int64]  # (n,), HAND, ARM or SLEEVE


def bones(pose: Pose, spread: Spread, rng: np.random.Generator) -> Bones:
    """The capsules of one hand in a pose, strayed at random."""
    size = 1.0 + rng.normal(0.0, spread.length)
    girth = 1.0 + rng.normal(0.0, 1.4 * spread.length)
    frame = _held(pose, spread, rng)
    starts, ends, radii, parts = [], [], [], []

    def add(path: Floats, thickness: Floats, part: int) -> None:
        starts.append(path[:-1])
        ends.append(path[1:])
        radii.append(thickness * girth)
        parts.append(np.full(len(thickness), part))

    for place in np.linspace(0, 3, 7):  # the four bones of the palm and the flesh between them
        ends_of_ray = [[np.interp(place, range(4), axis) for axis in points.T] for points in (CARPALS, KNUCKLES)]
        add(np.array(ends_of_ray), np.array([0.16]), HAND)
    for finger in range(4):
        bends = np.array(pose.bends[finger]) + rng.normal(0.0, spread.joint, 3)
        lean = pose.leans[finger] + rng.normal(0.0, spread.lean)
        lengths = size * FINGER_LENGTHS[finger] * (1.0 + rng.normal(0.0, spread.length))
        add(_finger(KNUCKLES[finger], bends, lean, lengths), FINGER_RADII[finger] * TAPER, HAND)
    thumb = _thumb(np.array(pose.thumb) + rng.normal(0.0, spread.thumb, (3, 3)), size * THUMB_LENGTHS)
    add(thumb[:2], THUMB_RADII[:1], HAND)
    add(thumb[1:], THUMB_RADII[1:], HAND)

    starts, ends = [np.concatenate(starts) @ frame], [np.concatenate(ends) @ frame]
    arm = _unit(np.array(pose.arm) + rng.normal(0.0, 0.14, 3))
    cuff = rng.uniform(0.2, 1.0)
    add(np.array([0.1, 3.0])[:, None] * arm, np.array([0.23]), ARM)
    add(np.array([cuff, 3.0])[:, None] * arm, np.array([rng.uniform(0.27, 0.36)]), SLEEVE)
    return Bones(np.concatenate(starts), np.concatenate(ends), np.concatenate(radii), np.concatenate(parts))


def _finger(knuckle: Floats, bends: Floats, lean: float, lengths: Floats) -> Floats:
    """Joints (4, 3) of one finger; flexion turns it from y towards z, leaning turns it towards the thumb."""
    flexion, sideways = np.radians(np.cumsum(bends)), np.radians(lean)
    along = np.cos(flexion)
    steps = np.stack([along * np.sin(sideways), along * np.cos(sideways), np.sin(flexion)], axis=1)
    return np.concatenate([knuckle[None], knuckle + np.cumsum(steps * lengths[:, None], axis=0)])


def _thumb(waypoints: Floats, lengths: Floats) -> Floats:
    """Joints (4, 3) of the thumb, each bone of its own length heading for its waypoint."""
    path = [THUMB_ROOT]
    for waypoint, length in zip(waypoints, lengths, strict=True):
        path.append(path[-1] + length * _unit(waypoint - path[-1]))
    return np.stack(path)


def _held(pose: Pose, spread: Spread, rng: np.random.Generator) -> Floats:
    """Rows are the hand's x, y and z in view axes, tilted and rolled at random."""
    y = _unit(np.array(pose.fingers))
    palm = np.array(pose.palm)
    z = _unit(palm - (palm @ y) * y)
    frame = np.stack([np.cross(y, z), y, z])
    tilt, turn = np.radians(rng.normal(0.0, spread.turn, 2))
    roll = np.radians(rng.uniform(-spread.roll, spread.roll))
    return frame @ _rotation(0, 0.7 * tilt) @ _rotation(1, turn) @ _rotation(2, roll)


def _rotation(axis: int, angle: float) -> Floats:
    """Rotation matrix about one of the view axes, for row vectors."""
    a, b = (axis + 1) % 3, (axis + 2) % 3
    matrix = np.eye(3)
    matrix[a, a] = matrix[b, b] = np.cos(angle)
    matrix[a, b], matrix[b, a] = np.sin(angle), -np.sin(angle)
    return matrix


def _unit(vector: Floats) -> Floats:
    """The vector at length one."""
    return vector / np.linalg.norm(vector)
