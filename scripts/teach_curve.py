"""What a few pictures of one's own hand are worth: `python -m scripts.teach_curve CSV…` (tables of landmarks).

Of each person, k pictures a letter are taught, and the others scored; both of those in which a hand was found.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import pandas as pd

from sign_cnn.app.streamlit_app import HANDS
from sign_cnn.hands.landmarks import read_landmarks, to_points
from sign_cnn.predict import OnnxModel
from sign_cnn.teach import teach

SHOTS, DRAWS = (0, 1, 3, 5, 10), 3


def score(content: bytes, hands: pd.DataFrame, shots: int, draw: int) -> dict[str, float]:
    """Rows scored, share right and seconds of teaching `shots` pictures a letter, drawn at random."""
    order = hands.sample(frac=1, random_state=draw)
    rank = order.groupby("letter").cumcount()
    # The same rows are scored for every k, as far as there are enough of a letter.
    most = max(k for k in SHOTS if (rank >= k).sum() >= len(order) / 3)
    if shots > most:
        return {}
    shown, rest = order[rank < shots], order[rank >= most]
    letters, start = list(OnnxModel(content).letters), time.perf_counter()
    if shots:
        content = teach(
            content, to_points(shown), shown["letter"].map(letters.index).to_numpy(np.int64), draw
        )
    seconds = time.perf_counter() - start
    read = OnnxModel(content).predict_proba(to_points(rest)).argmax(1)
    return {
        "rows": len(rest),
        "right": (read == rest["letter"].map(letters.index)).mean(),
        "seconds": seconds,
    }


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m scripts.teach_curve", description="Own pictures against accuracy."
    )
    parser.add_argument(
        "tables",
        type=Path,
        nargs="+",
        metavar="CSV",
        help="hands that the network was not trained on",
    )
    parser.add_argument("--model", type=Path, default=HANDS, help="exported network of points")
    options = parser.parse_args()
    content, rows = options.model.read_bytes(), []
    table = pd.concat([read_landmarks(path) for path in options.tables]).query("found == 1")
    for person, hands in table.groupby(table["source"] + " " + table["person"]):
        tries = [(shots, draw) for shots in SHOTS for draw in range(DRAWS)]
        rows += [
            {"person": person, "shots": shots, **score(content, hands, shots, draw)}
            for shots, draw in tries
        ]
    scores = pd.DataFrame(rows)
    means = scores.pivot_table("right", "person", "shots").mul(100).round(1)
    print(means.assign(rows=scores.groupby("person")["rows"].first()).to_markdown())
    complete = means.dropna()
    print(f"mean of {len(means)} people: {means.mean().round(1).to_dict()}")
    print(f"mean of the {len(complete)} with enough pictures: {complete.mean().round(1).to_dict()}")
    print(f"seconds of teaching: {scores.groupby('shots')['seconds'].median().round(2).to_dict()}")


if __name__ == "__main__":
    main()
