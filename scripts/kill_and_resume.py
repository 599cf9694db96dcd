"""Kill a run or a sweep at random moments, resume it, and compare it with an undisturbed one.

    python -m scripts.kill_and_resume run
    python -m scripts.kill_and_resume sweep                # eight jobs
    python -m scripts.kill_and_resume sweep hydra/launcher=joblib
    python -m scripts.kill_and_resume run --real trainer.max_epochs=3

By default it trains a small network on synthetic hands, in a temporary directory, and kills the
whole process group with SIGKILL. Weights, metrics.csv, predictions.npz and result.json of each run,
and results.csv of a sweep, must be equal to the last bit, apart from times. The exit code is 1 if
anything differs, was left behind or was done twice. Needs Linux or macOS.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from sign_cnn.console import print_line

ROOT = Path(__file__).resolve().parent.parent
SYNTHETIC = "data=synthetic data.synthetic={train_photos:4,test_photos:2,variants:5}"
SMALL = (
    "data.batch_size=32 data.folds=2 model.width=8 model.depth=2 model.dropout=0.2 "
    "callbacks=[default,ema] figures=false threads=1"
)
TRAININGS = {
    "run": "name=r trainer.max_epochs=200",
    "sweep": "-m name=s model.depth=1,2 model.batch_norm=false,true seed=0,1 trainer.max_epochs=20",
}
NOT_COMPARED = {"name", "overrides", "git_commit"}
"""Keys of result.json that may differ between two runs of one experiment, as may all times."""


def main() -> None:
    """Parse the command line, train twice and compare."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("kind", choices=list(TRAININGS))
    parser.add_argument("--kills", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0, help="chooses the moments")
    parser.add_argument("--real", action="store_true", help="train on the CSVs in SIGN_MNIST_DIR")
    parser.add_argument("overrides", nargs="*", help="more settings of the training")
    options = parser.parse_intermixed_args()
    data = "data=sign_mnist" if options.real else SYNTHETIC
    arguments = [*f"{data} {SMALL} {TRAININGS[options.kind]}".split(), *options.overrides]
    with tempfile.TemporaryDirectory() as folder:
        alone, killed = Path(folder, "alone"), Path(folder, "killed")
        alone.mkdir()
        killed.mkdir()
        (killed / "data").symlink_to(alone / "data")  # read and generated once
        print_line(f"python -m sign_cnn.train {' '.join(arguments)}")
        finish_training(arguments, alone)
        moments = random.Random(options.seed)
        done = kill_repeatedly(arguments, killed, options.kills, count_epochs(alone), moments)
        finish_training(arguments, killed)
        problems = compare(alone / "outputs", killed / "outputs")
        problems += [f"left behind: {path}" for path in (killed / "outputs").rglob("*.tmp")]
        now = find_done(killed)
        problems += [f"done twice: {path}" for path in done if done[path] != now.get(path)]
    print_line("\n".join(problems) or "the same bits")
    sys.exit(bool(problems))


def start_training(arguments: list[str], folder: Path) -> "subprocess.Popen[bytes]":
    """Start `python -m sign_cnn.train` in a folder, as the first process of a group of its own."""
    command = [sys.executable, "-m", "sign_cnn.train", *arguments]
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    with (folder / "log.txt").open("wb") as log:
        return subprocess.Popen(
            command, cwd=folder, env=env, stdout=log, stderr=log, start_new_session=True
        )


def finish_training(arguments: list[str], folder: Path) -> None:
    """Train to the end; a failure ends this process with the log."""
    if code := start_training(arguments, folder).wait():
        sys.exit(f"Error: exit code {code}\n{(folder / 'log.txt').read_text()}")


def kill_repeatedly(
    arguments: list[str], folder: Path, kills: int, epochs: int, moments: random.Random
) -> dict[Path, int]:
    """Start the training `kills` times, and kill its process group.

    Args:
        arguments: Settings of the training.
        folder: Its working directory.
        kills: How often to kill it.
        epochs: Number of epochs of the whole training; each kill waits for some of them.
        moments: Chooses how many, and the fraction of a second after them.

    Returns:
        When the result of each run that was done at any kill was written.
    """
    done: dict[Path, int] = {}
    for _ in range(kills):
        wanted = moments.randint(count_epochs(folder), epochs - 1)
        process = start_training(arguments, folder)
        while process.poll() is None and count_epochs(folder) < wanted:
            time.sleep(0.02)
        time.sleep(moments.uniform(0, 0.5))
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        done = find_done(folder) | done
        print_line(f"killed after {count_epochs(folder)} epochs, {len(done)} runs done")
    return done


def count_epochs(folder: Path) -> int:
    """Return the number of epochs in the tables of all runs below a folder."""
    return sum(len(path.read_text().splitlines()) - 1 for path in folder.rglob("metrics.csv"))


def find_done(folder: Path) -> dict[Path, int]:
    """Return when each result of a finished run was written, by its path."""
    paths = [
        p for p in folder.rglob("result.json") if json.loads(p.read_text())["status"] == "done"
    ]
    return {path: path.stat().st_mtime_ns for path in paths}


def compare(one: Path, other: Path) -> list[str]:
    """Return a line for each file that differs between two folders of runs."""
    runs, others = (
        sorted(path.parent.relative_to(top) for path in top.rglob("result.json"))
        for top in (one, other)
    )
    if runs != others:
        return [f"{runs} and {others} are not the same runs"]
    problems = [f"{run}/{name}" for run in runs for name in differences(one / run, other / run)]
    problems += [
        table.name
        for table in one.rglob("results.csv")
        if read_csv(table) != read_csv(other / table.relative_to(one))
    ]
    print_line(f"compared {', '.join(read_run(one / runs[0]))} of {len(runs)} runs")
    return [f"different: {problem}" for problem in problems]


def differences(one: Path, other: Path) -> list[str]:
    """Return the names of the files of two runs whose contents differ in more than times."""
    first, second = read_run(one), read_run(other)
    return [name for name in first if first[name] != second[name]]


def read_run(path: Path) -> dict[str, Any]:
    """Return what two runs of one experiment share to the last bit, by the name of its file."""
    contents: dict[str, Any] = {"metrics.csv": read_csv(path / "metrics.csv")}
    for name in ("best.ckpt", "last.ckpt"):
        weights = torch.load(path / "checkpoints" / name, weights_only=True)["state_dict"]
        contents[name] = {key: value.numpy().tobytes() for key, value in weights.items()}
    with np.load(path / "predictions.npz") as arrays:
        contents["predictions.npz"] = {name: arrays[name].tobytes() for name in arrays.files}
    result = json.loads((path / "result.json").read_text())
    kept = [key for key in result if "second" not in key and key not in NOT_COMPARED]
    return contents | {"result.json": {key: result[key] for key in kept}}


def read_csv(path: Path) -> str:
    """Return the text of a table without its times."""
    table = pd.read_csv(path, dtype=str)
    return table.loc[:, ~table.columns.str.contains("second")].to_csv()


if __name__ == "__main__":
    main()
