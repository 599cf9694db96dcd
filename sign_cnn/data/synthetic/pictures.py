"""Synthetic pictures of hands, as many variants of each photo as the real set has.

A photo shows capsules around the bones of a posed hand. What its person, room and light have in
common is sampled per session, how a letter is held per burst (a session's photos of one letter),
and small movements per shot.
"""

from dataclasses import replace
from itertools import product
from string import ascii_uppercase

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter, uniform_filter
from scipy.spatial.transform import Rotation

from sign_cnn.config import SyntheticConfig
from sign_cnn.data.synthetic.skeleton import Floats, Rng, load_poses, sample_joints
from sign_cnn.errors import DataError
from sign_cnn.letters import LETTERS

Picture = NDArray[np.float32]


DIGIT_RADII = np.array([14, 13.6, 14, 13.3, 11.7]) / 100  # thumb to little finger, in palms
TAPER = np.array([1.0, 0.94, 0.86])  # of the three bones of a digit
PALM_RADIUS, ARM_RADIUS = 0.16, 0.23
CELL = 3  # rendered pixels per final pixel, along a side
MARGIN = 2  # final pixels rendered around the frame, which a rotation moves into it
BLUR = 0.35  # of the lens, in final pixels
FILTERS = [method for method in Image.Resampling if method != Image.Resampling.NEAREST]


def render_photo(letter: str, session: Rng, burst: Rng, shot: Rng, image_size: int) -> Picture:
    """Render one photo of a letter, at `CELL` times the final resolution and with margins.

    Args:
        letter: One of the 24 letters.
        session: Random numbers of the person, the room and the light.
        burst: Random numbers of how this person holds the letter.
        shot: Random numbers of movements between the photos of a burst.
        image_size: Height and width of the final pictures, in pixels.

    Returns:
        Greys, float32 (side, side), 0..1, with side = (image_size + 2 * MARGIN) * CELL.
    """
    way = max(load_poses()[letter], key=lambda way: way.pictured)
    pose = replace(way, views=[way.views[max(way.pictured, 0)]])
    joints = sample_joints(pose, 1, burst, turn=2.5, spread=0.15, person=session)[0]
    joints = Rotation.from_euler("xyz", shot.normal(0, 3.5, 3), degrees=True).apply(joints)
    capsules = _cover(joints, session, burst)

    shift = burst.uniform(-0.04, 0.04, 2) + shot.normal(0, 0.03, 2)
    zoom = np.exp(burst.uniform(-0.12, 0.12) + shot.normal(0, 0.04))
    low, high = joints[:, :2].min(axis=0) - 0.12, joints[:, :2].max(axis=0) + 0.12
    extent = 1.29 * float((high - low).max()) ** 0.75 / zoom  # more room around a small hand
    side, step = (image_size + 2 * MARGIN) * CELL, extent / (image_size * CELL)
    offsets = (np.arange(side) - (side - 1) / 2)[:, None] * [step, -step]
    x, y = (((low + high) / 2 - shift * extent + offsets).T).astype(np.float32)
    return _shade(_heights(capsules[:-1], x, y), _heights(capsules[-1:], x, y), step, session)


def make_variants(photo: Picture, count: int, rng: Rng) -> NDArray[np.uint8]:
    """Make small variants of a rendered photo, by the recipe of the real set.

    Each is resampled with one of five filters, turned by up to 3 degrees, has 5 % of its pixels
    moved a third of the way to the mean of a 2×2 block, and differs by up to 15 % in contrast and
    in brightness.

    Args:
        photo: What `render_photo` returns.
        count: Number of variants.
        rng: Random numbers.

    Returns:
        Pictures, uint8 (count, image_size, image_size), 0..255.
    """
    side = len(photo) // CELL
    shrunk = [Image.fromarray(photo).resize((side, side), method) for method in FILTERS]
    angles = rng.permutation(np.linspace(-3, 3, count))
    pairs = zip(rng.integers(len(shrunk), size=count), angles, strict=True)
    turned = [np.asarray(shrunk[i].rotate(angle, Image.Resampling.BICUBIC)) for i, angle in pairs]
    images = np.stack(turned)[:, MARGIN:-MARGIN, MARGIN:-MARGIN]
    changes = (uniform_filter(images, (0, 2, 2)) - images) / 3
    images = images + changes * (rng.random(images.shape) < 0.05)
    means = images.mean(axis=(1, 2), keepdims=True)
    contrast, brightness = rng.uniform(0.85, 1.15, (2, count, 1, 1)).astype(np.float32)
    images = (images - means) * contrast + means * brightness
    return np.asarray(np.rint(images.clip(0, 1) * 255), np.uint8)


def draw_letter(letter: str, image_size: int = 28, seed: int = 0) -> NDArray[np.uint8]:
    """Return one picture of a letter: uint8 (image_size, image_size), 0..255."""
    session, burst, shot = (np.random.default_rng([seed, level]) for level in range(3))
    photo = render_photo(letter, session, burst, shot, image_size)
    return np.asarray(make_variants(photo, 1, shot)[0])


def make_pictures(
    config: SyntheticConfig, letters: str = LETTERS, image_size: int = 28
) -> tuple[NDArray[np.uint8], pd.DataFrame]:
    """Make a set of pictures.

    A photo does not depend on the number of photos and letters. It has `config.variants` variants,
    or one more, or one less.

    Args:
        config: The size of the set and its seed.
        letters: The letters to make, in any order.
        image_size: Height and width of the pictures, in pixels.

    Returns:
        Pictures, uint8 (N, image_size, image_size), 0..255, in random order, and a table of their
        `split` (train or test), `photo`, `session` and `label`, a letter's place in the alphabet.

    Raises:
        DataError: If a letter has no pose.
    """
    if unknown := sorted(set(letters) - set(LETTERS)):
        raise DataError(f"data.letters={letters}: there are no synthetic hands of {unknown}")
    total, images = config.train_photos + config.test_photos, list[NDArray[np.uint8]]()
    facts = list[tuple[str, int, int, int]]()

    def random_numbers(*key: int) -> Rng:
        return np.random.default_rng(np.random.SeedSequence(config.seed, spawn_key=key))

    for letter, number in product(sorted(letters), range(total)):
        label, session = ascii_uppercase.index(letter), number // config.shots
        in_train = random_numbers(0, label).permutation(total)[number] < config.train_photos
        person, burst = random_numbers(1, session), random_numbers(2, session, label)
        shot = random_numbers(3, number, label)
        photo = render_photo(letter, person, burst, shot, image_size)
        images.append(make_variants(photo, config.variants + int(shot.integers(-1, 2)), shot))
        fact = ("train" if in_train else "test", len(images), session, label)
        facts += [fact] * len(images[-1])
    table = pd.DataFrame(facts, columns=["split", "photo", "session", "label"])
    table = table.sample(frac=1, random_state=random_numbers(4))
    return np.concatenate(images)[table.index], table.reset_index(drop=True)


def _cover(joints: Floats, session: Rng, burst: Rng) -> Floats:
    """Return capsules (start, end, radius), float64 (n, 7), of flesh, forearm and, last, sleeve."""
    digits, knuckles = joints[1:].reshape(5, 4, 3), joints[5::4]
    palm = np.concatenate([knuckles, (knuckles[1:] + knuckles[:-1]) / 2])
    carpals = 0.44 * palm - 0.34 * knuckles.mean(axis=0)
    arm = burst.normal([0, -0.4, -0.1], 0.14) - joints[9]
    arm /= np.linalg.norm(arm)
    cuff, sleeve_radius = session.uniform(0.2, 1), session.uniform(0.27, 0.36)
    starts = [*digits[:, :3].reshape(15, 3), *carpals, joints[0], 0.1 * arm, cuff * arm]
    ends = [*digits[:, 1:].reshape(15, 3), *palm, joints[1], 3 * arm, 3 * arm]
    radii = [*np.outer(DIGIT_RADII, TAPER).ravel(), *[PALM_RADIUS] * 8, ARM_RADIUS, sleeve_radius]
    return np.column_stack([starts, ends, np.array(radii) * session.normal(1, 0.025)])


def _heights(capsules: Floats, x: Picture, y: Picture) -> Picture:
    """Return the surface's height towards the viewer, float32 (len(y), len(x)), -inf beside it."""
    heights = np.full((len(y), len(x)), -np.inf, np.float32)
    for capsule in capsules:
        start, end, radius = capsule[:3], capsule[3:6], float(capsule[6])
        low, high = np.minimum(start, end) - radius, np.maximum(start, end) + radius
        columns = slice(*np.searchsorted(x, (low[0], high[0])))
        rows = slice(*np.searchsorted(-y, (-high[1], -low[1])))
        right, up = x[columns] - np.float32(start[0]), y[rows, None] - np.float32(start[1])
        dx, dy, dz = (end - start).tolist()  # numpy scalars would make everything float64
        flat2 = max(dx * dx + dy * dy, 1e-6)
        along = (right * dx + up * dy) / flat2
        with np.errstate(invalid="ignore"):  # NaN beside the capsule, which fmax ignores
            arch = np.sqrt(radius * radius - (right * right + up * up - along * along * flat2))
            highest = along + arch * (dz / (flat2 * (flat2 + dz * dz)) ** 0.5)
            ball = highest.clip(0, 1)  # where the ball lies that is seen, on the way to the end
            rise = ball * dz + np.sqrt(arch * arch - (along - ball) ** 2 * flat2)
        heights[rows, columns] = np.fmax(heights[rows, columns], rise + np.float32(start[2]))
    return heights


def _shade(flesh: Picture, sleeve: Picture, step: float, session: Rng) -> Picture:
    """Return the lit surfaces before a wall, with dark creases and rims between the fingers."""
    light = session.normal([0, 0.45, 0.9], [0.28, 0.2, 0])
    x, y, z = (light / np.linalg.norm(light)).tolist()
    skin, cloth = session.uniform([0.5, 0.1], [0.9, 0.8])  # leaves room for brighter variants
    contrast = session.uniform(0.12, 0.34) * session.choice([1, 1, -1])
    corners = min(0.72 * skin + contrast, 0.8) + session.normal(0, 0.06, (2, 2))
    wall = np.asarray(Image.fromarray(corners.astype(np.float32)).resize(flesh.shape[::-1]))

    depth = np.maximum(flesh, sleeve)
    seen = np.isfinite(depth)
    depth[~seen] = depth[seen].min()
    slope_y, slope_x = np.gradient(gaussian_filter(depth, 0.7), step)
    facing = 1 / np.sqrt(1 + slope_x**2 + slope_y**2)
    lit = np.maximum((z - x * slope_x + y * slope_y) * facing, 0)
    hollow = np.maximum(gaussian_filter(depth, 0.08 / step) - depth, 0)
    tone = (0.42 + 0.58 * lit) * (0.68 + 0.32 * facing) * np.exp(-5.0 * hollow)
    photo = np.where(seen, np.where(sleeve > flesh, cloth, skin) * tone, wall)
    return gaussian_filter(photo.clip(0.02), BLUR * CELL).astype(np.float32)
