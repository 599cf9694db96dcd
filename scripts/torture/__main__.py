"""Nothing lost: kills, interrupts and starves real runs and sweeps, and compares their end with undisturbed ones.

    make torture                                        all of it, some twenty minutes
    python -m scripts.torture --only forked --kills 40 --seed 1
    python -m scripts.torture --kills 5 --sweep outputs/sweeps/design -- sweep=design hydra/launcher=joblib

Most commands that are killed are forks of this process, which has imported all they need, so that a try costs a second;
they are processes of their own, and are killed as such. The rest start the interpreter. Needs Linux. The table goes to
outputs/torture as well; the exit code is 1 if anything was lost, torn, done twice, left over or other than undisturbed.
"""

import os

os.environ["OMP_NUM_THREADS"] = "1"  # before torch: a process with threads cannot be forked

import argparse
import importlib
import json
import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import torch
from rich import get_console
from rich.table import Table

from scripts.torture import places, sweep
from scripts.torture.children import Fresh
from scripts.torture.scenarios import JOBLIB, SCENARIOS, Bench
from scripts.torture.stopping import Row, joblib_signals, killed, killed_fresh, signalled

SHARES = {
    "data": 0.1, "run": 0.3, "run with figures": 0.1, "run from nothing": 0.1, "sweep": 0.15, "evaluate": 0.1,
    "export": 0.05, "summarize": 0.1,
}  # fmt: skip
"""Of the forked kills."""


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m scripts.torture", description="Kills real runs and compares.")
    parser.add_argument("--kills", type=int, default=120, help="forked ones, half of them aimed at file operations")
    parser.add_argument("--fresh", type=int, default=24, help="kills of processes with all their imports")
    parser.add_argument("--seed", type=int, default=0, help="of the instants")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS)[:-1], help="some parts of it")
    parser.add_argument("--folder", type=Path, default=Path("outputs/torture"), help="of tries and tables")
    parser.add_argument("--sweep", type=Path, metavar="FOLDER", help="kill this sweep alone, given by its overrides")
    parser.add_argument("--reference", type=Path, metavar="FOLDER", help="the same sweep, undisturbed; run if need be")
    parser.add_argument("--seconds", type=float, nargs=2, default=(0.5, 20), help="of --sweep: range of the instants")
    parser.add_argument("overrides", nargs="*", help="of --sweep")
    options = parser.parse_args()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in the background of a script
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what is mounted is unmounted
    if options.sweep:
        rows = [sweep.killed(options, Random(options.seed))]
    else:
        work = options.folder.resolve() / "work"
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir(parents=True)
        import_for_forks(options.only)
        bench, random = Bench(work), Random(options.seed)
        rows = [row for part in options.only for row in PARTS[part](bench, random, options)]
        shutil.rmtree(work)
    parts = "sweep" if options.sweep else "+".join(options.only)
    sys.exit(report(rows, options.folder / f"{parts},seed={options.seed}.json"))


def forked(bench: Bench, random: Random, options: argparse.Namespace) -> list[Row]:
    """Kills of every command, each at any time and at its file operations."""
    return [
        shown(killed, bench, SCENARIOS[name], round(share * options.kills / 2), random, aimed=aimed)
        for name, share in SHARES.items()
        for aimed in (False, True)
    ]


def fresh(bench: Bench, random: Random, options: argparse.Namespace) -> list[Row]:
    """Kills of processes with all that they import."""
    shares = {"run from nothing": 0.4, "sweep": 0.2, "summarize": 0.1, "joblib": 0.3}
    scenarios = {**SCENARIOS, "joblib": JOBLIB}
    return [
        shown(killed_fresh, bench, scenarios[name], round(share * options.fresh), random, 14)
        for name, share in shares.items()
    ]


def signals(bench: Bench, random: Random, options: argparse.Namespace) -> list[Row]:
    """SIGTERM and Ctrl-C."""
    tries = max(1, options.kills // 15)
    numbers = (signal.SIGTERM, signal.SIGINT)
    rows = [
        shown(signalled, bench, SCENARIOS[name], number, tries, random)
        for name in ("run", "run from nothing", "sweep")
        for number in numbers
    ]
    rows += [
        shown(signalled, bench, SCENARIOS["run"], number, max(1, tries // 3), random, Fresh, earliest=0.7, seconds=9)
        for number in numbers
    ]
    return rows + joblib_signals(bench, max(1, tries // 4), random)


def disks(bench: Bench, random: Random, options: argparse.Namespace) -> list[Row]:
    """Other, full and read-only file systems; data that go away."""
    tries = max(1, options.kills // 20)
    return [
        shown(places.temporary_folder_elsewhere, bench, 2 * tries, random),
        *places.full_disk(bench, tries, random),
        shown(places.read_only, bench),
        shown(places.data_missing, bench),
        shown(places.data_vanishing, bench, tries, random),
    ]


def quick(bench: Bench, random: Random, options: argparse.Namespace) -> list[Row]:
    """A slice for the test suite: kills of a run alone, some seconds."""
    return [shown(killed, bench, SCENARIOS["run"], options.kills, random, aimed=True)]


TRAINING = ("sign_cnn.train", "sign_cnn.training.fitting", "sign_cnn.training.outcome", "sklearn.model_selection")
AFTERWARDS = (
    "sign_cnn.evaluate", "sign_cnn.reports.evaluation_figures", "sign_cnn.export", "sign_cnn.summarize",
    "sign_cnn.summary.figures", "torch.utils.tensorboard",
)  # fmt: skip

PARTS: dict[str, Callable[[Bench, Random, argparse.Namespace], list[Row]]] = {
    "forked": forked, "fresh": fresh, "signals": signals, "disks": disks, "quick": quick,
}  # fmt: skip


def shown(part: Callable[..., Row], *arguments: Any, **options: Any) -> Row:
    """Does a part, and prints a line of it."""
    start = time.monotonic()
    row = part(*arguments, **options)
    print(f"{row.kind}: {row.tries} tries, {len(row.faults)} faults, {time.monotonic() - start:.0f} s", flush=True)
    return row


def import_for_forks(parts: list[str]) -> None:
    """What commands need, so that their forks need not import it; starts no thread."""
    torch.set_num_threads(1)
    torch.set_num_interop_threads(1)
    for name in TRAINING if parts == ["quick"] else (*TRAINING, *AFTERWARDS):
        importlib.import_module(name)


def report(rows: list[Row], path: Path) -> int:
    """Prints the table and stores it; the exit code."""
    table = Table(title="nothing lost", title_justify="left")
    for column in ("kind", "tries", "faults", "had come to"):
        table.add_column(column, justify="right" if column in ("tries", "faults") else "left", overflow="fold")
    for row in rows:
        when = ", ".join(f"{word} {count}" for word, count in row.when.most_common())
        table.add_row(row.kind, str(row.tries), str(len(row.faults)), when, style="red" if row.faults else None)
    faults = [f"{row.kind}: {fault}" for row in rows for fault in row.faults]
    table.add_row("all", str(sum(row.tries for row in rows)), str(len(faults)), "", style="bold")
    get_console().print(table)
    print(*faults, sep="\n")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps([vars(row) for row in rows], indent=2) + "\n")
    return int(bool(faults))


if __name__ == "__main__":
    main()
