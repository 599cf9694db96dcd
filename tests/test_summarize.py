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

from sign_cnn import summarize as command
from sign_cnn.runs import Result
from sign_cnn.summarize import summarize


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Twelve jobs of four configurations, of which one failed and one is missing."""
    names = [
        f"depth={d},downsample={s},seed={i}"
        for d in (3, 2)
        for s in ("max_pool", "strided")
        for i in range(3)
    ]
    write_plan(tmp_path / "s", *names)
    for name in names[:-2]:
        wrong = 20 * ("depth=2" in name) + ("strided" in name) + int(name[-1])
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
    assert (summary.jobs["job"].str[-1] + " " + summary.jobs["status"]).tolist() == [
        "7 missing",
        "6 running",
        "1 done",
        "2 failed",
        "3 running",
        "4 interrupted",
        "5 interrupted",
    ]
    assert summary.notes[-1] == "depth=2: 28 → 14 → 0"


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("result.json", b""),
        ("result.json", b"[]"),
        ("result.json", b"\x80"),
        ("predictions.npz", b"no archive"),
        ("predictions.npz", None),
    ],
)
def test_a_damaged_file_counts_as_failure_and_breaks_nothing(
    tmp_path: Path, file: str, content: bytes | None
):
    write_first_wrong(tmp_path / "depth=1", 3)
    path = write_first_wrong(tmp_path / "depth=2", 2) / file
    path.unlink() if content is None else path.write_bytes(content)
    summary = summarize(tmp_path)
    assert summary.table["status"].to_dict() == {"depth=1": "done", "depth=2": "1 failed"}
    assert file in summary.notes[-1]


def test_what_weakens_the_table_stands_above_it(folder: Path, tmp_path: Path):
    assert summarize(folder).caution == ""
    for depth in (1, 2):
        write_first_wrong(tmp_path / f"depth={depth}", 3, epochs=1, data_kind="synthetic")
    caution = summarize(tmp_path).caution
    assert (
        caution
        == "Drawn hands, not Sign Language MNIST; one seed each (seed=0,1,2 tells) and one epoch "
        "(trainer.max_epochs=5): the order may be luck"
    )
    assert f"**{caution}.**" in (tmp_path / "results.md").read_text()


def test_seeds_of_a_configuration_are_one_line(tmp_path: Path):
    write_first_wrong(tmp_path / "depth=1,seed=0", 10, num_params=5, macs=7, fit_seconds=2.0)
    write_first_wrong(
        tmp_path / "seed=1,depth=1", 20, num_params=5, macs=7, fit_seconds=4.0
    )  # in another order
    write_first_wrong(tmp_path / "seed=0,depth=1", 50)  # the same again, which counts once
    write_run(tmp_path / "depth=1,seed=2", None, status="failed", error="e")
    table = rank(tmp_path)
    assert table["val_acc"].tolist() == pytest.approx([0.85])
    assert table["val_acc_sd"].tolist() == pytest.approx([np.std([0.9, 0.8], ddof=1)])
    columns = [
        "seeds",
        "val_photos",
        "val_photos_wrong",
        "num_params",
        "macs",
        "fit_seconds",
        "status",
    ]
    assert table[columns].to_numpy().tolist() == [[2, 20, 3, 5, 7, 3, "3 done, 1 failed"]]


def test_configurations_are_ranked_by_accuracy_photos_loss_and_macs_and_never_by_test(
    tmp_path: Path,
):
    for name, wrong, loss, macs in (
        ("e", 20, 0.1, 1),
        ("d", 10, 0.5, 10),
        ("c", 10, 0.5, 5),
        ("b", 10, 0.4, 10),
    ):
        write_first_wrong(
            tmp_path / f"model={name}", wrong, val_loss=loss, macs=macs, test_acc=wrong / 20
        )
    write_job(
        tmp_path / "model=a", np.arange(100) % 10 > 0, val_loss=0.9, macs=99
    )  # no photo wholly wrong
    write_run(tmp_path / "model=0", None, status="failed", error="e")
    assert list(rank(tmp_path)["model"]) == ["a", "b", "c", "d", "e", "0"]


def write_folds(folder: Path, name: str, wrong: list[int], seed: int = 0) -> None:
    """Folds of 10, 30 and 60 rows; of each the first are wrong."""
    for fold, missed in enumerate(wrong):
        rows = np.arange(*[(0, 10), (10, 40), (40, 100)][fold])
        path, config = (
            folder / f"{name},fold={fold},seed={seed}",
            {"seed": seed, "data": {"fold": fold, "folds": 3}},
        )
        write_job(path, rows >= rows[0] + missed, PHOTOS[rows], rows, config=config)


def test_folds_are_pooled_over_their_rows_before_seeds_are_averaged(tmp_path: Path):
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
    write_folds(tmp_path, "depth=1", [0, 0], seed=1)  # of no account until its third fold is done
    write_folds(tmp_path, "depth=2", [0, 0])
    table = rank(tmp_path)
    assert table["val_acc"].tolist() == pytest.approx([0.92, 1])
    assert table[["seeds", "verdict", "status"]].to_numpy().tolist() == [
        [1, "best", "done"],
        [1, "other rows", "incomplete"],
    ]


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
        write_run(tmp_path / f"depth={depth}", None, macs=3, config={"data": {"val_split": "none"}})
    table = summarize(tmp_path).table
    assert (
        table[["seeds", "macs", "verdict", "status"]].to_numpy().tolist()
        == [[1, 3, "–", "done"]] * 2
    )


def test_the_files_hold_a_line_per_configuration_and_per_job(folder: Path):
    summarize(folder)
    lines, jobs = (pd.read_csv(folder / name) for name in ("results.csv", "jobs.csv"))
    assert lines["val_acc"].tolist() == pytest.approx([0.99, 0.98, 0.79, 0.79])
    assert lines["status"].tolist() == ["done"] * 3 + ["1 done, 1 failed, 1 missing"]
    assert jobs["job"].tolist() == json.loads((folder / "sweep.json").read_text())["jobs"]
    assert jobs["error"].dropna().tolist() == ["out of memory"]
    assert jobs["macs"].tolist()[:9:8] == [3_000_000, 2_000_000]
    before = (folder / "results.csv").read_bytes()
    summarize(folder)
    assert (folder / "results.csv").read_bytes() == before


def test_the_page_shows_table_notes_and_figures_but_not_the_test_set(folder: Path):
    summarize(folder)
    page = (folder / "results.md").read_text()
    assert page.startswith("# s\n\n```\npython -m sign_cnn.train -m sweep=s\n```\n\n| #")
    line = next(line for line in page.splitlines() if line.startswith("| 1 "))
    assert [cell.strip() for cell in line.split("|")[2:-1]] == [
        "3",
        "max_pool",
        "3",
        "99.00 ± 1.00",
        "0.0",
        "1,000",
        "3.00 M",
        "2.5",
        "–",
        "best",
        "done",
    ]
    assert "- 12 jobs: 10 done, 1 failed, 1 missing" in page
    assert "![main_effects.png](figures/main_effects.png)" in page
    assert "12.35" not in page + (folder / "results.csv").read_text()


def test_of_one_configuration_the_test_set_is_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    for seed, share in enumerate((0.97, 0.98)):
        write_first_wrong(tmp_path / f"seed={seed}", seed, test_acc=share)
    command.main([str(tmp_path)])
    assert "test accuracy 97.50 %, mean of 2" in capsys.readouterr().out


def test_the_console_shows_twenty_configurations(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    for width in range(23):
        write_first_wrong(tmp_path / f"width={width}", width)
    command.main([str(tmp_path)])
    output = capsys.readouterr().out
    assert len(re.findall(r"^│ +\d+ │", output, re.MULTILINE)) == 20
    assert "status" not in output
    assert output.endswith(f"Written to {tmp_path / 'results.md'}\n")
