"""Teach an exported network of points a person's own hand, in a second and without torch.

The last layer alone is fitted: logits + embedding · `taught`, where `taught` is a weight of the file that was zero. The
result is again a file that the page, `sign_cnn.predict` and the live page read.
"""

import numpy as np
from numpy.typing import NDArray

from sign_cnn.predict import OnnxModel

Floats = NDArray[np.float32]

COPIES = 20  # of each hand, turned and disturbed
TURN, STRETCH, DEPTH, JITTER = (
    15.0,
    0.1,
    0.2,
    0.03,
)  # ± degrees; ± logarithm of x and of z; of the hand's size
STEPS, RATE, DECAY, SMOOTHING = 200, 0.02, 1e-4, 0.1  # of Adam


def teach(content: bytes, points: Floats, labels: NDArray[np.int64], seed: int = 0) -> bytes:
    """Content of an exported file that reads these hands too.

    Points float32 (N, 21, 3) are mirrored to left hands; labels (N,) are indices of the network's letters; the seed is
    that of the copies.
    """
    model, rng = OnnxModel(content), np.random.default_rng(seed)
    copies = np.concatenate([points, vary(points.repeat(COPIES - 1, axis=0), rng)])
    targets = np.eye(len(model.letters), dtype=np.float32)[
        np.append(labels, labels.repeat(COPIES - 1))
    ]
    targets = targets * (1 - SMOOTHING) + SMOOTHING / targets.shape[1]
    embedding, start = (
        model.run("embedding", copies),
        np.log(model.run("probabilities", copies).clip(1e-9)),
    )
    weight = np.zeros((embedding.shape[1], targets.shape[1]), np.float32)
    mean, square = weight.copy(), weight.copy()
    for step in range(1, STEPS + 1):
        scores = np.exp((logits := start + embedding @ weight) - logits.max(1, keepdims=True))
        error = scores / scores.sum(1, keepdims=True) - targets
        gradient = embedding.T @ error / len(error) + DECAY * weight
        mean, square = 0.9 * mean + 0.1 * gradient, 0.99 * square + 0.01 * gradient**2
        change = mean / (1 - 0.9**step) / (np.sqrt(square / (1 - 0.99**step)) + 1e-8)
        weight -= RATE * (1 - step / STEPS) * change
    place = int(model.card["taught_at"])
    before = np.frombuffer(content, np.float32, weight.size, place).reshape(weight.shape)
    return (
        content[:place]
        + (before + weight).astype(np.float32).tobytes()
        + content[place + weight.nbytes :]
    )


def vary(points: Floats, rng: np.random.Generator) -> Floats:
    """Hands (N, 21, 3) turned in three dimensions, stretched, and with points that are off."""
    size = (
        np.linalg.norm(points[:, [5, 9, 13, 17]] - points[:, :1], axis=2)
        .mean(1)[:, None, None]
        .clip(1e-6)
    )
    points = (points - points[:, :1]) / size
    stretch = rng.uniform(-1, 1, (len(points), 1, 3)) * [STRETCH, 0, DEPTH]
    points = points * np.exp(stretch)
    for a, b in ((1, 2), (0, 2), (0, 1)):
        angle = np.radians(rng.uniform(-TURN, TURN, (len(points), 1)))
        x, y = points[:, :, a], points[:, :, b]
        turned = np.cos(angle) * x - np.sin(angle) * y, np.sin(angle) * x + np.cos(angle) * y
        points[:, :, a], points[:, :, b] = turned
    return (points + rng.normal(0, JITTER, points.shape)).astype(np.float32)
