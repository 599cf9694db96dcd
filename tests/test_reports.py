"""Numbers of reports and comparisons, by hand and against torchmetrics; figures of a run."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from fake_runs import make_predictions
from torchmetrics.functional import classification as metrics

from sign_cnn.data.photos import LOOKALIKE_THRESHOLD
from sign_cnn.errors import UserError
from sign_cnn.reports import figures
from sign_cnn.reports.run import (
    NUM_HARDEST,
    compare,
    explain_scores,
    format_report,
    make_report,
    score,
    summarize_run,
)
from sign_cnn.runs import Predictions, Result

NAMES = ["airplane", "bird", "cat"]
AIRPLANE, BIRD, CAT = range(3)


@pytest.fixture
def small() -> Predictions:
    """Airplanes: photo 5 all right, photo 7 with 2 of 3 wrong. Cats: photo 9 with 1 of 4 wrong."""
    labels = [AIRPLANE] * 6 + [CAT] * 4
    predicted = [AIRPLANE] * 3 + [BIRD, BIRD, AIRPLANE] + [CAT] * 3 + [BIRD]
    return make_predictions(labels, predicted, [5] * 3 + [7] * 3 + [9] * 4, num_classes=3)


def test_rows_and_photos_are_counted_apart(small: Predictions):
    report = make_report(small, NAMES)
    assert (report["rows"], report["errors"], report["acc"]) == (10, 3, 0.7)
    assert (report["photos"], report["photos_wrong"], report["photos_with_error"]) == (3, 1, 2)
    assert report["acc_ci95"][0] < 0.7 < report["acc_ci95"][1]
    clopper_pearson = pytest.approx([0.0084, 0.9057], abs=1e-4)  # 1 of 3
    assert report["photos_wrong_share_ci95"] == clopper_pearson


def test_classes_have_precision_recall_and_support(small: Predictions):
    report = make_report(small, NAMES)
    classes = report["classes"].set_index("class")[["support", "precision", "recall"]]
    assert classes.index[:2].tolist() == ["airplane", "cat"]  # lowest recall first
    assert classes.loc["airplane"].tolist() == [6, 1, pytest.approx(4 / 6)]
    assert classes.loc["cat"].tolist() == [4, 1, 0.75]
    assert classes.loc["bird"].tolist() == pytest.approx([0, 0, np.nan], nan_ok=True)
    assert report["macro_recall"] == pytest.approx((4 / 6 + 3 / 4) / 2)  # of classes that occur


def test_confused_pairs_are_counted_by_row_and_by_photo(small: Predictions):
    confused = make_report(small, NAMES)["confused"]  # most rows first
    assert confused[["class", "predicted", "rows", "photos"]].to_numpy().tolist() == [
        ["airplane", "bird", 2, 1],
        ["cat", "bird", 1, 1],
    ]


def test_the_hardest_photo_has_the_lowest_mean_probability_and_its_worst_row(small: Predictions):
    hardest = make_report(small, NAMES)["hardest"]
    columns = ["photo", "class", "predicted", "variants", "variants_wrong", "row"]
    assert hardest[columns].to_numpy().tolist() == [
        [7, "airplane", "bird", 3, 2, 3],
        [9, "cat", "bird", 4, 1, 9],
        [5, "airplane", "airplane", 3, 0, 0],
    ]
    low, high = 1 / (np.exp(3) + 2), np.exp(3) / (np.exp(3) + 2)
    assert hardest["p"][0] == pytest.approx((2 * low + high) / 3)


def test_photos_without_a_look_alike_in_training_are_scored_apart(small: Predictions):
    at_threshold = np.repeat(np.float32([0.95, -1, LOOKALIKE_THRESHOLD]), [3, 3, 4])
    scores = score(clean := replace(small, similarity=at_threshold), "test")
    assert scores["test_clean_acc"] == 4 / 7
    assert (scores["test_clean_photos"], scores["test_clean_photos_wrong"]) == (2, 1)
    shown = summarize_run(Result("done", **scores)).set_index("")["value"]
    assert shown["without look-alikes"].startswith("57.14%")
    table = format_report(make_report(clean, NAMES))["Summary"].set_index("")
    assert table.loc["clean acc", "value"] == "57.14%"


@pytest.mark.parametrize("similarity", [np.nan, 0.95], ids=["unknown", "all are look-alikes"])
def test_clean_scores_are_left_out_where_there_are_none(small: Predictions, similarity: float):
    predictions = replace(small, similarity=np.full(10, similarity, np.float32))
    scores = score(predictions, "test")
    assert scores["test_clean_acc"] is scores["test_clean_photos"] is None
    shown = summarize_run(Result("done", **scores)).set_index("")
    assert list(shown.index) == ["test accuracy", "network", "training"]


def test_numbers_are_those_of_torchmetrics():
    generator, index = np.random.default_rng(0), np.arange(600)
    labels = index // 10 % 24
    logits = generator.normal(0, 1.5, (600, 24)) + 4 * np.eye(24)[labels]
    names, unknown = [f"class {i}" for i in range(24)], np.full(600, np.nan)
    predictions = Predictions(np.full(600, "test"), index, index // 10, labels, logits, unknown)
    report = make_report(predictions, names)
    pair = torch.from_numpy(logits), torch.from_numpy(labels)
    assert report["confusion"] == metrics.multiclass_confusion_matrix(*pair, 24).tolist()
    assert report["loss"] == pytest.approx(float(torch.nn.functional.cross_entropy(*pair)))
    recall = metrics.multiclass_recall(*pair, 24, average=None).tolist()
    assert report["classes"].set_index("class")["recall"][names].tolist() == pytest.approx(recall)
    assert len(report["hardest"]) == NUM_HARDEST


def test_what_is_undefined_is_a_dash_and_without_errors_no_pairs_are_confused(small: Predictions):
    classes = format_report(make_report(small, NAMES))["Classes"].set_index("class")
    assert classes.loc["bird", "recall"] == "–"
    perfect = make_report(make_predictions([0, 1], [0, 1], [0, 1], num_classes=3), NAMES)
    assert "Confused" not in format_report(perfect)


def test_the_caveat_of_the_data_stands_beside_a_test_score():
    both = Result("done", val_split="session", val_acc=0.8, test_acc=0.97, data_caveat="Beware.")
    assert "Beware." in explain_scores(both)
    assert "Beware." not in explain_scores(replace(both, test_acc=None))
    assert "--images" in explain_scores(Result("done", val_split="none"))


def judge(wrong_photos: list[int]) -> Predictions:
    photos = np.repeat(np.arange(60), 5)
    return make_predictions([0] * 300, np.isin(photos, wrong_photos).astype(int), photos)


def test_a_comparison_is_decided_by_photos_wrong_in_one_run_alone():
    good, bad = judge([3]), judge([3, 10, 11, 12, 13, 14, 15, 16])
    outcome = compare(good, bad)
    assert (outcome["rows"], outcome["photos"]) == (300, 60)
    assert (outcome["photos_wrong_A"], outcome["photos_wrong_B"]) == (1, 8)
    assert (outcome["photos_wrong_only_A"], outcome["photos_wrong_only_B"]) == (0, 7)
    assert outcome["difference_pp"] == pytest.approx(100 * 7 / 60)
    assert outcome["mcnemar_p"] == pytest.approx(2 / 2**7)
    assert outcome["notes"][0].startswith("A is better")
    assert compare(bad, good)["notes"][0].startswith("B is better")
    assert compare(good, good)["notes"][0].startswith("No significant")


@pytest.mark.parametrize("field", ["row", "photo", "label"])
def test_runs_on_different_rows_photos_or_labels_are_refused(field: str):
    other = judge([])
    getattr(other, field)[0] += 999
    with pytest.raises(UserError):
        compare(judge([]), other)


def test_learning_curves_show_what_was_measured_and_no_more(tmp_path: Path):
    metrics = pd.DataFrame({"epoch": [1, 2], "train/loss": [1.0, 0.1], "train/acc": [0.5, 0.8]})
    alone = figures.plot_learning_curves(metrics, "alone", 2)
    assert [len(axes.lines) for axes in alone.axes] == [2, 2]
    validated = metrics.assign(**{"val/loss": [2, 1], "val/acc": 0.5})
    both = figures.plot_learning_curves(validated, "both", 2)
    assert [len(axes.lines) for axes in both.axes] == [3, 3]
    figures.save_figure(both, tmp_path / "figures" / "curves.png")
    assert (tmp_path / "figures" / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_figures_of_a_report_name_counts_and_classes(small: Predictions):
    report, pictures = make_report(small, NAMES), np.zeros((10, 8, 8, 3), np.uint8)
    confusion = figures.plot_confusion_matrix(np.array(report["confusion"]), NAMES, "t")
    assert sorted(text.get_text() for text in confusion.axes[0].texts) == ["1", "2", "3", "4"]
    sheet = figures.plot_sheet(report["hardest"], pictures[:2], "t")
    titles = [axes.get_title() for axes in sheet.axes]
    assert [title.partition("\np = ")[0] for title in titles] == ["airplane →\nbird", "cat → bird"]
