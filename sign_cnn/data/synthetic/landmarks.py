"""Synthetic rows of the package's table of landmarks, and the samples of the web page.

`python -m sign_cnn.data.synthetic.landmarks` writes both. No photograph is in them, but bone
lengths and several angles were set after looking at medians by letter of the sources t32, boris and
set2, so that a score on one of those is a little too good.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

import sign_cnn
from sign_cnn.data.synthetic.skeleton import Floats, Pose, Rng, load_poses, sample_joints
from sign_cnn.hands.landmarks import COORDINATES, LANDMARKS, read_landmarks

ROWS = 200  # of each letter, about
TURN = 15.6  # degrees
OFTEN_TURNED = dict.fromkeys("GHPQ", 1.6)  # these letters are shown from many sides
SAMPLES = Path(sign_cnn.__file__).parent / "app" / "samples.npy"


def make_table(rows: int = ROWS, seed: int = 0) -> pd.DataFrame:
    """Return about `rows` left hands of each letter, in the form of the package's table."""
    rng, hands, letters = np.random.default_rng(seed), [], []
    for letter, ways in load_poses().items():
        total = sum(way.share for way in ways)
        for way in ways:
            count = max(1, round(rows * way.share / total))
            hands.append(_find(way, count, TURN * OFTEN_TURNED.get(letter, 1), rng))
            letters += [letter] * count
    coordinates = np.concatenate(hands).round(3).reshape(-1, 63)
    facts = {"source": "synthetic", "person": "", "letter": letters, "hand": "left", "found": 1}
    return pd.DataFrame(facts).join(pd.DataFrame(coordinates, columns=COORDINATES))


def draw_samples() -> NDArray[np.float32]:
    """Return the plainest hand of each letter, the mean of many: float32 (letters, 21, 3)."""
    rng = np.random.default_rng(0)
    plain = [replace(ways[0], views=ways[0].views[:1]) for ways in load_poses().values()]
    return np.stack([_find(way, ROWS, 0.0, rng).mean(0) for way in plain]).astype(np.float32)


def main() -> None:
    """Put the samples and the synthetic rows into the package."""
    np.save(SAMPLES, draw_samples())
    table = read_landmarks(LANDMARKS)
    table = pd.concat([table[table["source"] != "synthetic"], make_table()])
    zipped = {"method": "gzip", "mtime": 0}
    table.to_csv(LANDMARKS, index=False, float_format="%.4g", compression=zipped)


def _find(pose: Pose, count: int, turn: float, rng: Rng) -> Floats:
    """Return landmarks as a finder gives them: y down, z away from the viewer and too small."""
    landmarks = sample_joints(pose, count, rng, turn) * [1, -1, -1]
    landmarks[:, :, 2] *= np.exp(rng.uniform(-0.6, 0.1, (count, 1)))
    return landmarks


if __name__ == "__main__":
    main()
