"""Any sweep, given by its overrides, as fresh processes: killed at random instants, started again, compared."""

import argparse
import csv
import shutil
import signal
from pathlib import Path
from random import Random

from scripts.torture import inspection
from scripts.torture.children import ROOT, Command, Fresh, Surroundings
from scripts.torture.stopping import Row, done_again

SMALL = [
    "model.depth=1,2", "model.batch_norm=true,false", "seed=0,1", "trainer.max_epochs=1", "trainer.threads=1",
    "data=synthetic", "data.synthetic.train_photographs=8", "model.width=8", "model.kernel_size=3",
]  # fmt: skip


def killed(options: argparse.Namespace, random: Random) -> Row:
    """Kills the sweep so often, anew when it has ended, and lets it end; compares its table with the reference's."""
    folder: Path = options.sweep.resolve()
    row = Row(f"kill -9, {folder.name}, fresh process")
    if options.reference and not (options.reference / "results.csv").exists():
        _start(options.reference.resolve(), options).wait(float("inf"))
    done: dict[Path, int] = {}
    while row.tries < options.kills:
        child = _start(folder, options)
        delay = random.uniform(*options.seconds)
        code = child.wait(delay)
        if code is None:
            child.send(signal.SIGKILL)
            child.kill()
            row.tries += 1
            row.faults += [*inspection.torn(folder), *done_again(folder, done)]
            print(f"kill {row.tries} after {delay:.1f} s: {len(done)} jobs done", flush=True)
            continue
        row.faults += _ended(folder, options, code, done)
        shutil.rmtree(folder)
        done = {}
    row.faults += _ended(folder, options, _start(folder, options).wait(float("inf")), done)
    return row


def _start(folder: Path, options: argparse.Namespace) -> Fresh:
    command = Command("sign_cnn.train", ("-m", *(options.overrides or SMALL), f"hydra.sweep.dir={folder}"))
    folder.parent.mkdir(parents=True, exist_ok=True)
    return Fresh(command, Surroundings(ROOT, folder.parent / f"{folder.name}.log"))


def _ended(folder: Path, options: argparse.Namespace, code: int | None, done: dict[Path, int]) -> list[str]:
    faults = [*inspection.torn(folder), *done_again(folder, done), *inspection.left_over(folder)]
    faults += [f"it exited with {code}"] if code else []
    if options.reference and _table(folder) != _table(options.reference):
        faults.append("results.csv differs from that of the undisturbed sweep")
    print(f"ended: {len(done)} jobs, {len(faults)} faults", flush=True)
    return faults


def _table(folder: Path) -> list[dict[str, str]]:
    with (folder / "results.csv").open(encoding="utf-8", newline="") as file:
        return [{key: value for key, value in row.items() if "seconds" not in key} for row in csv.DictReader(file)]
