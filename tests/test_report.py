import subprocess
import sys

import numpy as np
import pytest
from fake_runs import predictions_of
from scipy.special import softmax

from sign_cnn.letters import NUM_CLASSES, class_of
from sign_cnn.reports import report_text
from sign_cnn.reports.report import NUM_HARDEST, calibration_error, make_report, reliability
from sign_cnn.runs.predictions import Predictions

A, B, K = class_of("A"), class_of("B"), class_of("K")


@pytest.fixture
def small() -> Predictions:
    """A: photograph 5 all right, photograph 7 with 2 of 3 wrong. K: photograph 9 with 1 of 4 wrong."""
    return predictions_of(
        labels=[A, A, A, A, A, A, K, K, K, K],
        said=[A, A, A, B, B, A, K, K, K, B],
        photographs=[5, 5, 5, 7, 7, 7, 9, 9, 9, 9],
    )


@pytest.fixture
def random() -> Predictions:
    generator = np.random.default_rng(0)
    labels = np.repeat(generator.integers(0, NUM_CLASSES, 60), 10)
    logits = generator.normal(0, 1.5, (600, NUM_CLASSES)) + 2.0 * np.eye(NUM_CLASSES)[labels]
    return Predictions(np.full(600, "test"), np.arange(600), np.arange(600) // 10, labels.astype(np.uint8), logits)


def test_rows_and_photographs_are_counted_apart(small: Predictions):
    report = make_report(small)
    assert (report.rows, report.errors, report.accuracy) == (10, 3, 0.7)
    assert (report.photographs, report.photographs_wrong, report.photographs_with_error) == (3, 1, 2)
    assert report.accuracy_ci95[0] < 0.7 < report.accuracy_ci95[1]
    assert report.photographs_wrong_ci95[0] < 1 / 3 < report.photographs_wrong_ci95[1]


def test_letters_have_precision_recall_and_support_and_none_where_nothing_was_asked(small: Predictions):
    letters = {item.letter: item for item in make_report(small).letters}
    assert (letters["A"].recall, letters["A"].precision, letters["A"].support) == (4 / 6, 1.0, 6)
    assert (letters["A"].photographs, letters["A"].photographs_wrong) == (2, 1)
    assert (letters["B"].recall, letters["B"].precision, letters["B"].support) == (None, 0.0, 0)
    assert (letters["Y"].recall, letters["Y"].precision) == (None, None)


def test_macro_accuracy_gives_every_letter_that_occurs_the_same_weight(small: Predictions):
    assert make_report(small).macro_accuracy == pytest.approx((4 / 6 + 3 / 4) / 2)


def test_the_confusion_matrix_has_the_true_letter_down(small: Predictions):
    counts = np.array(make_report(small).confusion)
    assert (counts[A, B], counts[K, B], counts[B].sum(), counts.sum()) == (2, 1, 0, 10)


def test_confused_pairs_come_most_rows_first(small: Predictions):
    pairs = make_report(small).confused
    assert [(pair.true, pair.predicted, pair.rows, pair.photographs) for pair in pairs] == [
        ("A", "B", 2, 1),
        ("K", "B", 1, 1),
    ]
    assert pairs[0].share == pytest.approx(2 / 6)


def test_the_hardest_photograph_has_the_lowest_mean_probability_and_its_worst_row(small: Predictions):
    first, second, third = make_report(small).hardest
    assert (first.photograph, first.letter, first.predicted, first.variants, first.variants_wrong) == (
        7,
        "A",
        "B",
        3,
        2,
    )
    assert (second.photograph, second.row, second.predicted) == (9, 9, "K")
    assert (third.photograph, third.variants_wrong) == (5, 0)
    low, high = 1 / (np.exp(3) + 23), np.exp(3) / (np.exp(3) + 23)
    assert first.true_probability == pytest.approx((2 * low + high) / 3)


def test_no_more_photographs_are_listed_than_are_drawn(random: Predictions):
    hardest = make_report(random).hardest
    assert len(hardest) == NUM_HARDEST
    probabilities = softmax(random.logits, axis=1)[np.arange(600), random.label].reshape(60, 10).mean(axis=1)
    assert [item.photograph for item in hardest] == np.argsort(probabilities)[:NUM_HARDEST].tolist()


def test_confusion_calibration_error_and_loss_are_those_of_torch(random: Predictions):
    import torch
    from torchmetrics.functional.classification import multiclass_calibration_error, multiclass_confusion_matrix

    report, logits, labels = make_report(random), torch.from_numpy(random.logits), torch.from_numpy(random.label).long()
    expected = multiclass_calibration_error(logits, labels, NUM_CLASSES, n_bins=15, norm="l1")
    assert report.calibration_error == pytest.approx(float(expected), abs=1e-6)
    counts = multiclass_confusion_matrix(logits, labels, NUM_CLASSES)
    assert report.confusion == random.confusion.tolist() == counts.tolist()
    assert report.loss == pytest.approx(float(torch.nn.functional.cross_entropy(logits, labels)))


def test_bins_hold_their_upper_end_and_every_row():
    bins = reliability(np.array([0.0, 0.2, 0.20001, 1.0]), np.array([False, True, True, True]), num_bins=5)
    assert [item.rows for item in bins] == [2, 1, 0, 0, 1]
    assert (bins[0].accuracy, bins[2].accuracy) == (0.5, None)
    assert calibration_error(bins) == pytest.approx((2 * 0.4 + 0.79999 + 0) / 4)


def test_a_perfect_report_has_no_errors_to_show_and_an_interval_all_the_same():
    report = make_report(predictions_of([A, A, B], [A, A, B], [0, 0, 1]))
    assert report.confused == []
    assert report.accuracy_ci95[0] < report.accuracy_ci95[1] == 1
    assert report_text.letters(report, only_faulty=True).rows == []
    assert "## Most confused" not in report_text.markdown_report("t", {}, report, [], {})


def test_markdown_escapes_what_would_end_a_cell():
    table = report_text.markdown_table(report_text.Section("T", ("a", "b"), [("x|y", "1")], words=()))
    assert table == "## T\n\n| a | b |\n| --- | ---: |\n| x\\|y | 1 |"


def test_counting_needs_no_torch():
    code = "import sys, sign_cnn.reports.report, sign_cnn.evaluate, sign_cnn.compare; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
