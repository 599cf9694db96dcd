"""Draws a right hand in the 24 letter poses of the American Sign Language finger alphabet, and variants of the photo.

Lengths are in palm lengths (wrist to knuckles), angles in degrees. Hand axes: the wrist is the origin, y points to the
fingertips, x to the thumb, z out of the palm. View axes: x points right, y up, z to the viewer.
"""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from omegaconf import OmegaConf
from PIL import Image
from scipy.ndimage import gaussian_filter
from scipy.spatial.transform import Rotation

Vector = tuple[float, float, float]
Floats = NDArray[np.float64]
Picture = NDArray[np.float32]

KNUCKLES = np.array(
    [(0.34, 0.98, 0.0), (0.115, 1.04, 0.03), (-0.11, 1.0, 0.02), (-0.32, 0.88, -0.02)]
)
CARPALS = np.array([(0.15, 0.1, 0.0), (0.05, 0.08, 0.02), (-0.06, 0.08, 0.02), (-0.15, 0.1, 0.0)])
FINGER_LENGTHS = np.array(
    [(0.45, 0.28, 0.22), (0.5, 0.32, 0.23), (0.46, 0.3, 0.22), (0.36, 0.22, 0.2)]
)
FINGER_RADII = np.array([0.136, 0.14, 0.133, 0.117])
TAPER = np.array([1.0, 0.95, 0.87])  # of the three bones of a finger
THUMB_ROOT = np.array([0.22, 0.16, 0.06])
THUMB_LENGTHS = np.array([0.42, 0.36, 0.3])
THUMB_RADII = np.array([0.165, 0.128, 0.112])
PALM_RADIUS, ARM_RADIUS = 0.16, 0.23


@dataclass(frozen=True)
class Pose:
    """How each finger bends and leans, where the thumb goes and how the hand is held."""

    bends: tuple[
        Vector, Vector, Vector, Vector
    ]  # index to little finger: flexion at knuckle, middle and end joint
    thumb: tuple[Vector, Vector, Vector]  # the thumb's three bones point at these, in hand axes
    leans: tuple[float, float, float, float] = (
        1,
        0,
        -1,
        -2,
    )  # each finger's angle towards the thumb side
    fingers: Vector = (0, 1, 0)  # where straight fingers point, in view axes
    palm: Vector = (0.1, 0, 1)  # where the palm faces, in view axes
    arm: Vector = (-0.12, -1, -0.1)  # from the wrist to the elbow, in view axes


@cache
def poses() -> dict[str, Pose]:
    """The pose of each letter."""
    table: Any = OmegaConf.to_container(OmegaConf.load(Path(__file__).with_name("poses.yaml")))
    return {letter: Pose(**settings) for letter, settings in table.items()}


@dataclass(frozen=True)
class Spread:
    """How far one photo strays from its pose: standard deviations, but for `roll`."""

    joint: float = 1.8  # degrees, every flexion
    lean: float = 1.0  # degrees, sideways, every finger
    length: float = 0.018  # relative, every bone
    thumb: float = 0.018  # palm lengths, every point that the thumb heads for
    turn: float = 2.5  # degrees, out of the picture plane
    roll: float = 10.0  # degrees, in the picture plane, at most
    shot: float = 4.0  # degrees, between shots, about every axis


class Draws(NamedTuple):
    """Random numbers of what a photo shares with others: give equal seeds for what is to be the same."""

    session: np.random.Generator  # hand's proportions, sleeve, light and wall
    burst: np.random.Generator  # how one letter is held, a few shots long
    shot: np.random.Generator  # small movements between shots


def build_capsules(pose: Pose, spread: Spread, draws: Draws) -> Floats:
    """A hand in a pose, strayed at random, in view axes, the wrist at the origin.

    float64 (n, 7), a capsule per row: start x, y, z, end x, y, z, radius. The last two are forearm and sleeve.
    """
    person, rng, shot = draws
    size, girth = 1 + person.normal(0, spread.length), 1 + person.normal(0, 1.4 * spread.length)
    y, palm = (
        _normalize(np.array(pose.fingers)),
        np.array(pose.palm),
    )  # the hand's axes in view axes
    z = _normalize(palm - (palm @ y) * y)
    tilt, turn = rng.normal(0, spread.turn, 2)
    angles = np.array([0.7 * tilt, turn, rng.uniform(-spread.roll, spread.roll)]) + shot.normal(
        0, spread.shot, 3
    )
    axes = Rotation.from_euler("xyz", angles, degrees=True).apply(np.stack([np.cross(y, z), y, z]))

    between = np.linspace(0, 3, 7)  # the four bones of the palm and the flesh between them
    wrist, knuckles = (
        np.stack([np.interp(between, range(4), axis) for axis in points.T], axis=1)
        for points in (CARPALS, KNUCKLES)
    )
    starts, ends, radii = [wrist], [knuckles], [np.full(7, PALM_RADIUS)]
    for finger in range(
        4
    ):  # flexion turns a finger from y towards z, leaning turns it towards the thumb
        flexion = np.radians(
            np.cumsum(np.array(pose.bends[finger]) + rng.normal(0, spread.joint, 3))
        )
        lean = np.radians(pose.leans[finger] + rng.normal(0, spread.lean))
        lengths = size * FINGER_LENGTHS[finger] * (1 + person.normal(0, spread.length))
        along = np.cos(flexion)
        steps = np.stack([along * np.sin(lean), along * np.cos(lean), np.sin(flexion)], axis=1)
        joints = np.vstack(
            [KNUCKLES[finger], KNUCKLES[finger] + np.cumsum(steps * lengths[:, None], axis=0)]
        )
        starts, ends, radii = (
            [*starts, joints[:-1]],
            [*ends, joints[1:]],
            [*radii, FINGER_RADII[finger] * TAPER],
        )
    thumb = [THUMB_ROOT]
    for target, length in zip(
        pose.thumb + rng.normal(0, spread.thumb, (3, 3)), size * THUMB_LENGTHS, strict=True
    ):
        thumb.append(thumb[-1] + length * _normalize(target - thumb[-1]))
    arm = _normalize(np.array(pose.arm) + rng.normal(0, 0.14, 3))
    cuff, sleeve_radius = person.uniform(0.2, 1), person.uniform(0.27, 0.36)
    start = np.concatenate([np.concatenate([*starts, thumb[:-1]]) @ axes, [0.1 * arm, cuff * arm]])
    end = np.concatenate([np.concatenate([*ends, thumb[1:]]) @ axes, [3 * arm, 3 * arm]])
    return np.column_stack(
        [start, end, girth * np.concatenate([*radii, THUMB_RADII, [ARM_RADIUS, sleeve_radius]])]
    )


def _normalize(vector: Floats) -> Floats:
    return vector / np.linalg.norm(vector)


CELL = 3  # drawn pixels per final pixel, along a side
MARGIN = 2  # final pixels drawn around the frame, which a rotation moves into it
BLUR = 0.45  # of the lens, in final pixels
BRIGHTEST = 0.84  # the exposure: leaves room for variants that are brighter and have more contrast
SUPPORT = 0.6  # width of the filters, in final pixels; at 1 the variants would differ more than the real set's
# B and C of the cubic filters that the real set was resampled with: Mitchell, Robidoux, Catmull-Rom, spline, Hermite.
FILTERS = ((1 / 3, 1 / 3), (0.3782, 0.3109), (0.0, 0.5), (1.0, 0.0), (0.0, 0.0))


@dataclass(frozen=True)
class Scene:
    """Light, greys (0..1) and framing of one photo; by default a well-lit hand in the middle of an even background."""

    light: tuple[float, float, float] = (-0.2, 0.5, 0.9)  # direction to it, in view axes
    gain: float = 1.0
    skin: float = 0.95
    sleeve: float = 0.2
    backdrop: Picture | float = 0.36  # (side, side) or one grey
    zoom: float = 1.0
    shift: tuple[float, float] = (0.0, 0.0)  # of the hand, in widths of the frame


def random_scene(draws: Draws, size: int) -> Scene:
    """Anybody's hand before a wall with a gradient and soft blobs; `size` is that of the variants, in pixels."""
    session, rng, shot = draws
    light = session.normal(0.0, 0.28), session.normal(0.45, 0.2), 0.9
    skin, gain = session.uniform(0.62, 0.98), session.uniform(0.85, 1.1)
    sleeve = session.uniform(0.08, 0.3) if session.random() < 0.5 else session.uniform(0.35, 0.9)
    contrast = session.uniform(0.12, 0.34) * (
        1 if session.random() < 0.7 else -1
    )  # the hand has to stand out
    wall = min(0.72 * skin * gain + contrast, 0.92)
    x = np.linspace(-1, 1, (size + 2 * MARGIN) * CELL, dtype=np.float32)
    y, (across, down) = x[:, None], session.normal(0.0, 0.06, 2).tolist()
    backdrop = wall + across * x + down * y
    for _ in range(session.integers(0, 3)):
        left, top = session.uniform(-1.2, 1.2, 2).tolist()
        width = session.uniform(0.25, 0.7)
        backdrop += session.normal(0.0, 0.08) * np.exp(
            -((x - left) ** 2 + (y - top) ** 2) / width**2
        )
    zoom = np.exp(rng.uniform(-0.12, 0.12) + shot.normal(0, 0.04))
    x, y = (rng.uniform(-0.065, 0.065, 2) + shot.normal(0, 0.03, 2)).tolist()
    return Scene(light, gain, skin, sleeve, backdrop, zoom, (x, y))


def draw(letter: str, draws: Draws, spread: Spread, scene: Scene, size: int) -> Picture:
    """One photo of a letter: float32 (side, side), 0..1, with side = (size + 2 * MARGIN) * CELL."""
    capsules = build_capsules(poses()[letter], spread, draws)
    joints = capsules[:-2, :6].reshape(-1, 3)[:, :2]  # the arm may leave the frame
    low, high = joints.min(axis=0) - 0.12, joints.max(axis=0) + 0.12
    extent = (
        1.29 * float((high - low).max()) ** 0.75 / scene.zoom
    )  # more room around a small hand than a large one
    centre_x, centre_y = (low + high) / 2 - np.array(scene.shift) * extent
    step, side = extent / (size * CELL), (size + 2 * MARGIN) * CELL
    offsets = (np.arange(side) - (side - 1) / 2) * step
    x, y = (centre_x + offsets).astype(np.float32), (centre_y - offsets).astype(np.float32)
    return _shade(_heights(capsules[:-1], x, y), _heights(capsules[-1:], x, y), scene, step)


def _heights(capsules: Floats, x: Picture, y: Picture) -> Picture:
    """Height of the surface towards the viewer: float32 (len(y), len(x)), -inf where there is none."""
    heights = np.full((len(y), len(x)), -np.inf, np.float32)
    for capsule in capsules:  # a tube seen at a slant between two balls
        start, end, radius = capsule[:3], capsule[3:6], float(capsule[6])
        low, high = np.minimum(start, end) - radius, np.maximum(start, end) + radius
        columns = slice(*np.searchsorted(x, (low[0], high[0])))
        rows = slice(*np.searchsorted(-y, (-high[1], -low[1])))
        right, up = x[columns] - np.float32(start[0]), y[rows, None] - np.float32(start[1])
        dx, dy, dz = (end - start).tolist()  # numpy scalars would make everything float64
        flat2 = max(dx * dx + dy * dy, 1e-6)
        whole2 = flat2 + dz * dz
        along = (right * dx + up * dy) / flat2
        square = radius * radius - (right * right + up * up)
        with np.errstate(invalid="ignore"):  # NaN beside it, which fmax ignores
            rise = np.sqrt(square + along * along * flat2) * np.sqrt(whole2 / flat2) + along * dz
            reached = (along * flat2 + rise * dz) / whole2
            tube = np.where((reached >= 0) & (reached <= 1), rise, -np.inf)
            balls = np.fmax(np.sqrt(square), dz + np.sqrt(square + (2 * along - 1) * flat2))
        heights[rows, columns] = np.fmax(
            heights[rows, columns], np.fmax(tube, balls) + np.float32(start[2])
        )
    return heights


def _shade(skin: Picture, sleeve: Picture, scene: Scene, step: float) -> Picture:
    """Light the surface; creases and rims are darkened so that folded fingers stay apart at 28×28."""
    depth = np.maximum(skin, sleeve)
    seen = np.isfinite(depth)
    depth[~seen] = depth[seen].min()
    slope_y, slope_x = np.gradient(gaussian_filter(depth, 0.7), step)
    facing = 1 / np.sqrt(1 + slope_x**2 + slope_y**2)
    x, y, z = scene.light
    lit = np.maximum(
        (z - x * slope_x + y * slope_y) * facing / float(np.hypot(np.hypot(x, y), z)), 0
    )
    hollow = np.maximum(gaussian_filter(depth, 0.08 / step) - depth, 0)
    tone = (0.42 + 0.58 * lit) * (0.68 + 0.32 * facing) * np.exp(-4.0 * hollow)
    albedo = np.where(sleeve > skin, scene.sleeve, scene.skin)
    photo = np.where(seen, albedo * tone * scene.gain, scene.backdrop)
    photo *= min(1.0, BRIGHTEST / float(np.percentile(photo, 99)))
    return gaussian_filter(photo.clip(0.02), BLUR * CELL).astype(np.float32)


def vary(photo: Picture, count: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Small variants of a drawn photo, by the recipe of the real set: uint8 (count, size, size), 0..255.

    Each is resampled with one of five cubic filters, turned by up to 3 degrees, has 5 % of its pixels moved a third of
    the way to the mean of their 2×2 block, and differs by up to 15 % in contrast and in brightness.
    """
    shrunk = [Image.fromarray(image) for image in shrink(photo)]
    angles = rng.permutation(np.linspace(-3, 3, count))
    choices = rng.integers(len(shrunk), size=count)
    turned = [
        shrunk[i].rotate(angle, Image.Resampling.BICUBIC)
        for i, angle in zip(choices, angles, strict=True)
    ]
    images = np.stack([np.asarray(image) for image in turned])[
        :, MARGIN:-MARGIN, MARGIN:-MARGIN
    ].copy()
    size = images.shape[1]
    padded = np.pad(images, ((0, 0), (0, size % 2), (0, size % 2)), mode="edge")
    blocks = (
        padded.reshape(count, (size + 1) // 2, 2, -1, 2)
        .mean(axis=(2, 4))
        .repeat(2, axis=1)
        .repeat(2, axis=2)
    )
    images += np.where(rng.random(images.shape) < 0.05, (blocks[:, :size, :size] - images) / 3, 0)
    means = images.mean(axis=(1, 2), keepdims=True)
    contrast, brightness = rng.uniform(0.85, 1.15, (2, count, 1, 1)).astype(np.float32)
    return to_uint8((images - means) * contrast + means * brightness)


def to_uint8(images: Picture) -> NDArray[np.uint8]:
    """Greys of 0..1 as 0..255."""
    return np.asarray(np.rint(images.clip(0, 1) * 255), np.uint8)


def shrink(photo: Picture) -> Picture:
    """The photo at its final size, margins included, once with each filter: float32 (filters, side, side)."""
    weights = _weights(len(photo) // CELL)
    return (weights @ photo @ weights.transpose(0, 2, 1)).astype(np.float32, copy=False)


@cache
def _weights(side: int) -> Picture:
    """Matrices (filters, side, side * CELL) of the cubic filters of Mitchell and Netravali (SIGGRAPH 1988)."""
    x = np.abs(np.arange(side)[:, None] + 0.5 - (np.arange(side * CELL) + 0.5) / CELL) / SUPPORT
    matrices = []
    for b, c in FILTERS:
        near = (12 - 9 * b - 6 * c) * x**3 + (-18 + 12 * b + 6 * c) * x**2 + 6 - 2 * b
        far = (
            (-b - 6 * c) * x**3 + (6 * b + 30 * c) * x**2 + (-12 * b - 48 * c) * x + 8 * b + 24 * c
        )
        matrix = np.where(x < 1, near, np.where(x < 2, far, 0))
        matrices.append(matrix / matrix.sum(axis=1, keepdims=True))
    return np.stack(matrices).astype(np.float32)
