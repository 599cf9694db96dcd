"""Tables of hand landmarks, one row a picture: `python -m sign_cnn.hands.landmarks FOLDER CSV`.

The command measures photographs, or the frames of a video, whose rows have the further columns clip
and seconds. Columns: source, person, letter, hand, found, x0, y0, z0 … x20,
y20, z20; landmarks in MediaPipe's order, x to the right, y down, z negative towards the camera, in
any unit; hand is "left" or "right"; where found is 0 there was no hand, and the numbers are empty.
`docs/hands.md` says where the rows of the package's own table come from, and under which licences.
"""

import argparse
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sign_cnn.errors import DataError, error_message, exit_on_user_error
from sign_cnn.files import atomic_write, explain_os_errors
from sign_cnn.hands.finder import Hand, HandFinder
from sign_cnn.hands.video import Clip, track
from sign_cnn.images import open_image
from sign_cnn.letters import LETTERS

LANDMARKS = Path(__file__).with_name("landmarks.csv.gz")
COORDINATES = [f"{axis}{landmark}" for landmark in range(21) for axis in "xyz"]
COLUMNS = ["source", "person", "letter", "hand", "found", *COORDINATES]


def read_landmarks(path: Path) -> pd.DataFrame:
    """Read a table of landmarks.

    Args:
        path: A CSV file, plain or gzipped; source and person may be missing.

    Returns:
        A row per picture, with all columns.

    Raises:
        DataError: If the file is missing, lacks a column, or holds other values.
    """
    types = dict.fromkeys(COLUMNS[:4], str) | dict.fromkeys(COORDINATES, np.float32)
    try:
        table = pd.read_csv(path, dtype=types)
        found = table[COLUMNS[2:]].query("found == 1")
    except (KeyError, ValueError, OSError) as error:
        raise DataError(f"{path} is no table of landmarks: {error_message(error)}") from None
    if not np.isfinite(found[COORDINATES]).all(axis=None):
        problem = "has rows with found=1 that lack numbers"
        raise DataError(f"{path} {problem}: correct them, or set found to 0")
    source, person = table.get("source", path.stem), table.get("person", "")
    return table.assign(source=source, person=person).fillna({"person": ""})


def to_landmarks(table: pd.DataFrame) -> NDArray[np.float32]:
    """Return the landmarks of rows with a hand, right hands mirrored.

    Args:
        table: Rows of `read_landmarks` with found = 1.

    Returns:
        float32 (N, 21, 3), in the unit of the table.
    """
    landmarks = table[COORDINATES].to_numpy(np.float32, copy=True).reshape(-1, 21, 3)
    landmarks[table["hand"].to_numpy() == "right", :, 0] *= -1
    return landmarks


def read_clips(path: Path) -> list[Clip]:
    """Read the clips of a table of landmarks with the columns clip and seconds.

    Only seconds, x and y of the landmarks must be there. Without clip, the table is one clip;
    without found, rows with numbers show a hand; without hand, it is taken for a left one.

    Args:
        path: A CSV file, plain or gzipped, with rows in any order.

    Returns:
        The clips in the order of their first rows, each with ascending times.

    Raises:
        DataError: If the file cannot be read, or lacks a column.
    """
    optional: dict[str, Any] = {"clip": path.name, "hand": "left", "found": 1}
    optional |= dict.fromkeys(COORDINATES[2::3], 0)
    try:
        table = pd.read_csv(path, dtype={"clip": str, "hand": str})
        missing = {name: optional[name] for name in optional.keys() - table.columns}
        table = table.assign(**missing).fillna(optional)
        seconds = table["seconds"].astype(np.float64)
        landmarks = table[COORDINATES].to_numpy(np.float32).reshape(-1, 21, 3)
    except (KeyError, ValueError, OSError) as error:
        raise DataError(f"{path} is no table of clips: {error_message(error)}") from None
    if not np.isfinite(seconds).all():
        raise DataError(f"{path} has rows without seconds: give the time of each frame")
    found = np.isfinite(landmarks).all(axis=(1, 2)) & (table["found"] != 0)
    sides, clips = table["hand"].str.lower(), []
    for clip, times in seconds.groupby(table["clip"], sort=False):
        times = times.sort_values(kind="stable").drop_duplicates()
        hands = [Hand(landmarks[row], sides[row]) if found[row] else None for row in times.index]
        clips.append(Clip(str(clip), times.tolist(), hands))
    return clips


def measure_video(path: Path) -> pd.DataFrame:
    """Find the hand in each frame of a video.

    Returns:
        A table with the further columns clip and seconds.

    Raises:
        DataError: If the video cannot be read.
        UserError: If the finder's weights or PyAV are missing.
    """
    clip, rows = track(path), []
    for seconds, hand in zip(clip.seconds, clip.hands, strict=True):
        rows.append([clip.name, round(seconds, 4), path.stem, "", "", *_to_columns(hand)])
    return pd.DataFrame(rows, columns=["clip", "seconds", *COLUMNS])


def measure_folder(folder: Path) -> tuple[pd.DataFrame, list[str]]:
    """Find the hands of photographs in sub-folders that are named after letters, of either case.

    `person` becomes the series: folders below that of the letter, and the file's name without the
    number at its end.

    Args:
        folder: The folder above those of the letters.

    Returns:
        The table, and a line for each file that could not be read or shows no hand.

    Raises:
        DataError: If there is no picture.
        UserError: If the finder's weights are missing.
    """
    finder, rows, notes = HandFinder(), [], []
    for file in sorted(path for path in folder.glob("[!.]*/**/[!.]*") if path.is_file()):
        letter, *others = file.relative_to(folder).parent.parts
        try:
            if letter.upper() not in list(LETTERS):
                raise DataError(f"{file} is left out: {letter} is no letter")
            hand = finder(open_image(file))
        except DataError as error:
            notes.append(str(error))
            continue
        series = "/".join([*others, re.sub(r"[ _(-]*[0-9]+[)]*$", "", file.stem)])
        rows.append([folder.name, series, letter.upper(), *_to_columns(hand)])
        notes += [] if hand else [f"{file}: no hand found"]
    if not rows:
        problem = f"{folder} holds no picture that can be read in a folder such as {folder / 'A'}"
        raise DataError("; ".join([problem, *notes]))
    return pd.DataFrame(rows, columns=COLUMNS), notes


def _to_columns(hand: Hand | None) -> list[Any]:
    """Return the columns from `hand` on."""
    if not hand:
        return ["", 0, *[np.nan] * 63]
    return [hand.hand, 1, *hand.landmarks.round(2).ravel()]


def main(arguments: list[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser("python -m sign_cnn.hands.landmarks")
    text = "photographs, in one sub-folder per letter, or a video"
    parser.add_argument("source", type=Path, metavar="FOLDER_OR_VIDEO", help=text)
    parser.add_argument("csv", type=Path, metavar="CSV", help="table to write")
    options = parser.parse_args(arguments)
    with exit_on_user_error(), explain_os_errors(options.csv):
        if options.source.is_file():
            table, notes, kind = measure_video(options.source), list[str](), "frames"
        else:
            (table, notes), kind = measure_folder(options.source), "pictures"
        with atomic_write(options.csv) as temporary:
            table.to_csv(temporary, index=False)
        count = f"{len(table):,} {kind}, a hand in {table['found'].sum():,}"
        print(*notes, f"{options.csv}: {count}", sep="\n")


if __name__ == "__main__":
    main()
