from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from fake_sweeps import write_job, write_plan

from sign_cnn.statistics import accuracy_bounds, count_right
from sign_cnn.summarize import summarize

FOLDS, PHOTOS = 3, np.repeat(np.arange(30), 4)
WRONG = {0: [4], 1: [4, 5, 6]}  # photos by seed


def write_fold(folder: Path, seed: int, fold: int, rows: np.ndarray) -> None:
    correct = ~np.isin(PHOTOS[rows], WRONG[seed])
    correct[0] &= (seed, fold) != (0, 0)  # one variant of photo 0
    write_job(folder / f"fold={fold},seed={seed}", correct, PHOTOS[rows], rows)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for seed, fold in np.ndindex(len(WRONG), FOLDS):
        write_fold(tmp_path / "cv", seed, fold, np.flatnonzero(fold == PHOTOS % FOLDS))
    return tmp_path / "cv"


@pytest.fixture
def scores(folder: Path) -> pd.DataFrame:
    summarize(folder)
    return pd.read_csv(folder / "pooled.csv", index_col="network")


def test_every_photo_is_judged_once_by_each_network(scores: pd.DataFrame):
    assert scores["val_photos"].tolist() == [30, 30, 30]
    assert scores["val_acc"].tolist() == pytest.approx([115 / 120, 108 / 120, 223 / 240])
    assert scores["val_photos_wrong"].tolist() == pytest.approx([1, 3, 2])
    assert scores["val_photos_with_error"].tolist() == pytest.approx([2, 3, 2.5])
    by_row = np.array(accuracy_bounds(*count_right(PHOTOS, ~np.isin(PHOTOS, WRONG[1]))))
    assert scores.loc["1", ["val_acc_low", "val_acc_high"]].tolist() == pytest.approx(by_row)
    by_photo = [float(x) for x in accuracy_bounds(np.arange(30) >= 3, np.ones(30))]
    columns = ["val_photos_right_low", "val_photos_right", "val_photos_right_high"]
    expected = [by_photo[0], 0.9, by_photo[1]]
    assert scores.loc["1", columns].tolist() == pytest.approx(expected)


def test_the_mean_counts_a_photo_once_however_many_networks_judge_it(scores: pd.DataFrame):
    mean = scores.loc["mean"]
    wrong = np.array([np.isin(np.arange(30), WRONG[seed]) for seed in WRONG])
    expected = np.array(accuracy_bounds((~wrong).sum(axis=0), np.full(30, 2)))
    bounds = mean[["val_photos_right_low", "val_photos_right_high"]].tolist()
    assert bounds == pytest.approx(expected)
    assert mean["val_photos_right"] == pytest.approx(28 / 30)
    assert mean["val_photos_right_sd"] == pytest.approx(np.std([29 / 30, 27 / 30], ddof=1))


def test_the_interval_by_fold_is_that_of_student(scores: pd.DataFrame):
    seed_1 = scores.loc["1", ["by_fold_low", "by_fold", "by_fold_high"]].tolist()
    assert seed_1 == pytest.approx([0.9, 0.9, 0.9])  # one photo of ten in each fold


def test_the_spread_and_the_lowest_fold_are_told_by_number_or_name(folder: Path):
    for fold, photos in enumerate([(0, 8), (8, 18), (18, 30)]):
        rows = np.flatnonzero((photos[0] <= PHOTOS) & (photos[1] > PHOTOS))
        for seed, left_out in enumerate([None, f"aslhg P{fold}"]):
            right = np.arange(len(rows)) >= fold  # of 32, 40 and 48 rows
            job = folder / f"fold={fold},seed={seed}"
            write_job(job, right, PHOTOS[rows], rows, left_out=left_out)
    summarize(folder)
    scores = pd.read_csv(folder / "pooled.csv", index_col="network")
    assert scores["by_fold_sd"].tolist() == pytest.approx(
        [np.std([1, 39 / 40, 46 / 48], ddof=1)] * 3
    )
    assert scores["lowest_fold_acc"].tolist() == pytest.approx([46 / 48] * 3)
    assert scores["lowest_fold"].tolist()[:2] == ["fold 2", "aslhg P2"]
    assert "95.83 (aslhg P2)" in (folder / "results.md").read_text()


def test_unfinished_folds_are_not_pooled(folder: Path):
    (folder / "fold=1,seed=0" / "result.json").unlink()
    write_plan(folder, "fold=1,seed=0")
    assert summarize(folder).pooled.empty


def test_folds_that_share_photos_are_not_pooled(folder: Path):
    for seed, fold in np.ndindex(2, FOLDS):
        write_fold(folder, seed, fold, np.flatnonzero(np.arange(120) % FOLDS == fold))
    assert summarize(folder).pooled.empty
