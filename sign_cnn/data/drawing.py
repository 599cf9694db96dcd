"""Draws one hand as a large grey photograph, and makes small variants of it as the real set was made."""

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter

from sign_cnn.data.dataset import IMAGE_SIZE
from sign_cnn.data.hands import HAND, POSES, SLEEVE, Bones, Spread, bones

Picture = NDArray[np.float32]
Floats = NDArray[np.float64]

CELL = 3  # drawn pixels per final pixel
MARGIN = 2  # final pixels drawn around the frame, so that a rotation finds something to show
BLUR = 0.45  # of the lens, in final pixels
BRIGHTEST = 0.84  # the exposure: room for a variant that is brighter and has more contrast
SUPPORT = 0.6  # width of the filters, in final pixels; at 1 the variants would differ more than the real set's
FILTERS = {  # (B, C) of the cubic filters that the real set was resampled with
    "mitchell": (1 / 3, 1 / 3),
    "robidoux": (0.3782, 0.3109),
    "catrom": (0.0, 0.5),
    "spline": (1.0, 0.0),
    "hermite": (0.0, 0.0),
}


@dataclass(frozen=True)
class Scene:
    """Light, greys and framing of one photograph."""

    light: tuple[float, float, float]  # direction to it, in view axes
    gain: float
    skin: float  # 0..1
    sleeve: float  # 0..1
    backdrop: Picture  # (side, side), 0..1
    zoom: float
    shift: tuple[float, float]  # of the hand, in widths of the frame


def plain_scene(size: int = IMAGE_SIZE) -> Scene:
    """A well-lit hand in the middle of an even background."""
    return Scene((-0.2, 0.5, 0.9), 1.0, 0.95, 0.2, np.full((_side(size),) * 2, 0.36, np.float32), 1.0, (0.0, 0.0))


def random_scene(rng: np.random.Generator, size: int = IMAGE_SIZE) -> Scene:
    """Anybody's hand before a wall with a gradient and soft blobs."""
    light = rng.normal(0.0, 0.28), rng.normal(0.45, 0.2), 0.9
    skin, gain = rng.uniform(0.62, 0.98), rng.uniform(0.85, 1.1)
    sleeve = rng.uniform(0.08, 0.3) if rng.random() < 0.5 else rng.uniform(0.35, 0.9)
    contrast = rng.uniform(0.12, 0.34) * (1 if rng.random() < 0.7 else -1)  # a hand has to stand out from the wall
    wall = min(0.72 * skin * gain + contrast, 0.92)
    steps = np.linspace(-1, 1, _side(size), dtype=np.float32)
    x, y = steps, steps[:, None]
    across, down = rng.normal(0.0, 0.06, 2).tolist()
    backdrop = wall + across * x + down * y
    for _ in range(rng.integers(0, 3)):
        left, top = rng.uniform(-1.2, 1.2, 2).tolist()
        backdrop += rng.normal(0.0, 0.08) * np.exp(-((x - left) ** 2 + (y - top) ** 2) / rng.uniform(0.25, 0.7) ** 2)
    zoom = np.exp(rng.uniform(-0.12, 0.12))
    return Scene(light, gain, skin, sleeve, backdrop, zoom, (rng.uniform(-0.065, 0.065), rng.uniform(-0.065, 0.065)))


def draw(letter: str, rng: np.random.Generator, spread: Spread, scene: Scene, size: int = IMAGE_SIZE) -> Picture:
    """One photograph of a letter: float32 (side, side), 0..1, `CELL` times as fine as `size` and with a margin."""
    hand = bones(POSES[letter], spread, rng)
    (centre_x, centre_y), extent = _framing(hand, scene)
    step = extent / (size * CELL)
    offsets = (np.arange(_side(size)) - (_side(size) - 1) / 2) * step
    skin, sleeve = _surface(hand, (centre_x + offsets).astype(np.float32), (centre_y - offsets).astype(np.float32))
    return _shade(skin, sleeve, scene, step)


def _side(size: int) -> int:
    """Drawn pixels along a side, margins included."""
    return (size + 2 * MARGIN) * CELL


def _framing(hand: Bones, scene: Scene) -> tuple[Floats, float]:
    """Middle and width of the view: the hand without its arm, and more room around a small one than a large one."""
    joints = np.concatenate([hand.starts, hand.ends])[np.tile(hand.parts == HAND, 2), :2]
    low, high = joints.min(axis=0) - 0.12, joints.max(axis=0) + 0.12
    extent = 1.29 * float((high - low).max()) ** 0.75 / scene.zoom
    return (low + high) / 2 - np.array(scene.shift) * extent, extent


def _surface(hand: Bones, x: Picture, y: Picture) -> tuple[Picture, Picture]:
    """Heights towards the viewer of skin and of sleeve: float32 (len(y), len(x)), -inf where there is none."""
    skin, sleeve = np.full((2, len(y), len(x)), -np.inf, np.float32)
    for start, end, radius, part in zip(hand.starts, hand.ends, hand.radii, hand.parts, strict=True):
        low, high = np.minimum(start, end) - radius, np.maximum(start, end) + radius
        columns = slice(*np.searchsorted(x, (low[0], high[0])))
        rows = slice(*np.searchsorted(-y, (-high[1], -low[1])))
        target = (sleeve if part == SLEEVE else skin)[rows, columns]
        np.fmax(target, _capsule(start, end, float(radius), x[columns], y[rows, None]), out=target)
    return skin, sleeve


def _capsule(start: Floats, end: Floats, radius: float, x: Picture, y: Picture) -> Picture:
    """Height of a capsule at every pixel, -inf beside it: a tube, seen at a slant, between two balls."""
    dx, dy, dz = (float(d) for d in end - start)  # numpy scalars would make everything float64
    flat2 = max(dx * dx + dy * dy, 1e-6)
    whole2 = flat2 + dz * dz
    x, y = x - np.float32(start[0]), y - np.float32(start[1])
    from_start = x * x + y * y
    along = (x * dx + y * dy) / flat2
    square = radius * radius - from_start
    with np.errstate(invalid="ignore"):
        rise = np.sqrt(square + along * along * flat2) * np.sqrt(whole2 / flat2) + along * dz
        reached = (along * flat2 + rise * dz) / whole2
        tube = np.where((reached >= 0) & (reached <= 1), rise, -np.inf)
        balls = np.fmax(np.sqrt(square), dz + np.sqrt(square + (2 * along - 1) * flat2))
    return np.fmax(np.fmax(tube, balls), -np.inf) + np.float32(start[2])


def _shade(skin: Picture, sleeve: Picture, scene: Scene, step: float) -> Picture:
    """Lights the surface; creases and rims are darkened so that folded fingers stay apart at 28x28."""
    depth = np.maximum(skin, sleeve)
    seen = np.isfinite(depth)
    depth[~seen] = depth[seen].min()
    slope_y, slope_x = np.gradient(gaussian_filter(depth, 0.7), step)
    facing = 1 / np.sqrt(1 + slope_x**2 + slope_y**2)
    x, y, z = scene.light
    lit = np.maximum((z - x * slope_x + y * slope_y) * facing / float(np.hypot(np.hypot(x, y), z)), 0)
    hollow = np.maximum(gaussian_filter(depth, 0.08 / step) - depth, 0)
    tone = (0.42 + 0.58 * lit) * (0.68 + 0.32 * facing) * np.exp(-4.0 * hollow)
    albedo = np.where(sleeve > skin, scene.sleeve, scene.skin)
    photograph = np.where(seen, albedo * tone * scene.gain, scene.backdrop)
    photograph *= min(1.0, BRIGHTEST / float(np.percentile(photograph, 99)))
    return gaussian_filter(photograph.clip(0.02), BLUR * CELL).astype(np.float32)


def vary(photograph: Picture, count: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Small variants of a drawn photograph, by the recipe of the real set: uint8 (count, size, size), 0..255.

    Each is resampled with one of five cubic filters, turned by up to 3 degrees, has 5 % of its pixels moved a third of
    the way to the mean of their 2x2 block, and differs by up to 15 % in contrast and in brightness.
    """
    shrunk = [Image.fromarray(image) for image in shrink(photograph)]
    size = shrunk[0].width - 2 * MARGIN
    images = np.empty((count, size, size), np.float32)
    inside = slice(MARGIN, MARGIN + size)
    angles = rng.permutation(np.linspace(-3, 3, count))
    for image, angle, choice in zip(images, angles, rng.integers(len(shrunk), size=count), strict=True):
        image[:] = np.asarray(shrunk[choice].rotate(angle, Image.Resampling.BICUBIC))[inside, inside]
    blocks = images.reshape(count, size // 2, 2, size // 2, 2).mean(axis=(2, 4)).repeat(2, axis=1).repeat(2, axis=2)
    images += np.where(rng.random(images.shape) < 0.05, (blocks - images) / 3, 0)
    means = images.mean(axis=(1, 2), keepdims=True)
    contrast, brightness = rng.uniform(0.85, 1.15, (2, count, 1, 1)).astype(np.float32)
    images = (images - means) * contrast + means * brightness
    return to_uint8(images)


def to_uint8(images: Picture) -> NDArray[np.uint8]:
    """Greys of 0..1 as 0..255."""
    levels: NDArray[np.uint8] = np.rint(images.clip(0, 1) * 255).astype(np.uint8)
    return levels


def shrink(photograph: Picture) -> Picture:
    """The photograph at its final size, margins included, once with each filter: float32 (filters, side, side)."""
    weights = _weights(len(photograph) // CELL)
    return (weights @ photograph @ weights.transpose(0, 2, 1)).astype(np.float32, copy=False)


@cache
def _weights(side: int) -> Picture:
    """Matrices (filters, side, side * CELL) of the cubic filters of Mitchell and Netravali."""
    x = np.abs(np.arange(side)[:, None] + 0.5 - (np.arange(side * CELL) + 0.5) / CELL) / SUPPORT
    matrices = []
    for b, c in FILTERS.values():
        near = (12 - 9 * b - 6 * c) * x**3 + (-18 + 12 * b + 6 * c) * x**2 + 6 - 2 * b
        far = (-b - 6 * c) * x**3 + (6 * b + 30 * c) * x**2 + (-12 * b - 48 * c) * x + 8 * b + 24 * c
        matrix = np.where(x < 1, near, np.where(x < 2, far, 0))
        matrices.append(matrix / matrix.sum(axis=1, keepdims=True))
    return np.stack(matrices).astype(np.float32)
