"""What a few pictures of one's own hand are worth: `python -m scripts.teach_curve RUN…`.

A run teaches the rows that it left out, as those of `sweep=leave_one_person_out` do, or a table of
landmarks (`--landmarks`), source by source. Of each person, k pictures a letter are shown to
`fit_last_layer`, and others are scored, the same for every k; both of those with a hand.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import pandas as pd

from sign_cnn.errors import exit_on_user_error
from sign_cnn.evaluate import load_classifier, load_data, read_table
from sign_cnn.export import export
from sign_cnn.hands.fit import fit_last_layer
from sign_cnn.predict import OnnxModel
from sign_cnn.runs import Run, load_run

SHOTS, DRAWS = (0, 1, 3, 5, 10), 3


def list_people(run: Run, landmarks: Path | None) -> pd.DataFrame:
    """Return a row per hand: `person`, `label` and `input`."""
    if not landmarks:
        rows, index = (data := load_data(run)).rows_of("val")
        inputs, labels = rows.inputs[index], rows.labels[index]
        return pd.DataFrame({"person": data.left_out, "label": labels, "input": [*inputs]})
    examples = read_table(landmarks, load_classifier(run))
    facts = {"person": examples.table["source"], "label": examples.predictions.label}
    return pd.DataFrame({**facts, "input": [*examples.inputs]})[examples.table["found"]]


def score(content: bytes, hands: pd.DataFrame, draw: int) -> list[dict[str, float]]:
    """Return the share right and the seconds of the fit for each k, with pictures at random."""
    hands, lines = hands.sample(frac=1, random_state=draw), []
    rank = hands.groupby("label").cumcount()
    most = max(k for k in SHOTS if (rank >= k).sum() >= len(hands) / 3)
    rest = hands[rank >= most]
    for shots in SHOTS[: SHOTS.index(most) + 1]:
        shown, fitted, start = hands[rank < shots], content, time.perf_counter()
        if shots:
            labels = shown["label"].to_numpy(np.int64)
            fitted = fit_last_layer(content, np.stack([*shown["input"]]), labels, draw)
        seconds = time.perf_counter() - start
        probabilities = OnnxModel(fitted).predict_proba(np.stack([*rest["input"]]))
        right = (probabilities.argmax(1) == rest["label"]).mean()
        lines.append({"k": shots, "right": right, "seconds": seconds})
    return lines


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser("python -m scripts.teach_curve")
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN", help="runs on landmarks")
    parser.add_argument("--landmarks", type=Path, metavar="CSV", help="hands of other people")
    options, lines = parser.parse_args(), []
    with exit_on_user_error():
        for path in options.runs:
            run = load_run(path)
            export(run, output := path / "model.onnx")
            content = output.read_bytes()
            for person, hands in list_people(run, options.landmarks).groupby("person"):
                for draw in range(DRAWS):
                    lines += [{"person": person, **line} for line in score(content, hands, draw)]
    table = pd.DataFrame(lines)
    people = table.pivot_table("right", "person", "k").mul(100)
    summary = people.agg(["mean", "std", "min", "count"])
    seconds = table.pivot_table("seconds", columns="k", aggfunc="median").round(2)
    print(people.round(1).to_markdown(), summary.round(1).to_markdown(), seconds, sep="\n\n")


if __name__ == "__main__":
    main()
