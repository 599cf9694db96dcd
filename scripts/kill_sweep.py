"""Kills a sweep at random instants, starts it again, lets it end, and looks for damage; anew when it has ended.

The small sweep (default) is 8 jobs of one epoch on drawn hands; any other is given by its overrides:

    python scripts/kill_sweep.py --kills 20
    python scripts/kill_sweep.py --kills 1 --folder outputs/sweeps/design -- sweep=design hydra/launcher=joblib

With --reference, the tables are compared, but for times; an uninterrupted sweep is run there first if need be.
"""

import argparse
import csv
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from sign_cnn.results import Result

SMALL = [
    "model.depth=1,2", "model.batch_norm=true,false", "seed=0,1", "trainer.max_epochs=1", "trainer.threads=1",
    "data=synthetic", "data.synthetic.train_photographs=8", "model.width=8", "model.kernel_size=3",
]  # fmt: skip


def main() -> None:
    """The command line; exits with 1 if anything was lost, torn or done twice."""
    parser = argparse.ArgumentParser(description="Kills a sweep at random instants and looks for damage.")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0, help="of the instants")
    parser.add_argument("--folder", type=Path, default=Path("outputs/kill_sweep"), help="of the sweep")
    parser.add_argument("--seconds", type=float, nargs=2, default=(0.5, 20), help="range of the instants")
    parser.add_argument(
        "--reference", type=Path, help="folder of the same sweep, uninterrupted; run if it is not there"
    )
    parser.add_argument("overrides", nargs="*", default=SMALL)
    options = parser.parse_args()
    rng = random.Random(options.seed)
    if options.reference and not (options.reference / "results.csv").exists():
        start(options.reference, options.overrides).wait()
    faults: list[str] = []
    done: dict[str, int] = {}
    kills = 0
    while kills < options.kills:
        process = start(options.folder, options.overrides)
        delay = rng.uniform(*options.seconds)
        try:
            process.wait(delay)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            kills += 1
            faults += inspect(options.folder, done)
            print(f"kill {kills} after {delay:.1f} s: {len(done)} jobs done", flush=True)
            continue
        faults += ended(options, process.returncode, done)
        shutil.rmtree(options.folder)
        done = {}
    faults += ended(options, start(options.folder, options.overrides).wait(), done)
    print(f"{kills} kills, {len(faults)} faults", *faults, sep="\n")
    sys.exit(bool(faults))


def ended(options: argparse.Namespace, code: int, done: dict[str, int]) -> list[str]:
    """Faults of a sweep that came to its end."""
    faults = inspect(options.folder, done)
    faults += [f"it exited with {code}"] if code else []
    faults += [f"left behind: {path}" for path in options.folder.rglob("*.tmp")]
    if options.reference and table(options.folder) != table(options.reference):
        faults.append("results.csv differs from that of the uninterrupted sweep")
    print(f"ended: {len(done)} jobs, {len(faults)} faults", flush=True)
    return faults


def start(folder: Path, overrides: list[str]) -> subprocess.Popen[bytes]:
    """The sweep as a process group of its own, quiet."""
    command = [sys.executable, "-m", "sign_cnn.train", "-m", *overrides, f"hydra.sweep.dir={folder}"]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)


def inspect(folder: Path, done: dict[str, int]) -> list[str]:
    """Faults of the folder as it is; `done` takes up the jobs that are, by when their result was written."""
    faults = []
    time.sleep(0.1)  # workers of the killed process die a moment later
    for path in sorted(folder.glob("*/result.json")):
        name, written = path.parent.name, path.stat().st_mtime_ns
        try:
            status = Result.read(path).status
        except Exception as error:
            faults.append(f"torn: {error}")
            continue
        if name in done and written != done[name]:
            faults.append(f"{name} was done twice")
        if status == "done":
            done[name] = written
    for path in [*folder.glob("*.csv"), *folder.glob("*/metrics.csv")]:
        with path.open(encoding="utf-8", newline="") as file:
            if len({len(row) for row in csv.reader(file)}) != 1:
                faults.append(f"torn: {path}")
    return faults


def table(folder: Path) -> list[dict[str, str]]:
    """The rows of results.csv without seconds."""
    with (folder / "results.csv").open(encoding="utf-8", newline="") as file:
        return [{key: value for key, value in row.items() if "seconds" not in key} for row in csv.DictReader(file)]


if __name__ == "__main__":
    main()
