"""Nothing is lost: kills a run or a sweep at random moments, and compares what the same command makes of it in the end.

    python -m scripts.kill_and_resume run                  # three kills -9
    python -m scripts.kill_and_resume sweep                # eight jobs, five kills, process group and all
    python -m scripts.kill_and_resume sweep hydra/launcher=joblib
    python -m scripts.kill_and_resume run --real trainer.max_epochs=3

By default a small network on drawn hands, in a temporary directory. Compared with a training that was left alone are
weights, metrics.csv, predictions.npz and result.json, of a sweep those of each job, and results.csv; without times. The
exit code is 1 if anything differs, was left behind or was done twice. Needs Linux or macOS.
"""

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from sign_cnn.config import DataConfig, SyntheticConfig
from sign_cnn.console import print_line, print_table
from sign_cnn.data.dataset import load_dataset

ROOT = Path(__file__).resolve().parent.parent
DRAWN = SyntheticConfig(train_photos=4, test_photos=2, variants=5)
SMALL = [
    "model.width=8",
    "model.depth=2",
    "model.kernel_size=3",
    "model.dropout=0.2",
    "augment=full",
    "data.batch_size=32",
    "callbacks=[default,ema]",
    "data.folds=2",
    "figures=false",
    "threads=1",
]
TRAININGS = {
    "run": ["name=r", "trainer.max_epochs=200"],
    "sweep": [
        "-m",
        "name=s",
        "model.depth=1,2",
        "model.batch_norm=false,true",
        "seed=0,1",
        "trainer.max_epochs=20",
    ],
}
KILLS = {"run": 3, "sweep": 5}


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m scripts.kill_and_resume", description="Kill, resume, compare."
    )
    parser.add_argument("kind", choices=list(TRAININGS))
    parser.add_argument("--kills", type=int, help="default: 3 of a run, 5 of a sweep")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--real", action="store_true", help="on the CSVs in SIGN_MNIST_DIR")
    parser.add_argument("overrides", nargs="*", help="more settings of the training")
    options = parser.parse_intermixed_args()
    if options.real and not os.environ.get("SIGN_MNIST_DIR"):
        parser.error("--real needs SIGN_MNIST_DIR, the folder with the CSVs")
    with tempfile.TemporaryDirectory() as folder:
        alone, killed = Path(folder, "alone"), Path(folder, "killed")
        alone.mkdir()
        killed.mkdir()
        name, root = (
            ("sign_mnist", os.environ["SIGN_MNIST_DIR"]) if options.real else ("synthetic", "")
        )
        folders = {
            "root": root,
            "synthetic_root": f"{folder}/drawn",
            "cache_dir": f"{folder}/cache",
        }
        data = DataConfig(name, **folders, synthetic=DRAWN)  # type: ignore[arg-type]
        load_dataset(data)
        places = [
            f"data.{key}={getattr(data, key)}"
            for key in ("name", "root", "synthetic_root", "cache_dir")
        ]
        sizes = [f"data.synthetic.{key}={value}" for key, value in vars(DRAWN).items()]
        arguments = [*places, *sizes, *SMALL, *TRAININGS[options.kind], *options.overrides]
        print_line(f"python -m sign_cnn.train {' '.join(arguments)}")
        start = time.monotonic()
        finish_training(arguments, alone)
        seconds = time.monotonic() - start
        print_line(f"left alone: {seconds:.0f} s")
        moments = random.Random(options.seed)
        rows, done = kill_repeatedly(
            arguments, killed, options.kills or KILLS[options.kind], seconds, moments
        )
        print_table(pd.DataFrame(rows), "kill -9")
        finish_training(arguments, killed)
        checks = compare(alone / "outputs", killed / "outputs")
        checks["no files of a killed process left behind"] = [
            not [*(killed / "outputs").rglob("*.tmp")]
        ]
        checks["finished jobs left as they were"] = [done.items() <= find_done(killed).items()]
    table = [
        {"what": what, "holds": f"{sum(same)} of {len(same)}"} for what, same in checks.items()
    ]
    print_table(pd.DataFrame(table), "killed and resumed, against left alone")
    sys.exit(not all(all(same) for same in checks.values()))


def start_training(arguments: list[str], folder: Path) -> "subprocess.Popen[bytes]":
    """`python -m sign_cnn.train` in a folder, as the first process of a group of its own."""
    paths = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    with (folder / "log.txt").open("wb") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "sign_cnn.train", *arguments],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": paths},
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def finish_training(arguments: list[str], folder: Path) -> None:
    """Let the training come to its end; what goes wrong ends this process."""
    if code := start_training(arguments, folder).wait():
        sys.exit(f"Error: exit code {code}\n{(folder / 'log.txt').read_text()}")


def kill_repeatedly(
    arguments: list[str], folder: Path, kills: int, seconds: float, moments: random.Random
) -> tuple[list[dict[str, str]], dict[Path, int]]:
    """Start the training and kill its process group, within half the `seconds` it takes; should it end, begin anew.

    Returns:
        A line for each kill, and what was finished at any of them.
    """
    rows: list[dict[str, str]] = []
    done: dict[Path, int] = {}
    while len(rows) < kills:
        delay = moments.uniform(0, seconds / 2)
        process = start_training(arguments, folder)
        try:
            process.wait(delay)
            shutil.rmtree(folder / "outputs")
            done = {}
            continue
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        done = find_done(folder) | done
        epochs = sum(len(pd.read_csv(path)) for path in folder.rglob("metrics.csv"))
        rows.append(
            {"after": f"{delay:.1f} s", "runs done": f"{len(done)}", "epochs done": f"{epochs}"}
        )
    return rows, done


def find_done(folder: Path) -> dict[Path, int]:
    """When each result of a finished run was written."""
    results = {path: json.loads(path.read_text())["status"] for path in folder.rglob("result.json")}
    return {path: path.stat().st_mtime_ns for path, status in results.items() if status == "done"}


def compare(one: Path, other: Path) -> dict[str, list[bool]]:
    """What of two folders of runs is the same: an entry for each run, by file."""
    runs, others = (
        sorted(path.parent.relative_to(top) for path in top.rglob("result.json"))
        for top in (one, other)
    )
    checks = {"the same runs": [runs == others]}
    for run in runs:
        different = differences(one / run, other / run)
        for name in read_run(one / run):
            checks.setdefault(name, []).append(name not in different)
    for table in one.rglob("results.csv"):
        checks["results.csv"] = [read_csv(table) == read_csv(other / table.relative_to(one))]
    return checks


def differences(one: Path, other: Path) -> list[str]:
    """Files of two runs whose contents differ in more than times."""
    first, second = read_run(one), read_run(other)
    return [name for name in first if first[name] != second[name]]


def read_run(path: Path) -> dict[str, Any]:
    """What two runs of one experiment have in common to the last bit, by file."""
    contents: dict[str, Any] = {}
    for name in ("best.ckpt", "last.ckpt"):
        weights = torch.load(path / "checkpoints" / name, weights_only=True)["state_dict"]
        contents[name] = {key: value.numpy().tobytes() for key, value in weights.items()}
    contents["metrics.csv"] = read_csv(path / "metrics.csv")
    with np.load(path / "predictions.npz") as arrays:
        contents["predictions.npz"] = {name: arrays[name].tobytes() for name in arrays.files}
    result = json.loads((path / "result.json").read_text())
    left_out = ("name", "overrides", "git_commit")
    contents["result.json"] = {
        k: v for k, v in result.items() if "second" not in k and k not in left_out
    }
    return contents


def read_csv(path: Path) -> str:
    """A table without its times."""
    table = pd.read_csv(path, dtype=str)
    return table.loc[:, ~table.columns.str.contains("second")].to_csv()


if __name__ == "__main__":
    main()
