import json
from pathlib import Path

import numpy as np
import pytest
from fake_runs import fake_run, predictions_of

from sign_cnn import pooling
from sign_cnn.config import Config, DataConfig, ModelConfig, TrainerConfig
from sign_cnn.errors import UserError
from sign_cnn.intervals import accuracy_interval, photograph_interval
from sign_cnn.pooling import pool
from sign_cnn.reports.folds import find_runs

FOLDS, PHOTOGRAPHS, VARIANTS = 3, 30, 4
WRONG = {0: [4], 1: [4, 5, 6]}  # photographs, by seed


def one_run(folder: Path, seed: int, fold: int, *, rows: np.ndarray | None = None, **options) -> Path:
    photographs = np.repeat(np.arange(PHOTOGRAPHS), VARIANTS)
    chosen = np.flatnonzero(photographs % FOLDS == fold) if rows is None else rows
    labels = photographs[chosen] % 24
    said = np.where(np.isin(photographs[chosen], WRONG[seed]), (labels + 1) % 24, labels)
    if seed == 0 and fold == 0:
        said[0] = 23  # one variant of photograph 0
    predictions = predictions_of(
        labels.tolist(), said.tolist(), photographs[chosen].tolist(), split="val", rows=chosen.tolist()
    )
    data = DataConfig(folds=FOLDS, fold=fold, val_split=options.pop("val_split", "group"))
    config = Config(seed=seed, data=data, **{key: options.pop(key) for key in ("model", "trainer") if key in options})
    return fake_run(folder / f"data.fold={fold},seed={seed}", predictions, config, **options)


@pytest.fixture
def study(tmp_path: Path) -> Path:
    folder = tmp_path / "study"
    for seed in WRONG:
        for fold in range(FOLDS):
            one_run(folder, seed, fold)
    return folder


def test_every_photograph_is_judged_once_for_each_seed(study: Path):
    pooled = pool(find_runs(study))
    assert (pooled.rows, pooled.photographs, pooled.folds) == (120, 30, 3)
    first, second = pooled.scores
    assert (first.seed, first.accuracy, first.photographs_wrong, first.photographs_with_error) == (0, 115 / 120, 1, 2)
    assert (second.seed, second.accuracy, second.photographs_wrong, second.photographs_with_error) == (
        1,
        108 / 120,
        3,
        3,
    )
    low, high = photograph_interval(3, 30)
    assert second.photographs_right == pytest.approx(0.9)
    assert second.photographs_right_ci95 == (1 - high, 1 - low)


def test_the_mean_over_seeds_takes_a_photograph_for_one_however_many_seeds_judge_it(study: Path):
    mean = pool(find_runs(study)).mean
    assert (mean.seed, mean.photographs_wrong, mean.photographs_with_error) == (None, 2, 2.5)
    assert mean.photographs_right == pytest.approx(28 / 30)
    wrong = np.array([np.isin(np.arange(30), WRONG[seed]) for seed in WRONG])
    naive = accuracy_interval(~wrong.ravel(), np.arange(60))
    low, high = mean.photographs_right_ci95
    assert low < 28 / 30 < high
    assert high - low > naive[1] - naive[0]


def test_photographs_are_listed_by_the_seeds_that_get_them_wrong(study: Path):
    wrong = pool(find_runs(study)).wrong
    assert [(item.photograph, item.row, item.letter, item.seeds_wrong) for item in wrong] == [
        (4, 16, "E", 2), (5, 20, "F", 1), (6, 24, "G", 1),
    ]  # fmt: skip


def test_missing_folds_are_listed(study: Path):
    for name in ("data.fold=1,seed=0", "data.fold=2,seed=1"):
        path = study / name / "result.json"
        path.write_text(path.read_text().replace('"done"', '"running"'))
    with pytest.raises(UserError, match="fold 1 of seed 0, fold 2 of seed 1"):
        pool(find_runs(study))


def test_a_fold_twice_is_refused(study: Path):
    one_run(study / "again", 0, 1)
    with pytest.raises(UserError, match="both fold 1 of seed 0"):
        pool(find_runs(study))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"model": ModelConfig(depth=2)}, r"model\.depth=2 \(there: None\)"),
        ({"fingerprint": "f" * 64}, "trained on different data"),
        ({"val_split": "random"}, "only the folds of group and burst"),
        ({"trainer": TrainerConfig(limit_batches=2)}, r"trainer\.limit_batches=2"),
    ],
)
def test_other_configurations_are_refused(study: Path, options: dict, message: str):
    one_run(study, 1, 2, **options)
    with pytest.raises(UserError, match=message):
        pool(find_runs(study))


@pytest.mark.parametrize("rows", [np.arange(0, 40), np.arange(4, 20)])
def test_folds_that_overlap_or_leave_rows_out_are_refused(study: Path, rows: np.ndarray):
    one_run(study, 1, 0, rows=rows)
    with pytest.raises(UserError, match="every training row exactly once"):
        pool(find_runs(study))


def test_a_photograph_in_two_folds_is_refused(study: Path):
    rows = {fold: np.flatnonzero(np.arange(120) // VARIANTS % FOLDS == fold) for fold in range(FOLDS)}
    rows[0], rows[1] = np.r_[rows[0][1:], rows[1][0]], np.r_[rows[1][1:], rows[0][0]]
    for fold in (0, 1):
        one_run(study, 1, fold, rows=np.sort(rows[fold]))
    with pytest.raises(UserError, match="share photographs"):
        pool(find_runs(study))


def test_the_command_line_writes_both_files_and_fits_80_columns(study: Path, capsys: pytest.CaptureFixture[str]):
    pooling.main([str(study)])
    output = capsys.readouterr().out
    assert max(map(len, output.splitlines()[:-1])) <= 80
    assert "3 folds, 30 photographs, 120 rows" in output
    stored = json.loads((study / "pooled.json").read_text())
    assert stored["mean"]["photographs_wrong"] == 2
    assert stored["photographs_right_sd"] == pytest.approx(np.std([29 / 30, 27 / 30], ddof=1))
    page = (study / "pooled.md").read_text()
    assert "| mean | 92.92 (" in page
    assert "| 4 | E | 16 | 2 of 2 |" in page


def test_a_folder_without_finished_runs_is_one_sentence(tmp_path: Path):
    fake_run(tmp_path / "r", None, status="failed")
    with pytest.raises(SystemExit, match=r"^Error: .* holds no finished run \(r: failed\)"):
        pooling.main([str(tmp_path)])


def test_folds_that_were_trained_are_pooled(make_config, tmp_path: Path):
    from sign_cnn.train import train

    for fold in range(2):
        train(
            make_config("data.folds=2", f"data.fold={fold}", "trainer.max_epochs=1", "test=false"), tmp_path / str(fold)
        )
    pooled = pool(find_runs(tmp_path))
    assert pooled.photographs == 24 * 4
    assert pooled.accuracy_sd is None
    assert 0 < pooled.scores[0].accuracy < 1
    assert pooled.mean.accuracy == pooled.scores[0].accuracy
