"""What the logits of one run say, or of two, by row and photo. A report is a dict of numbers, lists, DataFrames."""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import log_softmax, softmax

from sign_cnn.data.photos import LOOKALIKE_THRESHOLD
from sign_cnn.errors import UserError
from sign_cnn.runs import Predictions, Result

NUM_BINS, NUM_HARDEST = (
    15,
    24,
)  # bins of confidence, as in Guo et al. (2017); photos that are listed and drawn
LABELS = {
    "acc": "rows right",
    "clean_acc": "rows right, no look-alike in training",
    "errors": "rows wrong",
    "photos_wrong": "photos wrong (majority)",
    "loss": "loss (nats)",
}
FORMATS = {"loss": "{:.4f}", "mcnemar_p": "{:.3g}", "difference_pp": "{:+.2f}"}


def score(predictions: Predictions, split: str) -> dict[str, Any]:
    """Fields of `Result` for one split, all None if it has no rows."""
    of_test = ["errors", "photos_with_error", "acc_ci95"] if split == "test" else []
    rows, keys = predictions.of(split), ["acc", "loss", "photos", "photos_wrong", *of_test]
    counts = count_errors(rows) if len(rows.row) else {}
    clean = count_clean(rows) if split == "test" else {}
    return {f"{split}_{key}": counts.get(key) for key in keys} | {
        f"{split}_{key}": clean[key] for key in clean
    }


def count_clean(predictions: Predictions) -> dict[str, Any]:
    """What is left of the score on photos that have no look-alike among the training photos; None without any."""
    clean = predictions.take(predictions.similarity <= LOOKALIKE_THRESHOLD)
    counts = count_errors(clean) if len(clean.row) else {}
    return {
        f"clean_{key}": counts.get(key) for key in ("acc", "acc_ci95", "photos", "photos_wrong")
    }


def count_errors(predictions: Predictions) -> dict[str, Any]:
    """Numbers of one split: acc is the share of rows right, loss is in nats, intervals of 95 % are by photo."""
    from sign_cnn.statistics import (
        accuracy_interval,
        photo_interval,
        wrong_photos,
    )  # scipy.stats: half a second

    correct = predictions.correct
    wrong, with_error = wrong_photos(correct, predictions.photo)
    log_p = log_softmax(predictions.logits.astype(np.float64), axis=1)[
        np.arange(len(correct)), predictions.label
    ]
    return {
        "acc": float(correct.mean()),
        "acc_ci95": list(accuracy_interval(correct, predictions.photo)),
        "errors": int((~correct).sum()),
        "rows": len(correct),
        "photos_wrong_share": float(wrong.mean()),
        "photos_wrong_share_ci95": list(photo_interval(wrong.sum(), len(wrong))),
        "photos_wrong": int(wrong.sum()),
        "photos_with_error": int(with_error.sum()),
        "photos": len(wrong),
        "loss": float(-log_p.mean()),
    }


def make_report(predictions: Predictions, letters: str) -> dict[str, Any]:
    """Numbers and confusion (true letter down) of one split; worst first, DataFrames letters, confused and hardest."""
    from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

    names, correct = np.array(list(letters)), predictions.correct
    probabilities = softmax(predictions.logits.astype(np.float64), axis=1)
    true, predicted = names[predictions.label], names[predictions.predicted]
    rows = pd.DataFrame(
        {"photo": predictions.photo, "row": predictions.row, "letter": true, "predicted": predicted}
    )
    rows["p"], rows["wrong"] = probabilities[np.arange(len(rows)), predictions.label], ~correct
    # By the mean probability p of their letter, each with its worst row.
    photos = (
        rows.sort_values("p", kind="stable")
        .groupby("photo")
        .agg(
            letter=("letter", "first"),
            predicted=("predicted", lambda votes: votes.mode()[0]),
            p=("p", "mean"),
            variants=("row", "size"),
            variants_wrong=("wrong", "sum"),
            row=("row", "first"),
        )
    )
    wrong = (2 * photos["variants_wrong"] > photos["variants"]).groupby(photos["letter"])
    per_letter = pd.DataFrame(
        wrong.agg(photos="size", photos_wrong="sum").reindex(names, fill_value=0)
    )
    precision, recall, _, support = precision_recall_fscore_support(
        true, predicted, labels=names, zero_division=np.nan
    )
    per_letter = per_letter.assign(support=support, precision=precision, recall=recall).reset_index(
        names="letter"
    )
    pairs = rows[rows["wrong"]].groupby(["letter", "predicted"], as_index=False)
    confused = pairs.agg(rows=("photo", "size"), photos=("photo", "nunique"))
    confused["examples"] = [part.drop_duplicates("photo")["row"][:6].tolist() for _, part in pairs]
    confused["share"] = confused["rows"] / confused["letter"].map(
        rows["letter"].value_counts()
    ).astype(int)
    return {
        **count_errors(predictions),
        **count_clean(predictions),
        "macro_recall": float(np.nanmean(recall)),
        "calibration_error": calibration_error(probabilities.max(axis=1), correct),
        "letters": per_letter.sort_values("recall", kind="stable"),
        "confused": confused.sort_values("rows", ascending=False, kind="stable"),
        "hardest": photos.nsmallest(NUM_HARDEST, "p").reset_index(),
        "confusion": confusion_matrix(true, predicted, labels=names).tolist(),
    }


def compare(a: Predictions, b: Predictions) -> dict[str, Any]:
    """Paired comparison on one split in file order; a UserError unless rows, photos and labels are the same."""
    from sign_cnn.statistics import contrast, count_right, mcnemar_exact, wrong_photos

    if not all(
        np.array_equal(getattr(a, name), getattr(b, name)) for name in ("row", "photo", "label")
    ):
        common = len(np.intersect1d(a.row, b.row))
        raise UserError(
            f"the runs scored different rows ({len(a.row)} and {len(b.row)}, {common} in both): use "
            "--split test, or runs with the same data.val_split, folds, fold and split_seed"
        )
    *right, rows = count_right(a.photo, a.correct, b.correct)
    points, low, high = (
        100 * share for share in contrast([counts[None] for counts in right], rows, [1, -1])
    )
    (wrong_a, _), (wrong_b, _) = (wrong_photos(run.correct, run.photo) for run in (a, b))
    outcome = "A is better" if low > 0 else "B is better" if high < 0 else "No difference shown"
    return {
        "rows": len(a.row),
        "photos": len(rows),
        "acc_A": float(a.correct.mean()),
        "acc_B": float(b.correct.mean()),
        "difference_pp": points,
        "difference_pp_ci95": [low, high],
        "mcnemar_p": mcnemar_exact(wrong_a, wrong_b),
        "photos_wrong_A": int(wrong_a.sum()),
        "photos_wrong_B": int(wrong_b.sum()),
        "photos_wrong_only_A": int((wrong_a & ~wrong_b).sum()),
        "photos_wrong_only_B": int((wrong_b & ~wrong_a).sum()),
        "notes": [
            f"{outcome}: A − B is {points:+.2f} pp (95% by photo: {low:+.2f} to {high:+.2f} pp). "
            "This holds for these two networks; other seeds would give others."
        ],
    }


def calibration_error(confidence: NDArray[np.float64], correct: NDArray[np.bool_]) -> float:
    """Expected calibration error: mean distance of confidence from accuracy over bins, weighted by their rows."""
    bins = np.digitize(confidence, np.linspace(0, 1, NUM_BINS + 1)[1:-1], right=True)
    return float(np.abs(np.bincount(bins, correct - confidence)).sum() / len(correct))


def format_report(report: dict[str, Any]) -> dict[str, pd.DataFrame]:
    """Tables of text by title: the numbers with their intervals, then every DataFrame that is not empty."""
    numbers, tables = [], {}
    for key, value in report.items():
        if isinstance(value, pd.DataFrame) and len(value):  # its floats are shares
            shares = value.select_dtypes("float").map("{:.2%}".format).replace("nan%", "–")
            tables[key.capitalize()] = value.assign(**shares).rename(
                columns=lambda name: name.replace("_", " ")
            )
        elif isinstance(value, int | float):
            text = FORMATS.get(key, "{:,}" if isinstance(value, int) else "{:.2%}").format
            interval = " to ".join(map(text, report.get(f"{key}_ci95", [])))
            numbers.append((LABELS.get(key, key.replace("_", " ")), text(value), interval))
    return {
        "Summary": pd.DataFrame(numbers, columns=["", "value", "95% interval by photo"]),
        **tables,
    }


def summarize_run(result: Result) -> pd.DataFrame:
    """What a run came to, for the console."""
    lines = {}
    if result.val_acc is not None:
        split = f"{result.val_split} split{', which leaks' if result.val_split == 'random' else ''}"
        weights = f"weights of epoch {result.best_epoch} of {result.epochs}"
        lines["validation accuracy"] = f"{result.val_acc:.2%} ({split}; {weights})"
    if result.test_acc is not None and result.test_acc_ci95:
        interval = "{:.2%} to {:.2%}".format(*result.test_acc_ci95)
        lines["test accuracy"] = f"{result.test_acc:.2%} (95% by photo: {interval})"
        lines["test photos wrong"] = f"{result.test_photos_wrong} of {result.test_photos}"
        if result.test_clean_acc_ci95:
            interval = "{:.2%} to {:.2%}".format(*result.test_clean_acc_ci95)
            wrong = f"{result.test_clean_photos_wrong} of {result.test_clean_photos} photos wrong"
            lines["  without a look-alike"] = f"{result.test_clean_acc:.2%} ({interval}), {wrong}"
    lines["network"] = (
        f"{result.num_params or 0:,} parameters, {(result.macs or 0) / 1e6:.1f} M MACs per image"
    )
    speed = f"{result.train_images_per_second or 0:,.0f} images/s"
    lines["training time"] = f"{result.fit_seconds or 0:.1f} s, {speed}; epochs: {result.epochs}"
    return pd.DataFrame(lines.items(), columns=["", "value"])


def explain_scores(result: Result) -> str:
    """What the accuracies of a run are worth, in a sentence; empty where the table says it."""
    if result.val_acc is None and result.test_acc is None:
        return "Nothing was held out: python -m sign_cnn.evaluate RUN --images DIR tells how it reads your pictures."
    share = {"official": "All", "synthetic": "Most"}.get(result.data_kind)
    if result.test_acc is None or result.val_split not in ("session", "none") or not share:
        return ""
    seen = f"{share} test photos are of bursts of shots that training knows others of"
    if result.val_split == "none":
        return f"{seen}: data.val_split=session tells how it reads sessions that it has not seen."
    return f"Go by the validation, photos of a session that training has not seen. {seen}."
