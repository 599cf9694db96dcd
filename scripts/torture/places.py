"""Disks that are full, folders that cannot be written to, data that are not there or go away."""

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from random import Random

from scripts.torture import inspection
from scripts.torture.children import Command, Fork
from scripts.torture.scenarios import JOBS, SCENARIOS, SMALL, Bench, Scenario, training
from scripts.torture.stopping import Row, ended, finished, killed, progress, statuses

OTHER_DISK = Path("/dev/shm")
MOST_ATTEMPTS = 4  # at a limit that a command runs into
PAGE = os.sysconf("SC_PAGE_SIZE")


def temporary_folder_elsewhere(bench: Bench, kills: int, random: Random) -> Row:
    """TMPDIR on another file system, and kills."""
    if not OTHER_DISK.is_dir() or OTHER_DISK.stat().st_dev == bench.root.stat().st_dev:
        return Row(f"kill -9, TMPDIR elsewhere: left out, {OTHER_DISK} is no other file system")
    with tempfile.TemporaryDirectory(dir=OTHER_DISK) as folder:
        row = killed(
            bench, SCENARIOS["run"], kills, random, aimed=True, environment={"TMPDIR": folder},
            kind=f"kill -9, run, forked, TMPDIR in {OTHER_DISK}",
        )  # fmt: skip
        row.faults += [f"left in TMPDIR: {path}" for path in Path(folder).iterdir()]
    return row


class NoDiskError(Exception):
    """No disk can be mounted here."""


def full_disk(bench: Bench, tries: int, random: Random) -> list[Row]:
    """Limits of drawn sizes, for each file and, where one can be mounted, of the disk; then again with room enough."""
    rows = []
    for name in ("run from nothing", "run", "sweep", "evaluate", "export", "summarize"):
        scenario = SCENARIOS[name]
        bench.undisturbed(scenario)
        for kind, limited in (("file size limit", _limited_files), ("full disk", _small_disk)):
            row = Row(f"{kind}, {name}")
            for _ in range(MOST_ATTEMPTS * tries):
                if row.tries == tries:
                    break
                try:
                    code = limited(bench, scenario, random)
                except NoDiskError:
                    row.kind = f"{kind}, {name}: left out, nothing can be mounted here"
                    break
                if code == 0:
                    row.faults += ended(bench, scenario, code)
                    continue
                faults, when = inspection.torn(bench.place), progress(bench.place)
                faults += refused(bench, code) if scenario.command.arguments[0] != "-m" else untraced(bench, code)
                row.add(when, [*faults, *finished(bench, scenario, Fork(scenario.command, bench.around))])
            print(f"{row.kind}: {row.tries} tries, {len(row.faults)} faults", flush=True)
            rows.append(row)
    return rows


def read_only(bench: Bench) -> Row:
    """Output folders that cannot be: below a file, on a file system of the kernel's, on a disk mounted read-only."""
    row = Row("read-only or impossible output folder")
    bench.undisturbed(SCENARIOS["data"])
    for folder in ("file/r", "/proc/r", "/sys/r", "mounted/r"):
        for command in (training(f"hydra.run.dir={folder}"), training(*JOBS, f"hydra.sweep.dir={folder}")):
            bench.prepare(SCENARIOS["run"])
            (bench.place / "file").touch()
            (bench.place / "mounted").mkdir()
            with _mounted(bench.place / "mounted", "ro") as works:
                if folder.startswith("mounted") and not works:
                    continue
                row.add(progress(bench.place), refused(bench, Fork(command, bench.around).end()))
    return row


def data_missing(bench: Bench) -> Row:
    """Folders of CSVs that are not there, for a run and for a sweep."""
    row = Row("missing data folder")
    for command in (_real("name=r"), _real(*JOBS)):
        bench.prepare(SCENARIOS["run from nothing"])
        code = Fork(command, bench.around).end()
        row.add(progress(bench.place), refused(bench, code) if command.arguments[0] != "-m" else untraced(bench, code))
    return row


def data_vanishing(bench: Bench, tries: int, random: Random) -> Row:
    """The folder of CSVs goes away at any time; once training has begun it must not matter. Then it comes back."""
    row = Row("data folder vanishes")
    scenario = Scenario("csv", _real("name=r"))
    csvs = bench.place / "csv"

    def prepare() -> None:
        bench.prepare(scenario)
        shutil.copytree(bench.end("data") / "data" / "synthetic", csvs)

    bench.undisturbed(SCENARIOS["data"])
    prepare()
    if faults := finished_unseen(bench, scenario):
        row.add(progress(bench.place), faults)
        return row
    for _ in range(tries):
        prepare()
        child = Fork(scenario.command, bench.around)
        child.wait(random.uniform(0, bench.seconds["csv"]))
        trained = bool(list(bench.place.rglob("result.json")))
        csvs.rename(bench.root / "gone")
        code = child.end()
        faults = inspection.torn(bench.place)
        if code != 0:
            faults += ["it mattered after training had begun"] * trained + refused(bench, code)
        (bench.root / "gone").rename(csvs)
        row.add(progress(bench.place), [*faults, *finished(bench, scenario, Fork(scenario.command, bench.around))])
    return row


def finished_unseen(bench: Bench, scenario: Scenario) -> list[str]:
    """Runs a scenario whose beginning `Bench` does not know, and keeps its end; faults if it does not come to one."""
    import time

    start = time.monotonic()
    code = Fork(scenario.command, bench.around).end()
    bench.seconds[scenario.name] = time.monotonic() - start
    shutil.copytree(bench.place, bench.end(scenario.name))
    return ended(bench, scenario, code)


def refused(bench: Bench, code: int | None) -> list[str]:
    """Faults of a refusal: it has to be one line, beginning with Error, and exit code 1."""
    log = bench.log.read_text().strip()
    errors = [line for line in log.splitlines() if line.startswith("Error: ")]
    faults = untraced(bench, code)
    return faults + [f"not one sentence: {log[-300:]!r}"] * (len(errors) != 1)


def untraced(bench: Bench, code: int | None) -> list[str]:
    """Faults of a failure with whatever words: exit code and traceback."""
    log = bench.log.read_text()
    faults = [f"exit code {code}: {log[-300:]!r}"] * (code != 1)
    faults += [f"a traceback: {log[-600:]!r}"] * ("Traceback" in log)
    return faults + [f"recorded as {status}" for status in statuses(bench.place) - {"done", "failed", "running"}]


def _real(*overrides: str) -> Command:
    return Command("sign_cnn.train", (*overrides, "data=sign_mnist", "data.root=csv", *SMALL))


def _limited_files(bench: Bench, scenario: Scenario, random: Random) -> int | None:
    """Runs the command with a limit below the size of the largest file that it leaves."""
    bench.prepare(scenario)
    before = {path.stat().st_mtime_ns for path in bench.place.rglob("*")}
    made = [path.stat() for path in bench.end(scenario.name).rglob("*") if path.is_file()]
    largest = max(status.st_size for status in made if status.st_mtime_ns not in before)
    limit = int(largest ** random.uniform(0.3, 1))  # small ones as likely as large ones
    return Fork(scenario.command, replace(bench.around, largest_file=limit)).end()


def _small_disk(bench: Bench, scenario: Scenario, random: Random) -> int | None:
    """Runs the command on a disk that has room for a part of what it leaves, and keeps what it left.

    Raises:
        NoDiskError: This user may not mount one.
    """
    bench.prepare(scenario)
    aside = bench.root / "aside"
    bench.place.rename(aside)
    bench.place.mkdir()
    needed = max(0, _size(bench.end(scenario.name)) - _size(aside))
    with _mounted(bench.place, "size=1g") as works:
        if works:
            shutil.copytree(aside, bench.place, dirs_exist_ok=True)
            disk = os.statvfs(bench.place)
            used = (disk.f_blocks - disk.f_bfree) * disk.f_frsize
            size = used + int(needed * random.uniform(0, 0.95))
            subprocess.run(["mount", "-o", f"remount,size={size}", str(bench.place)], check=True)
            code = Fork(scenario.command, bench.around).end()
            shutil.rmtree(aside)
            shutil.copytree(bench.place, aside)
    bench.place.rmdir()
    aside.rename(bench.place)
    if not works:
        raise NoDiskError
    return code


def _size(folder: Path) -> int:
    """In pages, as a disk in memory counts; folders take none there."""
    return sum(-(-path.stat().st_size // PAGE) * PAGE for path in folder.rglob("*") if path.is_file())


@contextlib.contextmanager
def _mounted(folder: Path, options: str) -> Iterator[bool]:
    """Mounts an empty disk there, if this user may; only in the block."""
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    works = os.geteuid() == 0 and subprocess.run(command, capture_output=True).returncode == 0
    try:
        yield works
    finally:
        if works:
            subprocess.run(["umount", "--lazy", str(folder)], check=True)
