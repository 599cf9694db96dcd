"""Tables of hand landmarks: one row a picture, 63 numbers.

Columns: source, person, letter, hand, found, x0, y0, z0 … x20, y20, z20. Points in MediaPipe's order, x to the right, y
down, z negative towards the camera, in any unit; hand is "left" or "right"; found 0: no hand, numbers empty.
`docs/hands.md` says where the rows of the package's own table come from, and under which licences.
"""

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sign_cnn.errors import DataError

LANDMARKS = Path(__file__).with_name("landmarks.csv.gz")
COORDINATES = [f"{axis}{point}" for point in range(21) for axis in "xyz"]


def read_landmarks(path: Path) -> pd.DataFrame:
    """The table of a CSV, plain or gzipped. Raises DataError: it is missing, lacks a column, or holds other values."""
    try:
        text = {"source": str, "person": str, "letter": str, "hand": str}
        table = pd.read_csv(path, dtype=text | dict.fromkeys(COORDINATES, np.float32), keep_default_na=True)
    except FileNotFoundError:
        raise DataError(f"there is no table of landmarks {path}: name a CSV file") from None
    except (ValueError, OSError) as error:
        raise DataError(f"{path} cannot be read as a table of landmarks ({str(error).splitlines()[0]})") from None
    if missing := [name for name in ("letter", "hand", "found", *COORDINATES) if name not in table]:
        raise DataError(f"{path} is no table of landmarks: it lacks the columns {', '.join(missing[:5])}")
    found = table["found"] == 1
    if not np.isfinite(table.loc[found, COORDINATES]).all(axis=None):
        raise DataError(f"{path} has rows with found=1 that lack numbers: correct them, or set found to 0")
    return table.assign(source=table.get("source", path.stem), person=table.get("person", "")).fillna({"person": ""})


def to_points(table: pd.DataFrame) -> NDArray[np.float32]:
    """Points float32 (N, 21, 3) of rows with a hand, all mirrored to what MediaPipe calls a left one."""
    points = table[COORDINATES].to_numpy(np.float32).reshape(-1, 21, 3)
    points[table["hand"].to_numpy() == "right", :, 0] *= -1
    return points
