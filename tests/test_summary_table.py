from pathlib import Path

import numpy as np
import pytest
from fake_runs import FINGERPRINT, fake_run, judged_run
from filelock import FileLock

from sign_cnn.runs.study import Study
from sign_cnn.summary.contents import collect
from sign_cnn.summary.jobs import in_order, read_job

PHOTOGRAPHS = np.repeat(np.arange(20), 5)


def run(folder: Path, name: str, wrong: int, **fields) -> Path:
    """A run that has its first `wrong` rows wrong."""
    return judged_run(folder / name, np.arange(100) >= wrong, PHOTOGRAPHS, **fields)


def names(folder: Path, *, final: bool = True) -> list[str]:
    return [item.name() for item in collect(folder, final=final).configurations]


def test_every_job_says_what_state_it_is_in(tmp_path: Path):
    run(tmp_path, "depth=1", 0)
    fake_run(tmp_path / "depth=2", None, status="failed", error="28 → 14 → 0")
    fake_run(tmp_path / "depth=3", None, status="running")
    fake_run(tmp_path / "depth=4", None, status="running")
    fake_run(tmp_path / "depth=5", None, status="interrupted")
    (tmp_path / "depth=6").mkdir()  # begun, but no result yet
    Study("s", jobs=["depth=7", "depth=6", "depth=1"]).add_to(tmp_path)
    (tmp_path / "figures").mkdir()
    with FileLock(tmp_path / "depth=3" / ".lock"), FileLock(tmp_path / "depth=6" / ".lock"):
        jobs = collect(tmp_path, final=True).jobs
    assert [(job.name[-1], job.status) for job in jobs] == [
        ("7", "missing"), ("6", "running"), ("1", "done"),
        ("2", "failed"), ("3", "running"), ("4", "interrupted"), ("5", "interrupted"),
    ]  # fmt: skip
    assert jobs[3].error == "28 → 14 → 0"


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", "{}", '{"status": "odd"}', '{"status": "done", "val_acc": "x"}',
     '{"status": "done", "val_acc": NaN}', "\x80"],
)  # fmt: skip
def test_a_damaged_result_is_unreadable_and_breaks_nothing(tmp_path: Path, text: str):
    run(tmp_path, "depth=1", 3)
    run(tmp_path, "depth=2", 2)
    (tmp_path / "depth=2" / "result.json").write_text(text, encoding="latin-1")
    first, second = collect(tmp_path, final=True).configurations
    assert (first.name(), first.status, first.rank) == ("depth=1", "1 done", 1)
    assert (second.status, second.rank) == ("1 unreadable", None)
    assert "result.json" in (second.jobs[0].error or "")


@pytest.mark.parametrize("damage", ["missing", "cut", "garbage", "flipped", "unequal", "test rows alone"])
def test_damaged_predictions_are_unreadable_and_break_nothing(tmp_path: Path, damage: str):
    run(tmp_path, "depth=1", 3)
    path = run(tmp_path, "depth=2", 2) / "predictions.npz"
    stored, content = dict(np.load(path)), path.read_bytes()
    if damage == "missing":
        path.unlink()
    elif damage == "cut":
        path.write_bytes(content[: len(content) // 2])
    elif damage == "garbage":
        path.write_bytes(b"PK\x03\x04 no archive")
    elif damage == "flipped":
        path.write_bytes(content[:200] + bytes(255 - byte for byte in content[200:400]) + content[400:])
    elif damage == "unequal":
        np.savez(path, **{**stored, "row": stored["row"][:7], "split": stored["split"][:7]})
    else:
        np.savez(path, **{**stored, "split": np.full(100, "test")})
    first, second = collect(tmp_path, final=True).configurations
    assert (first.status, second.status) == ("1 done", "1 unreadable")
    assert "predictions.npz" in (second.jobs[0].error or "")
    assert [item.status for item in collect(tmp_path, final=False).configurations] == ["1 done", "1 done"]


def test_seeds_of_a_configuration_are_one_line(tmp_path: Path):
    run(tmp_path, "depth=1,seed=0", 10, num_params=5, macs=7, fit_seconds=2.0)
    run(tmp_path, "seed=1,depth=1", 20, num_params=5, macs=7, fit_seconds=4.0)  # named in another order
    fake_run(tmp_path / "depth=1,seed=2", None, status="failed", error="e")
    (item,) = collect(tmp_path, final=True).configurations
    assert item.factors == {"depth": "1"}
    assert item.accuracies == [0.9, 0.8]
    assert item.val_acc == pytest.approx(0.85)
    assert item.val_acc_sd == pytest.approx(np.std([0.9, 0.8], ddof=1))
    assert (item.photographs, item.photographs_wrong) == (20, 3)
    assert (item.num_params, item.macs, item.fit_seconds, item.status) == (5, 7, 3.0, "2 done, 1 failed")


def test_ranked_by_validation_and_never_by_test(tmp_path: Path):
    for depth, wrong in ((1, 30), (2, 10), (3, 20)):
        run(tmp_path, f"depth={depth}", wrong, test_acc=wrong / 100, test_errors=100 - wrong, test_originals_wrong=0)
    fake_run(tmp_path / "depth=0", None, status="failed", error="e")
    assert names(tmp_path) == ["depth=2", "depth=3", "depth=1", "depth=0"]
    assert [item.rank for item in collect(tmp_path, final=False).configurations] == [1, 2, 3, None]


def test_equal_means_are_ranked_by_photographs_then_loss_then_macs(tmp_path: Path):
    scores = {"val_originals_wrong": 1, "val_loss": 0.5, "macs": 10}
    for name, better in (("d", {}), ("c", {"macs": 5}), ("b", {"val_loss": 0.4}), ("a", {"val_originals_wrong": 0})):
        run(tmp_path, f"model={name}", 10, **{**scores, **better})
    assert names(tmp_path) == ["model=a", "model=b", "model=c", "model=d"]


def folds(folder: Path, name: str, wrong: list[int], seed: int = 0) -> None:
    """Folds of 10, 30 and 60 rows."""
    bounds = [0, 10, 40, 100]
    for fold, missed in enumerate(wrong):
        rows = np.arange(bounds[fold], bounds[fold + 1])
        judged_run(folder / f"{name},fold={fold},seed={seed}", rows >= rows[0] + missed, PHOTOGRAPHS[rows], rows=rows)


def test_folds_are_pooled_by_rows_before_seeds_are_averaged(tmp_path: Path):
    folds(tmp_path, "depth=1", [5, 3, 0])
    folds(tmp_path, "depth=1", [0, 0, 12], seed=1)
    (item,) = collect(tmp_path, final=True).configurations
    assert item.accuracies == pytest.approx([0.92, 0.88])
    assert (item.photographs, len(item.scores)) == (20, 2)
    assert item.photographs_wrong == (1 + 1 + 2) / 2
    assert item.evidence is not None
    assert item.evidence.right.sum(axis=1).tolist() == [92, 88]


def test_a_seed_counts_when_all_its_folds_are_done(tmp_path: Path):
    folds(tmp_path, "depth=1", [5, 3, 0])
    folds(tmp_path, "depth=1", [0, 0], seed=1)
    (item,) = collect(tmp_path, final=True).configurations
    assert item.accuracies == pytest.approx([0.92])
    assert item.status == "5 done"


def test_a_configuration_that_misses_folds_comes_after_those_that_have_them(tmp_path: Path):
    folds(tmp_path, "depth=1", [5, 3, 0])
    folds(tmp_path, "depth=2", [0, 0])
    summary = collect(tmp_path, final=True)
    assert [item.name() for item in summary.configurations] == ["depth=1", "depth=2"]
    assert summary.configurations[1].verdict == "other rows"
    assert any("miss folds" in note for note in summary.notes)


def test_without_validation_rows_nothing_is_ranked(tmp_path: Path):
    for depth in (2, 1):
        fake_run(tmp_path / f"depth={depth}", None, macs=3)
    summary = collect(tmp_path, final=True)
    assert [(item.rank, item.status, item.macs) for item in summary.configurations] == [(None, "1 done", 3)] * 2
    assert any("nothing is ranked" in note for note in summary.notes)
    assert summary.paragraph == ""


def test_any_folder_of_runs_is_summarised_by_their_names(tmp_path: Path):
    run(tmp_path, "baseline", 5)
    run(tmp_path, "2026-01-02_03-04-05", 3)
    assert names(tmp_path) == ["2026-01-02_03-04-05", "baseline"]


def test_a_failed_job_without_a_reason_is_listed_with_the_others_of_its_message(tmp_path: Path):
    for depth in range(5):
        fake_run(tmp_path / f"depth={depth}", None, status="failed", error=None if depth == 4 else "out of memory")
    assert collect(tmp_path, final=False).errors == [
        "`depth=0`, `depth=1`, `depth=2` and 1 more failed: out of memory", "`depth=4` failed: no reason known",
    ]  # fmt: skip


def test_numbers_are_put_in_order_and_names_are_left():
    assert in_order(["10", "9", "1e-3", "9"]) == ["1e-3", "9", "10"]
    assert in_order(["none", "full", "article"]) == ["none", "full", "article"]


def test_one_data_set_is_not_another(tmp_path: Path):
    run(tmp_path, "depth=1,seed=0", 1)
    run(tmp_path, "depth=1,seed=1", 1, fingerprint="f" * len(FINGERPRINT))
    (item,) = collect(tmp_path, final=True).configurations
    assert item.evidence is None
    assert read_job(tmp_path / "depth=1,seed=0").rows is None
