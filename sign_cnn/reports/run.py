"""Numbers and tables of one run, and of a comparison of two, by row and by photo.

A report is a dict of numbers, lists and DataFrames. A photo counts as wrong if more than half of
its variants are.
"""

from dataclasses import fields
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import log_softmax, softmax

from sign_cnn import statistics
from sign_cnn.data.photos import LOOKALIKE_THRESHOLD
from sign_cnn.errors import UserError
from sign_cnn.runs import Predictions, Result

NUM_BINS = 15  # bins of confidence, as in Guo et al. (2017)
NUM_HARDEST = 24  # photos that are listed and shown
FORMATS = {"loss": "{:.4f}", "mcnemar_p": "{:.3g}", "difference_pp": "{:+.2f}"}


def score(predictions: Predictions, split: str) -> dict[str, Any]:
    """Return the fields of `Result` for one split; all are None if it has no rows."""
    rows, keys = predictions.for_split(split), [item.name for item in fields(Result)]
    counts = count_errors(rows) | count_clean(rows) if len(rows.row) else {}
    names = {key: key.removeprefix(f"{split}_") for key in keys if key != "val_split"}
    return {key: counts.get(name) for key, name in names.items() if name != key}


def count_clean(predictions: Predictions) -> dict[str, Any]:
    """Return the counts on photos without a look-alike in training; empty if there are none."""
    clean = predictions.take(predictions.similarity <= LOOKALIKE_THRESHOLD)
    counts = count_errors(clean) if len(clean.row) else {}
    return {f"clean_{key}": value for key, value in counts.items()}


def count_errors(predictions: Predictions) -> dict[str, Any]:
    """Return accuracy, loss and error counts of one split.

    Args:
        predictions: One row or more of one split.

    Returns:
        `acc` is the share of rows that are right, `loss` the mean cross-entropy in nats; `*_ci95`
        are by photo.
    """
    correct = predictions.correct
    right, rows = statistics.count_right(predictions.photo, correct)
    wrong = 2 * right < rows
    log_p = log_softmax(predictions.logits.astype(np.float64), axis=1)
    return {
        "acc": float(correct.mean()),
        "acc_ci95": [float(bound) for bound in statistics.accuracy_bounds(right, rows)],
        "errors": int((~correct).sum()),
        "rows": len(correct),
        "photos_wrong_share": float(wrong.mean()),
        "photos_wrong_share_ci95": list(statistics.photo_interval(wrong.sum(), len(wrong))),
        "photos_wrong": int(wrong.sum()),
        "photos_with_error": int((right < rows).sum()),
        "photos": len(wrong),
        "loss": -float(log_p[np.arange(len(correct)), predictions.label].mean()),
    }


def make_report(predictions: Predictions, class_names: list[str]) -> dict[str, Any]:
    """Report on one split.

    Args:
        predictions: One row or more of one split.
        class_names: One name for each column of the logits.

    Returns:
        The numbers of `count_errors`, `macro_recall`, `calibration_error` (expected, 0..1),
        `confusion` (nested lists, true class down), and three DataFrames, each with the worst
        first: `classes`; `confused` pairs of classes; and the `hardest` photos, by the mean
        probability `p` of their class, each with its worst row and what that row is predicted as.
    """
    import torch  # stored scores are shown without it
    from sklearn.metrics import confusion_matrix
    from torchmetrics.functional.classification import multiclass_calibration_error

    names, label, predicted = np.array(class_names), predictions.label, predictions.predicted
    probabilities = softmax(predictions.logits.astype(np.float64), axis=1)
    rows = pd.DataFrame({"photo": predictions.photo, "row": predictions.row})
    rows = rows.assign(**{"class": names[label], "predicted": names[predicted]})
    rows["p"], rows["wrong"] = probabilities[np.arange(len(label)), label], ~predictions.correct
    by_photo = rows.sort_values("p", kind="stable").groupby(["photo", "class"])
    photos = by_photo[["predicted", "row"]].first()
    photos["p"], wrong = by_photo["p"].mean(), by_photo["wrong"]
    photos["variants"], photos["variants_wrong"] = wrong.size(), wrong.sum()
    scores = torch.from_numpy(probabilities), torch.from_numpy(label)
    calibration_error = multiclass_calibration_error(*scores, len(names), n_bins=NUM_BINS)
    counts = confusion_matrix(label, predicted, labels=range(len(names)))
    classes = pd.DataFrame({"support": counts.sum(axis=1)}, names)
    classes["precision"] = np.diag(counts) / pd.Series(counts.sum(axis=0), names)
    classes["recall"] = np.diag(counts) / classes["support"]
    classes = classes[(counts.sum(axis=0) > 0) | (counts.sum(axis=1) > 0)]  # those that occur
    pair, errors = ["class", "predicted"], rows[rows["wrong"]]
    confused = errors.groupby(pair).agg(rows=("row", "size"), photos=("photo", "nunique"))
    confused["share"] = confused["rows"].div(classes["support"].rename_axis("class"), level="class")
    return {
        **count_errors(predictions),
        **count_clean(predictions),
        "macro_recall": float(classes["recall"].mean()),
        "calibration_error": float(calibration_error),
        "classes": classes.sort_values("recall", kind="stable").reset_index(names="class"),
        "confused": confused.sort_values("rows", ascending=False, kind="stable").reset_index(),
        "hardest": photos.nsmallest(NUM_HARDEST, "p").reset_index(),
        "confusion": counts.tolist(),
    }


def compare(a: Predictions, b: Predictions) -> dict[str, Any]:
    """Compare two runs on the same rows of one split.

    Args:
        a: Predictions of run A, in file order.
        b: Predictions of run B for the same rows.

    Returns:
        Accuracies, their difference A − B in percentage points with its interval, and McNemar's
        p-value by photo.

    Raises:
        UserError: If rows, photos or labels differ between the runs.
    """
    keys = ("row", "photo", "label")
    if not all(np.array_equal(getattr(a, key), getattr(b, key)) for key in keys):
        way_out = "use --split test, or runs that were validated on the same rows"
        raise UserError(f"the runs were scored on different rows and cannot be compared: {way_out}")
    right_a, right_b, rows = statistics.count_right(a.photo, a.correct, b.correct)
    difference = statistics.contrast([right_a[None], right_b[None]], rows, [1, -1])
    points, low, high = (100 * share for share in difference)
    wrong_a, wrong_b = 2 * right_a < rows, 2 * right_b < rows
    wrong = {"A": wrong_a, "B": wrong_b, "only_A": wrong_a & ~wrong_b, "only_B": wrong_b & ~wrong_a}
    outcome = (
        "A is better" if low > 0 else "B is better" if high < 0 else "No significant difference"
    )
    return {
        "rows": len(a.row),
        "photos": len(rows),
        "acc_A": float(a.correct.mean()),
        "acc_B": float(b.correct.mean()),
        "difference_pp": points,
        "difference_pp_ci95": [low, high],
        "mcnemar_p": statistics.mcnemar_exact(wrong_a, wrong_b),
        **{f"photos_wrong_{key}": int(mask.sum()) for key, mask in wrong.items()},
        "notes": [f"{outcome}; this applies to these two networks, not to other seeds"],
    }


def format_report(report: dict[str, Any]) -> dict[str, pd.DataFrame]:
    """Return the numbers and the tables of a report as tables of text, by title."""
    numbers, tables = [], {}
    for key, value in report.items():
        if isinstance(value, pd.DataFrame) and len(value):
            shares = value.select_dtypes("float").map("{:.2%}".format).replace("nan%", "–")
            table = value.assign(**shares).drop(columns="row", errors="ignore")
            tables[key.capitalize()] = table.rename(columns=lambda name: name.replace("_", " "))
        elif isinstance(value, int | float):
            text = FORMATS.get(key, "{:,}" if isinstance(value, int) else "{:.2%}").format
            interval = " to ".join(map(text, report.get(f"{key}_ci95", [])))
            numbers.append((key.replace("_", " "), text(value), interval))
    summary = pd.DataFrame(numbers, columns=["", "value", "95% interval by photo"])
    return {"Summary": summary, **tables}


def summarize_run(result: Result) -> pd.DataFrame:
    """Return a table for the console that summarizes a run, with the columns "" and "value"."""
    lines = {}
    if result.val_acc is not None:
        leaks = ", which leaks" if result.val_split == "random" else ""
        about = f"{result.val_split} split{leaks}; epoch {result.best_epoch} of {result.epochs}"
        lines["validation accuracy"] = f"{result.val_acc:.2%} ({about})"
    for name, prefix in {"test accuracy": "test", "without look-alikes": "test_clean"}.items():
        keys = ("acc", "acc_ci95", "photos_wrong", "photos")
        acc, bounds, wrong, photos = (getattr(result, f"{prefix}_{key}") for key in keys)
        if bounds:
            interval = "{:.2%} to {:.2%}".format(*bounds)
            lines[name] = f"{acc:.2%} ({interval} by photo), {wrong} of {photos} photos wrong"
    macs, speed = (result.macs or 0) / 1e6, result.train_images_per_second or 0
    lines["network"] = f"{result.num_params or 0:,} parameters, {macs:.1f} M MACs per input"
    seconds = result.fit_seconds or 0
    epochs = f"{result.epochs} epoch{'' if result.epochs == 1 else 's'}"
    lines["training"] = f"{epochs}, {seconds:.1f} s, {speed:,.0f} inputs/s"
    return pd.DataFrame(lines.items(), columns=["", "value"])


def explain_scores(result: Result) -> str:
    """Return a sentence or two on what the accuracies of a run are worth."""
    if result.val_acc is None and result.test_acc is None:
        return "No rows were scored: python -m sign_cnn.evaluate RUN --images DIR scores pictures."
    sentences = []
    if result.val_split == "random":
        sentences += ["The random split leaks: a photo may be in both training and validation."]
    elif result.val_acc is not None and result.val_split and result.val_split != "folder":
        group = result.val_split.replace("lookalike", "look-alike")
        sentences += [f"No {group} is in both training and validation."]
    if result.test_acc is not None and result.data_caveat:
        sentences += [result.data_caveat]
    return " ".join(sentences)
