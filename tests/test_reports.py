"""Numbers of a run's report and of a comparison, by hand and against scikit-learn and torchmetrics; figures."""

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from fake_runs import make_predictions

from sign_cnn.data.photos import LOOKALIKE_THRESHOLD
from sign_cnn.errors import UserError
from sign_cnn.letters import LETTERS, class_index
from sign_cnn.reports import figures
from sign_cnn.reports.run import (
    NUM_HARDEST,
    calibration_error,
    compare,
    explain_scores,
    format_report,
    make_report,
    score,
    summarize_run,
)
from sign_cnn.runs import Predictions, Result

A, B, K = (class_index(letter) for letter in "ABK")


@pytest.fixture
def small() -> Predictions:
    """A: photo 5 all right, photo 7 with 2 of 3 wrong. K: photo 9 with 1 of 4 wrong."""
    return make_predictions(
        [A] * 6 + [K] * 4, [A, A, A, B, B, A, K, K, K, B], [5] * 3 + [7] * 3 + [9] * 4
    )


def test_rows_and_photos_are_counted_apart(small: Predictions):
    report = make_report(small, LETTERS)
    assert (report["rows"], report["errors"], report["acc"]) == (10, 3, 0.7)
    assert (report["photos"], report["photos_wrong"], report["photos_with_error"]) == (3, 1, 2)
    assert report["acc_ci95"][0] < 0.7 < report["acc_ci95"][1]
    assert report["photos_wrong_share_ci95"] == pytest.approx(
        [0.0084, 0.9057], abs=1e-4
    )  # Clopper and Pearson, 1 of 3


def test_letters_have_precision_recall_support_and_photos(small: Predictions):
    report = make_report(small, LETTERS)
    letters = report["letters"].set_index("letter")
    assert letters.loc["A"].to_dict() == {
        "photos": 2,
        "photos_wrong": 1,
        "support": 6,
        "precision": 1,
        "recall": pytest.approx(4 / 6),
    }
    assert letters.loc["K", ["photos", "photos_wrong", "support", "recall"]].tolist() == [
        1,
        0,
        4,
        0.75,
    ]
    assert letters.loc["B", ["precision", "support"]].tolist() == [0, 0]
    assert np.isnan(letters.loc["B", "recall"])
    assert letters.index[:2].tolist() == ["A", "K"]  # lowest recall first
    assert report["macro_recall"] == pytest.approx((4 / 6 + 3 / 4) / 2)  # of letters that occur
    confused = report["confused"]  # most rows first
    assert confused[["letter", "predicted", "rows", "photos"]].values.tolist() == [
        ["A", "B", 2, 1],
        ["K", "B", 1, 1],
    ]
    assert confused["share"].tolist() == pytest.approx([2 / 6, 1 / 4])


def test_the_hardest_photo_has_the_lowest_mean_probability_and_its_worst_row(small: Predictions):
    hardest = make_report(small, LETTERS)["hardest"]
    columns = ["photo", "letter", "predicted", "variants", "variants_wrong", "row"]
    assert hardest[columns].values.tolist() == [
        [7, "A", "B", 3, 2, 3],
        [9, "K", "K", 4, 1, 9],
        [5, "A", "A", 3, 0, 0],
    ]
    low, high = 1 / (np.exp(3) + 23), np.exp(3) / (np.exp(3) + 23)
    assert hardest["p"][0] == pytest.approx((2 * low + high) / 3)


def test_photos_without_a_look_alike_in_training_are_scored_apart(small: Predictions):
    at_threshold = np.repeat(np.float32([0.95, -1, LOOKALIKE_THRESHOLD]), [3, 3, 4])
    clean = replace(small, similarity=at_threshold)
    found = {
        key: value
        for key, value in score(clean, "test").items()
        if "clean" in key and "ci95" not in key
    }
    assert found == {"test_clean_acc": 4 / 7, "test_clean_photos": 2, "test_clean_photos_wrong": 1}
    shown = summarize_run(Result("done", **score(clean, "test"))).set_index("")["value"]
    assert re.fullmatch(
        r"57\.14% \(.*% to .*%\), 1 of 2 photos wrong", shown["  without a look-alike"]
    )
    table = format_report(make_report(clean, LETTERS))["Summary"].set_index("")
    assert table.loc["rows right, no look-alike in training", "value"] == "57.14%"
    assert " to " in table.loc["rows right, no look-alike in training"].iloc[1]


@pytest.mark.parametrize("similarity", [np.nan, 0.95], ids=["unknown", "all are look-alikes"])
def test_clean_scores_are_left_out_where_there_are_none(small: Predictions, similarity: float):
    predictions = replace(small, similarity=np.full(10, similarity, np.float32))
    scores = score(predictions, "test")
    assert [
        scores[f"test_clean_{key}"] for key in ("acc", "acc_ci95", "photos", "photos_wrong")
    ] == [None] * 4
    assert "test accuracy" in set(summarize_run(Result("done", **scores))[""])
    assert not summarize_run(Result("done", **scores))[""].str.contains("look-alike").any()
    assert (
        not format_report(make_report(predictions, LETTERS))["Summary"][""]
        .str.contains("look-alike|clean")
        .any()
    )


def test_numbers_are_those_of_torchmetrics():
    import torch
    from torchmetrics.functional import classification as metrics

    generator, index = np.random.default_rng(0), np.arange(600)
    classes = np.repeat(generator.integers(0, 24, 60), 10)
    scores = generator.normal(0, 1.5, (600, 24)) + 4 * np.eye(24)[classes]
    report = make_report(
        Predictions(np.full(600, "test"), index, index // 10, classes, scores, np.zeros(600)),
        LETTERS,
    )
    logits, labels = torch.from_numpy(scores), torch.from_numpy(classes)
    expected = metrics.multiclass_calibration_error(logits, labels, 24, n_bins=15, norm="l1")
    assert report["calibration_error"] == pytest.approx(float(expected), abs=1e-6)
    assert report["confusion"] == metrics.multiclass_confusion_matrix(logits, labels, 24).tolist()
    assert report["loss"] == pytest.approx(float(torch.nn.functional.cross_entropy(logits, labels)))
    assert len(report["hardest"]) == NUM_HARDEST
    recall = report["letters"].set_index("letter")["recall"].reindex(list(LETTERS)).fillna(0)
    assert recall.tolist() == pytest.approx(
        metrics.multiclass_recall(logits, labels, 24, average=None).tolist()
    )


def test_calibration_bins_hold_their_upper_end():
    confidence, correct = np.array([1 / 15, 1 / 15 + 1e-9, 1.0]), np.array([True, False, True])
    assert calibration_error(confidence, correct) == pytest.approx((14 / 15 + 1 / 15 + 0) / 3)


def test_tables_hold_percent_and_no_errors_where_there_are_none(small: Predictions):
    tables = format_report(make_report(small, LETTERS))
    assert tables["Letters"].set_index("letter").loc["B", ["precision", "recall"]].tolist() == [
        "0.00%",
        "–",
    ]
    summary = tables["Summary"].set_index("")["value"]
    assert (summary["rows right"], summary["photos wrong (majority)"]) == ("70.00%", "1")
    perfect = make_report(make_predictions([A, A, B], [A, A, B], [0, 0, 1]), LETTERS)
    assert "Confused" not in format_report(perfect)
    assert perfect["acc_ci95"][0] < perfect["acc_ci95"][1] == 1


def test_scores_are_the_fields_of_a_result(small: Predictions):
    result = Result("done", **score(small, "test"), **score(small, "val"))
    assert (result.test_acc, result.test_errors, result.test_photos, result.test_photos_wrong) == (
        0.7,
        3,
        3,
        1,
    )
    assert (result.test_photos_with_error, result.val_acc, result.val_photos) == (2, None, None)
    assert result.test_acc_ci95 == make_report(small, LETTERS)["acc_ci95"]
    assert score(make_predictions([A], [A], [0], "val"), "test") == dict.fromkeys(
        score(small, "test")
    )


def test_a_summary_says_that_a_random_split_leaks():
    result = Result(
        "done",
        val_split="random",
        val_acc=0.999,
        best_epoch=3,
        num_params=1234,
        epochs=4,
        fit_seconds=1.5,
    )
    lines = summarize_run(result).set_index("")["value"]
    assert (
        lines["validation accuracy"]
        == "99.90% (random split, which leaks; weights of epoch 3 of 4)"
    )
    assert "test accuracy" not in lines


def test_a_run_says_which_of_its_scores_to_go_by():
    both = Result("done", val_split="session", val_acc=0.8, test_acc=0.97, data_kind="official")
    assert explain_scores(both).startswith("Go by the validation")
    assert "Most test photos" in explain_scores(replace(both, data_kind="synthetic"))
    assert explain_scores(replace(both, data_kind="custom")) == ""
    assert "data.val_split=session" in explain_scores(replace(both, val_split="none", val_acc=None))
    assert "evaluate RUN --images" in explain_scores(Result("done", val_split="none"))
    assert explain_scores(replace(both, test_acc=None)) == ""


def judge(wrong_photos: list[int]) -> Predictions:
    photos = np.repeat(np.arange(60), 5)
    return make_predictions(
        [0] * 300, np.isin(photos, wrong_photos).astype(int).tolist(), photos.tolist()
    )


def test_a_comparison_is_decided_by_photos_wrong_in_one_run_alone():
    good, bad = judge([3]), judge([3, 10, 11, 12, 13, 14, 15, 16])
    outcome = compare(good, bad)
    assert (
        outcome["rows"],
        outcome["photos"],
        outcome["photos_wrong_A"],
        outcome["photos_wrong_B"],
    ) == (300, 60, 1, 8)
    assert (outcome["photos_wrong_only_A"], outcome["photos_wrong_only_B"]) == (0, 7)
    assert outcome["difference_pp"] == pytest.approx(100 * 7 / 60)
    assert outcome["mcnemar_p"] == pytest.approx(2 / 2**7)
    assert outcome["notes"][0].startswith("A is better: A − B is +11.67 pp (95% by photo: +")
    assert compare(bad, good)["notes"][0].startswith("B is better: A − B is -11.67 pp")
    assert compare(good, good)["notes"][0].startswith("No difference shown: A − B is +0.00 pp")


@pytest.mark.parametrize("field", ["row", "photo", "label"])
def test_runs_on_different_rows_photos_or_labels_are_refused(field: str):
    other = judge([])
    getattr(other, field)[0] += 999
    with pytest.raises(UserError, match=r"different rows \(300 and 300"):
        compare(judge([]), other)


def test_counting_imports_neither_torch_nor_sklearn():
    code = "import sys, sign_cnn.reports.run; print({'torch', 'sklearn'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_learning_curves_show_what_was_measured_and_no_more(tmp_path: Path):
    metrics = pd.DataFrame(
        {"epoch": [1, 2, 3], "train/loss": [1.0, 0.1, 0.01], "train/acc": [0.5, 0.8, 0.9]}
    )
    alone = figures.plot_learning_curves(metrics, "alone", 3)
    assert [len(axes.lines) for axes in alone.axes] == [2, 2]
    both = figures.plot_learning_curves(
        metrics.assign(**{"val/loss": [2, 1, 0.5], "val/acc": 0.5}), "both", 2
    )
    assert [len(axes.lines) for axes in both.axes] == [3, 3]
    figures.save_figure(both, tmp_path / "figures" / "curves.png")
    assert (tmp_path / "figures" / "curves.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("losses", [[0.9, 0.8], [2.0, 0.3], [3.0, 0.0004], [0.5, 0.5]])
def test_loss_has_two_readable_ticks_whatever_its_range(losses: list[float]):
    metrics = pd.DataFrame({"epoch": [1, 2], "train/loss": losses, "train/acc": [0.5, 0.8]})
    axes = figures.plot_learning_curves(metrics, "", 1).axes[0]
    low, high = axes.get_ylim()
    assert 2 <= sum(low <= tick <= high for tick in axes.get_yticks()) <= 9


def test_figures_of_a_report_name_counts_and_letters(small: Predictions):
    report = make_report(small, LETTERS)
    confusion = figures.plot_confusion_matrix(np.array(report["confusion"]), LETTERS, "t")
    assert sorted(text.get_text() for text in confusion.axes[0].texts) == ["1", "2", "3", "4"]
    hardest = figures.plot_hardest(report["hardest"], np.zeros((3, 8, 8), np.uint8), "t")
    assert [axes.get_title() for axes in hardest.axes if axes.images] == ["A → B", "K", "A"]
    assert figures.plot_reliability(small, "t").get_suptitle().startswith("t\ncalibration error 2")
