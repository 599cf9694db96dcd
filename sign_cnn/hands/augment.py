"""Random changes to landmarks, of whole batches of hands at once: for training and for `fit`."""

import math

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

NUM_RANDOM_NUMBERS = 8 + 63  # for a hand as a whole, then three for each landmark


def augment_landmarks(
    landmarks: Floats,
    random_numbers: Floats,
    *,
    rotation: float = 0.0,
    tilt: float = 0.0,
    aspect: float = 0.0,
    depth: float = 0.0,
    flat: float = 0.0,
    mirror: float = 0.0,
    jitter: float = 0.0,
) -> Floats:
    """Turn, stretch, mirror and disturb hands, each in its own way.

    Args:
        landmarks: float32 (N, 21, 3), in any unit.
        random_numbers: float32 (N, NUM_RANDOM_NUMBERS), uniform in 0..1.
        rotation: ± degrees, in the picture.
        tilt: ± degrees, out of the picture, about both axes.
        aspect: ± natural logarithm of the stretch of x.
        depth: ± natural logarithm of the stretch of z.
        flat: Probability that z becomes 0.
        mirror: Probability that left and right are swapped.
        jitter: Standard deviation of each coordinate, in palms.

    Returns:
        float32 (N, 21, 3), with the wrist, but for its jitter, at 0, and the palm as unit.
    """
    signed = 2 * random_numbers - 1
    x, y, z = np.moveaxis(to_palms(landmarks), 2, 0)
    x = np.where(random_numbers[:, 6:7] < mirror, -x, x)
    z = np.where(random_numbers[:, 2:3] < flat, 0, z * np.exp(depth * signed[:, 1:2]))
    y, z = _turn(y, z, tilt * signed[:, 3:4])
    x, z = _turn(x, z, tilt * signed[:, 4:5])
    x, y = _turn(x, y, rotation * signed[:, 5:6])
    # Last, because sources measure x and y in shares of pictures of other shapes.
    x = x * np.exp(aspect * signed[:, :1])
    landmarks = np.stack([x, y, z], axis=2)
    return landmarks + math.sqrt(3) * jitter * signed[:, 8:].reshape(landmarks.shape)


def to_palms(landmarks: Floats) -> Floats:
    """Return landmarks (N, 21, 3) with the wrist at 0 and the palm, up to the knuckles, as unit."""
    landmarks = landmarks - landmarks[:, :1]
    palms = np.linalg.norm(landmarks[:, [5, 9, 13, 17]], axis=2).mean(1).clip(1e-6)
    return np.asarray(landmarks / palms[:, None, None])


def _turn(a: Floats, b: Floats, degrees: Floats) -> tuple[Floats, Floats]:
    angle = degrees * (math.pi / 180)
    cos, sin = np.cos(angle), np.sin(angle)
    return cos * a - sin * b, sin * a + cos * b
