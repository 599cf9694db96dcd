"""Tables of hand landmarks, one row a picture; `python -m sign_cnn.hands.landmarks FOLDER CSV` measures photos.

Columns: source, person, letter, hand, found, x0, y0, z0 … x20, y20, z20. Points in MediaPipe's order, x to the right, y
down, z negative towards the camera, in any unit; hand is "left" or "right"; found 0: no hand, numbers empty.
`docs/hands.md` says where the rows of the package's own table come from, and under which licences.
"""

import argparse
import re
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sign_cnn.errors import DataError, error_message, exit_on_user_error
from sign_cnn.files import atomic_write, explain_os_errors
from sign_cnn.images import open_image
from sign_cnn.letters import LETTERS

LANDMARKS = Path(__file__).with_name("landmarks.csv.gz")
COORDINATES = [f"{axis}{point}" for point in range(21) for axis in "xyz"]


def read_landmarks(path: Path) -> pd.DataFrame:
    """The table of a CSV, plain or gzipped. Raises DataError: it is missing, lacks a column, or holds other values."""
    try:
        text = {"source": str, "person": str, "letter": str, "hand": str}
        table = pd.read_csv(
            path, dtype=text | dict.fromkeys(COORDINATES, np.float32), keep_default_na=True
        )
    except FileNotFoundError:
        raise DataError(f"there is no table of landmarks {path}: name a CSV file") from None
    except (ValueError, OSError) as error:
        raise DataError(
            f"{path} cannot be read as a table of landmarks ({error_message(error)})"
        ) from None
    if missing := [name for name in ("letter", "hand", "found", *COORDINATES) if name not in table]:
        raise DataError(
            f"{path} is no table of landmarks: it lacks the columns {', '.join(missing[:5])}"
        )
    found = table["found"] == 1
    if not np.isfinite(table.loc[found, COORDINATES]).all(axis=None):
        raise DataError(
            f"{path} has rows with found=1 that lack numbers: correct them, or set found to 0"
        )
    return table.assign(
        source=table.get("source", path.stem), person=table.get("person", "")
    ).fillna({"person": ""})


def to_points(table: pd.DataFrame) -> NDArray[np.float32]:
    """Points float32 (N, 21, 3) of rows with a hand, all mirrored to what MediaPipe calls a left one."""
    points = table[COORDINATES].to_numpy(np.float32, copy=True).reshape(-1, 21, 3)
    points[table["hand"].to_numpy() == "right", :, 0] *= -1
    return points


def measure_folder(folder: Path) -> tuple[pd.DataFrame, list[str]]:
    """The table of photographs in sub-folders named after letters, of either case, and notes on what could not be read.

    `person` is the series: folders below that of the letter, and the file's name without the number at its end.
    Raises DataError: there is no picture; UserError: the finder's weights are missing.
    """
    from sign_cnn.hands.finder import HandFinder

    finder, rows, notes = HandFinder(), [], []
    for file in sorted(folder.glob("[!.]*/**/[!.]*")):
        inside = file.relative_to(folder)
        if not file.is_file() or (letter := inside.parts[0].upper()) not in tuple(LETTERS):
            notes += (
                [f"{file} is left out: {inside.parts[0]} is no letter"] if file.is_file() else []
            )
            continue
        try:
            found = finder(open_image(file))
        except DataError as error:
            notes.append(str(error))
            continue
        series = "/".join([*inside.parts[1:-1], re.sub(r"[ _(-]*[0-9]+[)]*$", "", file.stem)])
        hand, points = (
            (found.hand, found.points.round(2).ravel()) if found else ("", np.full(63, np.nan))
        )
        notes += [] if found else [f"{file}: no hand found"]
        rows.append([folder.name, series, letter, hand, int(bool(found)), *points])
    if not rows:
        way_out = f"put those of each letter in a sub-folder, such as {folder / 'A'}"
        raise DataError(
            f"{folder} holds no picture that can be read ({(notes or ['there is none'])[0]}): {way_out}"
        )
    return pd.DataFrame(
        rows, columns=["source", "person", "letter", "hand", "found", *COORDINATES]
    ), notes


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m sign_cnn.hands.landmarks", description="Points of photographs."
    )
    parser.add_argument(
        "folder", type=Path, help="photographs of hands, in one sub-folder per letter"
    )
    parser.add_argument("csv", type=Path, metavar="CSV", help="table to write, .csv or .csv.gz")
    options = parser.parse_args(arguments)
    with exit_on_user_error(), explain_os_errors(options.csv):
        table, notes = measure_folder(options.folder)
        with atomic_write(options.csv) as temporary:
            table.to_csv(
                temporary, index=False, compression="gzip" if options.csv.suffix == ".gz" else None
            )
    print(
        "\n".join(
            [*notes, f"{options.csv}: {len(table):,} pictures, a hand in {table['found'].sum():,}"]
        )
    )


if __name__ == "__main__":
    main()
