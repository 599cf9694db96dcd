"""Score pictures or landmarks that are not of a run's own data."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import softmax

from sign_cnn.errors import DataError
from sign_cnn.hands.finder import HandFinder
from sign_cnn.hands.landmarks import read_landmarks, to_landmarks
from sign_cnn.images import open_image
from sign_cnn.predict import THRESHOLD
from sign_cnn.runs import Predictions

if TYPE_CHECKING:
    from sign_cnn.models.classifier import Classifier

NO_HAND = "no hand"  # the class that is predicted where no hand was found
COLUMNS = ["name", "source", "class", "input"]  # of a table; the input is None without a hand


class Examples(NamedTuple):
    """Scored examples."""

    title: str  # of the report
    inputs: NDArray[Any]  # (N, …) as the network takes them; zeros where no hand was found
    predictions: Predictions
    class_names: list[str]  # of the network, and NO_HAND if a hand was not found
    table: pd.DataFrame  # of each row `name` and `source`, and whether a hand was `found`
    notes: list[str]


def read_folder(folder: Path, model: "Classifier", find_hand: bool = False) -> Examples:
    """Score pictures in sub-folders that are named after classes.

    Args:
        folder: Holds `<class>/*` or `<class>/**/*`.
        model: The network.
        find_hand: Whether to cut the hand out, which inputs that need it always do.

    Returns:
        A row for each picture that can be opened; its `name` is its path below `folder`.
    """
    finder = HandFinder() if find_hand or model.inputs.needs_finder else None
    lines, notes = [], []
    for file in filter(Path.is_file, sorted(folder.glob("[!.]*/**/[!.]*"))):
        path, image, example = file.relative_to(folder), None, None
        try:
            image = open_image(file)
            example = model.inputs.read(image, str(path), finder)
        except DataError as error:
            notes.append(str(error))
        if image:
            lines.append((path.as_posix(), folder.name, path.parts[0], example))
    table = pd.DataFrame(lines, columns=COLUMNS)
    return score_examples(f"images-{folder.resolve().name}", table, model, notes)


def read_table(path: Path, model: "Classifier") -> Examples:
    """Return the scored rows of a table of landmarks; a row's `name` is its number in the file.

    Raises:
        DataError: If the network takes other inputs, or there are no rows of its classes.
    """
    table = read_landmarks(path).rename(columns={"letter": "class"})
    landmarks = to_landmarks(table)
    if landmarks.shape[1:] != model.inputs.shape:
        raise DataError(
            f"the network does not take landmarks, which {path} holds: name another run"
        )
    table["input"] = pd.Series([*landmarks], table.index).where(table["found"] == 1, None)
    table["name"] = table.index
    return score_examples(f"landmarks-{path.resolve().name}", table[COLUMNS], model)


def score_examples(
    title: str, table: pd.DataFrame, model: "Classifier", notes: Sequence[str] = ()
) -> Examples:
    """Compute the logits of examples.

    Where no hand was found, the network is taken to find all classes equally likely, and one more,
    `NO_HAND`, a little likelier: such a row counts as wrong, and as unsure.

    Args:
        title: Of the report.
        table: With `COLUMNS`; a class that is none of the network's may be written in other case.
        model: The network.
        notes: For the report.

    Returns:
        The rows of the network's classes.

    Raises:
        DataError: If there are none.
    """
    from sign_cnn.data.base import Rows

    exact = {name: label for label, name in enumerate(model.class_names)}
    folded = {name.casefold(): label for name, label in exact.items()}
    labels = table["class"].map(exact).fillna(table["class"].str.casefold().map(folded))
    known = table.assign(label=labels, found=table["input"].notna()).dropna(subset="label")
    if known.empty:
        problem = f"{title} holds no readable picture or row of the classes {', '.join(exact)}"
        raise DataError("; ".join([problem, *notes[:1]]))
    found = known["found"].to_numpy()
    inputs = np.zeros((len(known), *model.inputs.shape), model.inputs.dtype)
    logits = np.zeros((len(known), len(exact) + 1), np.float32)
    logits[:, -1] = np.where(found, -1e4, 1e-3)
    if found.any():
        inputs[found] = np.stack([*known.loc[found, "input"]])
        logits[found, :-1] = model.predict_logits(inputs[found])
    class_names = [*exact, NO_HAND][: logits.shape[1] - found.all()]
    rows = Rows.make(inputs, known["label"].to_numpy(int))
    predictions = Predictions.from_rows(title, rows, rows.photos, logits[:, : len(class_names)])
    others = ", ".join(table.loc[labels.isna(), "class"].unique())
    left_out = [f"Left out, because the network has no such class: {others}"] if others else []
    facts = known[["name", "source", "found"]]
    return Examples(title, inputs, predictions, class_names, facts, [*notes, *left_out])


def score_sources(predictions: Predictions, table: pd.DataFrame) -> pd.DataFrame:
    """Return a line per `source`: its rows found, right and sure (counts), and shares (0..1)."""
    sure, right = softmax(predictions.logits, axis=1).max(1) >= THRESHOLD, predictions.correct
    facts = table.assign(rows=1, right=right, sure=sure, accuracy_if_sure=right & sure)
    sums = facts.drop(columns="name").groupby("source").sum()
    sums["accuracy_if_sure"] /= sums["sure"]
    return sums.assign(accuracy=sums["right"] / sums["rows"]).reset_index()
