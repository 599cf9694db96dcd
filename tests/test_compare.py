from pathlib import Path

import numpy as np
import pytest
from fake_runs import fake_run, predictions_of

from sign_cnn import compare
from sign_cnn.compare import Comparison, compare_predictions
from sign_cnn.config import Config, DataConfig
from sign_cnn.errors import UserError
from sign_cnn.runs.predictions import Predictions

PHOTOGRAPHS = np.repeat(np.arange(60), 5)


def judged(wrong_photographs: list[int], **options) -> Predictions:
    said = np.isin(PHOTOGRAPHS, wrong_photographs).astype(int)
    return predictions_of([0] * 300, said.tolist(), PHOTOGRAPHS.tolist(), **options)


@pytest.fixture
def good(tmp_path: Path) -> Path:
    return fake_run(tmp_path / "good", judged([3]))


@pytest.fixture
def bad(tmp_path: Path) -> Path:
    return fake_run(tmp_path / "bad", judged([3, 10, 11, 12, 13, 14, 15, 16]))


def test_photographs_wrong_in_one_run_alone_decide(good: Path, bad: Path):
    outcome = compare.compare(good, bad)
    assert (outcome.rows, outcome.photographs, outcome.wrong_a, outcome.wrong_b) == (300, 60, 1, 8)
    assert (outcome.only_a_wrong, outcome.only_b_wrong) == (0, 7)
    assert outcome.difference == pytest.approx(7 / 60)
    assert outcome.mcnemar_p == pytest.approx(2 / 2**7)


def test_the_better_run_is_named_whichever_comes_first(good: Path, bad: Path):
    assert compare.compare(good, bad).sentence().startswith("A is better by 11.7 points (95 %: ")
    assert compare.compare(bad, good).sentence().startswith("B is better by 11.7 points (95 %: ")


def test_without_a_difference_the_sentence_says_so(good: Path):
    sentence = compare.compare(good, good).sentence()
    assert sentence.startswith("No difference shown: A minus B is 0.0 points (95 %: −")


def test_small_differences_are_not_rounded_to_nothing():
    outcome = Comparison(7000, 350, 0.9996, 0.9992, 0.0004, (0.0001, 0.0007), 0, 0, 0, 0, 1.0)
    assert outcome.sentence() == "A is better by 0.04 points (95 %: 0.01 to 0.07)."


def test_the_order_of_stored_rows_does_not_matter(good: Path, tmp_path: Path):
    rows = judged([3])
    backwards = Predictions(*(getattr(rows, name)[::-1] for name in rows.__dataclass_fields__))
    assert compare.compare(good, fake_run(tmp_path / "backwards", backwards)).difference == 0


def test_other_rows_are_refused():
    with pytest.raises(UserError, match=r"different rows \(300 and 300, 200 of them in both\)"):
        compare_predictions(judged([]), judged([], rows=list(range(100, 400))))


def test_other_data_are_refused(good: Path, tmp_path: Path):
    other = fake_run(tmp_path / "other", judged([]), fingerprint="f" * 64)
    with pytest.raises(UserError, match="trained on different data"):
        compare.compare(good, other)


def test_other_validation_photographs_are_refused_with_the_settings_that_differ(tmp_path: Path):
    runs = [
        fake_run(tmp_path / str(fold), judged([], split="val"), Config(data=DataConfig(fold=fold))) for fold in (0, 1)
    ]
    with pytest.raises(UserError, match=r"data\.fold=0 and 1"):
        compare.compare(*runs, split="val")
    assert compare.compare(runs[0], runs[0], split="val").difference == 0


def test_the_command_line_prints_a_table_and_a_sentence(good: Path, bad: Path, capsys: pytest.CaptureFixture[str]):
    compare.main([str(good), str(bad)])
    output = capsys.readouterr().out
    assert "A: good" in output
    assert "A is better by 11.7 points" in output
    assert "p = 0.0156" in output
    assert max(map(len, output.splitlines())) <= 80


@pytest.mark.parametrize(
    ("status", "message"), [("running", "is not done but running"), ("failed", "is not done but failed")]
)
def test_errors_are_one_line(good: Path, tmp_path: Path, status: str, message: str):
    other = fake_run(tmp_path / "other", None, status=status)
    with pytest.raises(SystemExit, match=f"^Error: .*{message}"):
        compare.main([str(good), str(other)])
