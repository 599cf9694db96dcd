import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from fake_sweeps import write_job, write_plan

from sign_cnn.statistics import accuracy_interval, photo_interval
from sign_cnn.summarize import show, summarize

FOLDS, PHOTOS = 3, np.repeat(np.arange(30), 4)
WRONG = {0: [4], 1: [4, 5, 6]}  # photos by seed


def write_fold(
    folder: Path, seed: int, fold: int, rows: np.ndarray | None = None, **data: Any
) -> None:
    rows = np.flatnonzero(fold == PHOTOS % FOLDS) if rows is None else rows
    correct = ~np.isin(PHOTOS[rows], WRONG[seed])
    correct[0] &= (seed, fold) != (0, 0)  # one variant of photo 0
    config = {"seed": seed, "data": {"folds": FOLDS, "fold": fold, **data}}
    write_job(folder / f"fold={fold},seed={seed}", correct, PHOTOS[rows], rows, config=config)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for seed in WRONG:
        for fold in range(FOLDS):
            write_fold(tmp_path / "cv", seed, fold)
    return tmp_path / "cv"


def read_scores(folder: Path) -> pd.DataFrame:
    summarize(folder)
    return pd.DataFrame(json.loads((folder / "pooled.json").read_text())["scores"]).set_index(
        "seed"
    )


def test_every_photo_is_judged_once_for_each_seed(folder: Path):
    scores = read_scores(folder)
    assert scores[["rows", "photos"]].to_numpy().tolist() == [[120, 30]] * 3
    assert scores["accuracy"].tolist() == pytest.approx([115 / 120, 108 / 120, 223 / 240])
    assert scores["photos_wrong"].tolist() == [1, 3, 2]
    assert scores["photos_with_error"].tolist() == [2, 3, 2.5]
    low, high = photo_interval(3, 30)
    by_row = accuracy_interval(~np.isin(PHOTOS, WRONG[1]), PHOTOS)
    columns = [
        "photos_right_low",
        "photos_right",
        "photos_right_high",
        "accuracy_low",
        "accuracy_high",
    ]
    assert scores.loc["1", columns].tolist() == pytest.approx([1 - high, 0.9, 1 - low, *by_row])


def test_the_mean_takes_a_photo_for_one_however_many_seeds_judge_it(folder: Path):
    mean = read_scores(folder).loc["mean"]
    wrong = np.array([np.isin(np.arange(30), WRONG[seed]) for seed in WRONG])
    expected = accuracy_interval(~wrong.ravel(), np.tile(np.arange(30), 2))
    assert mean[["photos_right_low", "photos_right_high"]].tolist() == pytest.approx(expected)
    assert mean["photos_right"] == pytest.approx(28 / 30)
    assert mean["photos_right_sd"] == pytest.approx(np.std([29 / 30, 27 / 30], ddof=1))


def test_the_photos_wrong_are_listed_and_the_scores_are_shown(
    folder: Path, capsys: pytest.CaptureFixture[str]
):
    show(summarize(folder))
    stored = json.loads((folder / "pooled.json").read_text())["photos_wrong"]
    assert [tuple(item.values())[1:] for item in stored] == [
        (4, "E", 16, 2),
        (5, "F", 20, 1),
        (6, "G", 24, 1),
    ]
    assert "| sweep=cv        | mean   | 92.92 ± 4.12 (" in (folder / "pooled.md").read_text()
    assert "Out-of-fold, 95 % intervals by photo" in capsys.readouterr().out


def assert_refused(folder: Path, reason: str) -> None:
    assert summarize(folder).notes[-1] == f"folds of sweep=cv are not pooled: {reason}"


def test_what_is_not_each_row_of_one_experiment_once_is_refused(folder: Path):
    write_fold(folder, 1, 0, rows=np.flatnonzero(PHOTOS % FOLDS == 0)[:-1])
    assert_refused(folder, "the folds of seed 1 hold 119 of 120 training rows")
    write_fold(folder, 1, 2, split_seed=7)
    assert_refused(folder, "they differ in data.split_seed")
    for name in ("fold=1,seed=0", "fold=2,seed=1"):
        (folder / name / "result.json").unlink()
    write_plan(folder, "fold=1,seed=0", "fold=2,seed=1")
    assert_refused(folder, "fold 1 of seed 0, fold 2 of seed 1 missing")


@pytest.mark.parametrize(
    ("val_split", "reason"),
    [
        ("photo", "photo 0 is in several folds of seed 0"),
        ("random", "data.val_split=random does not keep the rows of a photo together"),
    ],
)
def test_folds_that_share_photos_are_refused(folder: Path, val_split: str, reason: str):
    for seed, fold in np.ndindex(2, FOLDS):
        write_fold(
            folder,
            seed,
            fold,
            rows=np.flatnonzero(np.arange(120) % FOLDS == fold),
            val_split=val_split,
        )
    assert_refused(folder, reason)
