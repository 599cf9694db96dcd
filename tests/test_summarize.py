import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from fake_runs import write_run
from fake_sweeps import PHOTOS, rank, write_first_wrong, write_job, write_plan
from filelock import FileLock

from sign_cnn.errors import UserError
from sign_cnn.runs import Result
from sign_cnn.summarize import summarize


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Twelve jobs of four configurations, of which one failed and one is missing."""
    blocks = [f"depth={depth},downsample={name}" for depth in (3, 2) for name in ("pool", "stride")]
    names = [f"{block},seed={seed}" for block in blocks for seed in range(3)]
    write_plan(tmp_path / "s", *names)
    for name in names[:-2]:
        wrong = 20 * ("depth=2" in name) + ("stride" in name) + int(name[-1])
        costs = {"macs": 1_000_000 * int(name[6]), "num_params": 1000, "fit_seconds": 2.5}
        write_first_wrong(tmp_path / "s" / name, wrong, test_acc=0.123456, **costs)
    write_run(tmp_path / "s" / names[-2], None, status="failed", error="out of memory")
    return tmp_path / "s"


def test_every_job_has_a_status(tmp_path: Path):
    write_first_wrong(tmp_path / "depth=1", 0)
    write_run(tmp_path / "depth=2", None, status="failed", error="28 → 14 → 0")
    for depth, status in ((3, "running"), (4, "running"), (5, "interrupted")):
        write_run(tmp_path / f"depth={depth}", None, status=status)
    (tmp_path / "depth=6").mkdir()  # begun, but no result yet
    write_plan(tmp_path, "depth=7", "depth=6", "depth=1")
    with FileLock(tmp_path / "depth=3" / ".lock"), FileLock(tmp_path / "depth=6" / ".lock"):
        summary = summarize(tmp_path)
    statuses = ["missing", "running", "done", "failed", "running", "interrupted", "interrupted"]
    assert summary.jobs["job"].str[-1].tolist() == list("7612345")
    assert summary.jobs["status"].tolist() == statuses
    assert summary.notes[-1] == "depth=2: 28 → 14 → 0"


def test_a_folder_without_runs_is_refused(tmp_path: Path):
    with pytest.raises(UserError, match=re.escape(str(tmp_path))):
        summarize(tmp_path)


@pytest.mark.parametrize("content", [None, b"", b"[]", b"\x80"])
@pytest.mark.parametrize("file", ["result.json", "predictions.npz"])
def test_a_damaged_file_counts_as_failure_and_breaks_nothing(
    tmp_path: Path, file: str, content: bytes | None
):
    write_first_wrong(tmp_path / "depth=1", 3)
    path = write_first_wrong(tmp_path / "depth=2", 2) / file
    write_plan(tmp_path, "depth=2")
    path.write_bytes(content) if content is not None else path.unlink()
    status = summarize(tmp_path).table["status"].to_dict()
    lost = content is None and file == "result.json"
    assert status == {"depth=1": "done", "depth=2": "1 missing" if lost else "1 failed"}


def test_what_weakens_the_table_stands_above_it(tmp_path: Path):
    for depth in range(6):
        write_first_wrong(tmp_path / f"depth={depth}", 3, epochs=1, data_kind="made up")
    summarize(tmp_path)
    above = (tmp_path / "results.md").read_text().partition("| #")[0]
    assert all(word in above for word in ("made up", "one seed", "one epoch", "best of 6"))


def test_seeds_of_a_configuration_are_one_line(tmp_path: Path):
    costs = {"num_params": 5, "macs": 7}
    write_first_wrong(tmp_path / "depth=1,seed=0", 10, fit_seconds=2.0, **costs)
    write_first_wrong(tmp_path / "seed=1,depth=1", 20, fit_seconds=4.0, **costs)  # another order
    write_first_wrong(tmp_path / "seed=0,depth=1", 50)  # the same again, which counts once
    write_run(tmp_path / "depth=1,seed=2", None, status="failed", error="e")
    (row,) = rank(tmp_path).to_dict("records")
    assert row["val_acc"] == pytest.approx(0.85)
    assert row["val_acc_sd"] == pytest.approx(np.std([0.9, 0.8], ddof=1))
    columns = ["seeds", "val_photos", "val_photos_wrong", "macs", "fit_seconds", "status"]
    assert [row[key] for key in columns] == [2, 20, 3, 7, 3, "3 done, 1 failed"]


def test_configurations_are_ranked_by_accuracy_photos_loss_and_macs_and_never_by_test(
    tmp_path: Path,
):
    ranked = [("b", 10, 0.4, 10), ("c", 10, 0.5, 5), ("d", 10, 0.5, 10), ("e", 20, 0.1, 1)]
    for name, wrong, loss, macs in reversed(ranked):
        scores = {"val_loss": loss, "macs": macs, "test_acc": wrong / 20}
        write_first_wrong(tmp_path / f"model={name}", wrong, **scores)
    no_photo_wrong = np.arange(100) % 10 > 0
    write_job(tmp_path / "model=a", no_photo_wrong, val_loss=0.9, macs=99)
    write_run(tmp_path / "model=0", None, status="failed", error="e")
    assert list(rank(tmp_path)["model"]) == ["a", "b", "c", "d", "e", "0"]


def write_folds(folder: Path, name: str, wrong: list[int], seed: int = 0) -> None:
    """Folds of 10, 30 and 60 rows; of each the first are wrong."""
    for fold, missed in enumerate(wrong):
        rows = np.arange(*[(0, 10), (10, 40), (40, 100)][fold])
        path = folder / f"{name},fold={fold},seed={seed}"
        write_job(path, rows >= rows[0] + missed, PHOTOS[rows], rows)


def test_folds_are_pooled_over_their_rows(tmp_path: Path):
    write_folds(tmp_path, "depth=1", [5, 3, 0])
    write_folds(tmp_path, "depth=1", [0, 0, 12], seed=1)
    row = rank(tmp_path).loc["depth=1"]
    assert (row["val_acc"], row["val_acc_sd"]) == pytest.approx((0.9, np.std([0.92, 0.88], ddof=1)))
    assert row[["seeds", "val_photos", "val_photos_wrong"]].tolist() == [2, 20, (1 + 1 + 2) / 2]


def test_seeds_with_a_fold_of_their_own_are_pooled_and_compared_photo_by_photo(tmp_path: Path):
    for depth, wrong in ((1, [5, 3, 0]), (2, [0, 3, 5])):
        write_folds(tmp_path, f"depth={depth}", wrong)
        for fold in range(3):  # as data.fold=${seed} names them
            path = tmp_path / f"depth={depth},fold={fold},seed=0"
            result = replace(Result.load(path / "result.json"), seed=fold, fold=fold)
            result.save(path / "result.json")
            path.rename(tmp_path / f"depth={depth},seed={fold}")
    table = rank(tmp_path)
    assert table["val_acc"].tolist() == pytest.approx([0.92, 0.92])
    assert table.loc["depth=1", "val_acc_sd"] == pytest.approx(np.std([0.5, 0.9, 1.0], ddof=1))
    assert table[["seeds", "val_photos"]].to_numpy().tolist() == [[3, 20]] * 2
    assert table["verdict"].tolist() == ["best", "tie"]


def test_what_misses_folds_is_ranked_below_and_marked(tmp_path: Path):
    write_folds(tmp_path, "depth=1", [5, 3, 0])
    write_folds(tmp_path, "depth=1", [0, 0], seed=1)  # left out until its third fold is done
    write_folds(tmp_path, "depth=2", [0, 0])
    table = rank(tmp_path)
    assert table["val_acc"].tolist() == pytest.approx([0.92, 1])
    assert table["verdict"].tolist() == ["best", "other rows"]
    assert table["status"].tolist() == ["done", "incomplete"]


def test_verdicts_follow_the_intervals_and_other_rows_are_not_compared(tmp_path: Path):
    photos = np.repeat(np.arange(100), 10)
    for name, wrong in (("a", 3), ("b", 4), ("c", 40)):
        write_job(tmp_path / f"model={name}", photos >= wrong, photos)
    write_job(tmp_path / "model=d", photos >= 50, photos, np.arange(1000) + 5)
    write_job(tmp_path / "model=e", photos >= 60, photos, data_fingerprint="f" * 64)
    table = rank(tmp_path)
    assert table["verdict"].tolist() == ["best", "tie", "worse", "other rows", "other rows"]
    assert table["delta"].dropna().tolist() == pytest.approx([-0.01, -0.37])


def test_without_validation_rows_nothing_is_ranked(tmp_path: Path):
    for depth in (2, 1):
        write_run(tmp_path / f"depth={depth}", None, macs=3)
    columns = ["seeds", "macs", "verdict", "status"]
    assert summarize(tmp_path).table[columns].to_numpy().tolist() == [[1, 3, "–", "done"]] * 2


def test_tables_and_page_show_each_configuration_and_job_but_not_the_test_set(folder: Path):
    summarize(folder)
    lines, jobs = (pd.read_csv(folder / name) for name in ("results.csv", "jobs.csv"))
    assert lines["val_acc"].tolist() == pytest.approx([0.99, 0.98, 0.79, 0.79])
    assert lines["status"].tolist() == ["done"] * 3 + ["1 done, 1 failed, 1 missing"]
    assert jobs["job"].tolist() == json.loads((folder / "sweep.json").read_text())["jobs"]
    assert jobs["error"].dropna().tolist() == ["out of memory"]
    page = (folder / "results.md").read_text()
    assert page.startswith("# s\n\n```\npython -m sign_cnn.train -m sweep=s\n```\n")
    best = [cell.strip() for cell in page.partition("| 1 ")[2].partition("\n")[0].split("|")][1:-1]
    assert best[:4] == ["3", "pool", "3", "99.00 ± 1.00"]
    assert best[4:] == ["0.0", "1,000", "3,000,000", "2.5", "–", "best", "done"]
    assert "![main_effects.png](figures/main_effects.png)" in page
    assert "12.35" not in page + (folder / "results.csv").read_text()
