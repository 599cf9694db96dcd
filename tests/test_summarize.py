import csv
import json
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import rich
from fake_runs import fake_run, judged_run

from sign_cnn import summarize
from sign_cnn.runs.study import Study
from sign_cnn.summary import figures as summary_figures

PHOTOGRAPHS = np.repeat(np.arange(60), 5)


def sweep(folder: Path, *, depths: tuple[int, ...] = (3, 2), seconds: float = 1.0) -> Path:
    """Twelve jobs, of which one failed and one is missing."""
    planned = []
    for depth in depths:
        for downsample in ("max_pool", "strided_conv"):
            for seed in range(3):
                name = f"depth={depth},kernel_size=3,downsample={downsample},seed={seed}"
                planned.append(name)
                if (depth, downsample, seed) == (2, "strided_conv", 1):
                    fake_run(folder / name, None, status="failed", error="out of memory")
                elif (depth, downsample, seed) != (2, "strided_conv", 2):
                    wrong = 60 * (3 - depth) + (downsample == "strided_conv") + seed
                    costs = {"num_params": 1000 * depth, "macs": 10_000 * depth, "fit_seconds": seconds * depth}
                    judged_run(folder / name, np.arange(300) >= wrong, PHOTOGRAPHS, test_acc=0.123456, **costs)
    Study(folder.name, "python -m sign_cnn.train -m sweep=s", planned).add_to(folder)
    return folder


@pytest.fixture
def no_figures(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(summary_figures, "draw", id)


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def console(monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setattr(rich, "_console", None)


@pytest.mark.usefixtures("no_figures")
def test_results_are_one_line_a_configuration_in_shares(tmp_path: Path):
    folder = sweep(tmp_path / "s")
    summarize.write(folder, final=True)
    first, _, third, fourth = rows(folder / "results.csv")
    assert list(first) == [
        "rank", "depth", "kernel_size", "downsample", "seeds", "val_acc", "val_acc_sd", "val_loss", "val_originals",
        "val_originals_wrong", "num_params", "macs", "fit_seconds", "difference", "difference_low", "difference_high",
        "verdict", "status",
    ]  # fmt: skip
    assert (first["rank"], first["depth"], first["downsample"], first["seeds"]) == ("1", "3", "max_pool", "3")
    assert (first["val_acc"], first["val_acc_sd"], first["difference"]) == ("0.996667", "0.003333", "")
    assert (first["verdict"], third["verdict"]) == ("best", "worse")
    assert (fourth["status"], fourth["val_acc_sd"]) == ("1 done, 1 failed, 1 missing", "")
    assert float(third["difference"]) == pytest.approx(-0.2)
    assert float(third["difference_high"]) < 0


def test_jobs_are_one_line_each_in_the_order_of_the_sweep(tmp_path: Path):
    folder = sweep(tmp_path / "s")
    summarize.write(folder, final=False)
    found = rows(folder / "jobs.csv")
    assert [job["job"] for job in found] == Study.read(folder).jobs
    assert (found[0]["depth"], found[0]["seed"], found[0]["status"], found[0]["macs"]) == ("3", "0", "done", "30000")
    assert [job["error"] for job in found if job["status"] == "failed"] == ["out of memory"]
    assert [(job["seed"], job["val_acc"]) for job in found if job["status"] == "missing"] == [("2", "")]


@pytest.mark.usefixtures("no_figures")
def test_the_same_results_give_the_same_bytes_but_for_seconds(tmp_path: Path):
    first, second = sweep(tmp_path / "a" / "s"), sweep(tmp_path / "b" / "s", seconds=7.0)
    for folder in (first, second):
        summarize.write(folder, final=True)
    again = (first / "results.csv").read_bytes()
    summarize.write(first, final=True)
    assert (first / "results.csv").read_bytes() == again
    one, other = rows(first / "results.csv"), rows(second / "results.csv")
    assert one != other
    for line in [*one, *other]:
        del line["fit_seconds"]
    assert one == other


def test_quick_reads_results_alone_and_compares_nothing(tmp_path: Path):
    folder = sweep(tmp_path / "s")
    for path in folder.glob("*/predictions.npz"):
        path.write_bytes(b"")
    summary = summarize.write(folder, final=False)
    assert summary.configurations[0].status == "3 done"
    assert not (folder / "figures").exists()
    first = rows(folder / "results.csv")[0]
    assert (first["val_acc"], first["difference"], first["verdict"]) == ("0.996667", "", "")
    assert "Differences and their intervals come with the summary at the end." in (folder / "results.md").read_text()


def test_the_page_says_what_matters_and_never_what_the_test_set_says(tmp_path: Path):
    folder = sweep(tmp_path / "s")
    summarize.write(folder, final=True)
    page = (folder / "results.md").read_text()
    assert page.startswith("# s\n\n```\npython -m sign_cnn.train -m sweep=s\n```\n")
    assert "Levels differ beyond their intervals for depth (3: 99.50 %, 2: 79.67 %), not for downsample." in page
    assert "The best is `depth=3, downsample=max_pool`; another one ties with it." in page
    assert "12 jobs: 10 done, 1 failed, 1 missing." in page
    assert "from 1 to 3 finished seeds" in page
    assert "`depth=2,kernel_size=3,downsample=strided_conv,seed=1` failed: out of memory" in page
    assert "![Main effects](figures/main_effects.png)" in page
    assert "12.35" not in page
    assert "test_acc" not in (folder / "results.csv").read_text()


@pytest.mark.usefixtures("no_figures")
@pytest.mark.parametrize("validated", [True, False])
def test_of_one_configuration_the_test_set_is_shown(
    tmp_path: Path, validated: bool, capsys: pytest.CaptureFixture[str]
):
    for seed, share in enumerate((0.97, 0.98)):
        run = tmp_path / "s" / f"seed={seed}"
        if validated:
            judged_run(run, np.ones(300, bool), PHOTOGRAPHS, test_acc=share)
        else:
            fake_run(run, None, test_acc=share)
    summarize.show(summarize.write(tmp_path / "s", final=True))
    for text in (capsys.readouterr().out, (tmp_path / "s" / "results.md").read_text()):
        assert "97.50 ± 0.71" in text
        assert "nothing to choose" in " ".join(text.split())


@pytest.mark.usefixtures("no_figures")
def test_the_cheapest_of_those_as_good_as_the_best_is_named(tmp_path: Path):
    for depth in (1, 2, 3):
        judged_run(tmp_path / f"depth={depth}", np.arange(300) >= 4 - depth, PHOTOGRAPHS, macs=2_000_000 * depth)
    assert (
        "The best is `depth=3`; all 2 others tie with it. As good as the best by this evidence: `depth=1` "
        "(99.00 % against 99.67 %) with 2.00 M MACs in place of 6.00 M, the cheapest of them."
    ) in summarize.write(tmp_path, final=True).paragraph


@pytest.mark.parametrize("width", [80, 120])
@pytest.mark.usefixtures("no_figures")
def test_the_console_shows_the_table_without_breaking_words(
    tmp_path: Path, width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    console(monkeypatch, width)
    folder = sweep(tmp_path / "s")
    summarize.main([str(folder)])
    output = capsys.readouterr().out
    lines = output.splitlines()[:-1]
    assert max(map(len, lines)) <= width
    for word in ("depth", "downsample", "accuracy,", "verdict", "strided_conv", "99.67 ± 0.33", "worse"):
        assert word in output
    assert all(re.search(rf"\b{state}\b", output) for state in ("1 done", "1 failed", "1 missing"))
    assert "kernel" not in output.split("Levels differ")[0]  # of one value: it goes first
    assert "Written to" in output


def test_the_console_shows_twenty_rows(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    for width in range(23):
        judged_run(tmp_path / f"width={width}", np.arange(300) >= width, PHOTOGRAPHS)
    summarize.main([str(tmp_path), "--quick"])
    output = capsys.readouterr().out
    assert "… 3 more in results.md" in output
    assert output.count("│ ") >= 20
    assert len(rows(tmp_path / "results.csv")) == 23


@pytest.mark.usefixtures("no_figures")
def test_nothing_but_seeds_is_called_by_the_study(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    for seed in range(2):
        judged_run(tmp_path / "seeds" / f"seed={seed}", np.arange(300) >= seed, PHOTOGRAPHS)
    summarize.main([str(tmp_path / "seeds")])
    assert "│ seeds " in capsys.readouterr().out
    assert "| 1 | seeds | 2 | 99.83 ± 0.24 |" in (tmp_path / "seeds" / "results.md").read_text()


def test_several_may_summarise_at_once(tmp_path: Path):
    folder = sweep(tmp_path / "s")
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: summarize.write(folder, final=False), range(12)))
    assert len(rows(folder / "results.csv")) == 4
    assert list(folder.glob(".*.tmp")) == []


@pytest.mark.usefixtures("no_figures")
def test_a_planned_sweep_of_which_nothing_ran_has_a_table(tmp_path: Path):
    Study("s", jobs=["depth=2", "depth=1"]).add_to(tmp_path)
    summarize.write(tmp_path, final=True)
    assert [(row["rank"], row["depth"], row["status"]) for row in rows(tmp_path / "results.csv")] == [
        ("", "2", "1 missing"), ("", "1", "1 missing"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (Path.parent.fget, "is not a folder"),
        (lambda folder: folder.write_text("x"), "is not a folder"),
        (lambda folder: folder.mkdir(), "holds no run"),
        (lambda folder: (folder.mkdir(), (folder / "study.json").write_text("{")), r"study\.json is damaged"),
    ],
)
def test_what_cannot_be_summarised_is_one_sentence_and_nothing_is_left(tmp_path: Path, make, message: str):
    make(tmp_path / "s")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(SystemExit, match=f"^Error: .*{message}"):
        summarize.main([str(tmp_path / "s")])
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.usefixtures("no_figures")
def test_a_job_found_beside_the_planned_ones_counts(tmp_path: Path):
    folder = sweep(tmp_path / "s")
    job = next(folder.glob("depth=3*seed=0"))
    stored = json.loads((job / "result.json").read_text())
    shutil.copytree(job, folder / job.name.replace("seed=0", "seed=7"))
    (job / "result.json").write_text(json.dumps(stored | {"from_a_later_version": 1}))
    assert summarize.write(folder, final=True).configurations[0].status == "4 done"


def test_neither_torch_nor_hydra_is_loaded_and_matplotlib_only_to_draw(tmp_path: Path):
    folder = sweep(tmp_path / "s")
    code = f"""
import sys
from sign_cnn import summarize
summarize.main([{str(folder)!r}, "--quick"])
quick = sorted(m for m in ("torch", "pytorch_lightning", "hydra", "matplotlib") if m in sys.modules)
summarize.main([{str(folder)!r}])
final = sorted(m for m in ("torch", "pytorch_lightning", "hydra", "matplotlib") if m in sys.modules)
print(quick, final)
"""
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert output.splitlines()[-1] == "[] ['matplotlib']"
