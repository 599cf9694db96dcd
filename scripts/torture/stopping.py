"""Stops commands at drawn instants, looks for damage, starts them again, and compares the end."""

import re
import shlex
import signal
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random

from scripts.torture import inspection
from scripts.torture.children import PATIENCE_SECONDS, Child, Command, Fork, Fresh, Surroundings
from scripts.torture.scenarios import JOBLIB, SCENARIOS, Bench, Scenario
from sign_cnn.errors import UserError
from sign_cnn.runs.results import Result

GOES_ON = re.compile(r"To continue: python -m sign_cnn\.train (.*)")


@dataclass
class Row:
    """A line of the table."""

    kind: str
    tries: int = 0
    faults: list[str] = field(default_factory=list)
    when: Counter[str] = field(default_factory=Counter)  # how far the command had come

    def add(self, when: str, faults: list[str]) -> None:
        """Counts one try, how far the command had come, and what was wrong after it."""
        self.tries += 1
        self.when[when] += 1
        self.faults += [f"try {self.tries}: {fault}" for fault in faults]


def killed(
    bench: Bench, scenario: Scenario, kills: int, random: Random, *, aimed: bool = False,
    environment: Mapping[str, str] | None = None, kind: str = "",
) -> Row:  # fmt: skip
    """Kills forked commands: at any time, or, aimed, at any file operation. One is started again until it ends."""
    row = Row(kind or f"kill -9, {scenario.name}, forked, {'at a file operation' if aimed else 'at any time'}")
    bench.undisturbed(scenario)
    bench.prepare(scenario)
    done: dict[Path, int] = {}
    around = replace(bench.around, environment=environment)
    while row.tries < kills:
        if aimed:
            operation, calls = random.randint(1, bench.operations[scenario.name]), int(2 ** random.uniform(0, 7)) - 1
            child = Fork(scenario.command, replace(around, stop_at=operation, calls_later=calls))
            if (code := child.end()) is None:
                row.faults.append(f"still running after {PATIENCE_SECONDS} s")
        else:
            child = Fork(scenario.command, around)
            code = child.wait(random.uniform(0, 1.1 * bench.seconds[scenario.name]))
        after_kill(bench, scenario, row, done, child, code)
    row.faults += finished(bench, scenario, Fork(scenario.command, around))
    return row


def killed_fresh(bench: Bench, scenario: Scenario, kills: int, random: Random, seconds: float) -> Row:
    """Kills processes as a person starts them, imports included, within so many seconds; each again until it ends."""
    row = Row(f"kill -9, {scenario.name}, fresh process, at any time")
    bench.undisturbed(SCENARIOS[scenario.ends_as or scenario.name])
    bench.prepare(scenario)
    done: dict[Path, int] = {}
    while row.tries < kills:
        child = Fresh(scenario.command, bench.around)
        code = child.wait(random.uniform(0, seconds))
        after_kill(bench, scenario, row, done, child, code)
    row.faults += finished(bench, scenario, Fresh(scenario.command, bench.around))
    return row


def after_kill(
    bench: Bench, scenario: Scenario, row: Row, done: dict[Path, int], child: Child, code: int | None
) -> None:
    """Kills what is still at work, if it did not kill itself, and looks at what it left; else begins again."""
    if code in (None, -signal.SIGKILL):
        child.kill()
        row.add(progress(bench.place), [*inspection.torn(bench.place), *done_again(bench.place, done)])
    else:
        row.faults += ended(bench, scenario, code)
        bench.prepare(scenario)
        done.clear()


def signalled(
    bench: Bench, scenario: Scenario, number: signal.Signals, tries: int, random: Random,
    start: Callable[[Command, Surroundings], Child] = Fork, *, earliest: float = 0.0, seconds: float | None = None,
    everyone: bool = False,
) -> Row:  # fmt: skip
    """Sends SIGTERM or Ctrl-C at any time, and then follows what the command's last line says."""
    how = "forked" if start is Fork else "fresh process"
    row = Row(f"{number.name}, {scenario.name}, {how}")
    bench.undisturbed(SCENARIOS[scenario.ends_as or scenario.name])
    while row.tries < tries:
        bench.prepare(scenario)
        child = start(scenario.command, bench.around)
        code = child.wait(random.uniform(earliest, seconds or bench.seconds[scenario.name]))
        if code is not None:
            row.faults += ended(bench, scenario, code)
            continue
        child.send(number, everyone=everyone)
        code = child.end()
        if code == 0:  # it came too late
            row.faults += ended(bench, scenario, code)
            continue
        when, log, faults = progress(bench.place), bench.log.read_text(), inspection.torn(bench.place)
        faults += [f"exit code {code}"] * (code != 128 + number)
        faults += ["a traceback"] * ("Traceback" in log)
        allowed = {"done", "interrupted"} | ({"running"} if scenario is JOBLIB else set())  # workers are killed
        faults += [f"recorded as {status}" for status in statuses(bench.place) - allowed]
        says = GOES_ON.search(log)
        if says:
            command = replace(scenario.command, arguments=tuple(shlex.split(says[1])))
            row.add(when, [*faults, *finished(bench, scenario, Fork(command, bench.around))])
        else:
            row.add(when, [*faults, f"no command that goes on: {log[-300:]!r}"])
    return row


def finished(bench: Bench, scenario: Scenario, child: Child) -> list[str]:
    """Waits for the command's end; faults of it."""
    return ended(bench, scenario, child.end())


def ended(bench: Bench, scenario: Scenario, code: int | None) -> list[str]:
    """Faults of a command that came to its end."""
    if code != 0:
        return [f"started again, it ended with {code}: {bench.log.read_text()[-500:]!r}"]
    reference = bench.end(scenario.ends_as or scenario.name)
    return [*inspection.differences(reference, bench.place), *inspection.left_over(bench.place)]


def done_again(place: Path, done: dict[Path, int]) -> list[str]:
    """Results that were done at the last look and were written again; `done` takes up those that are."""
    faults = []
    for path in place.rglob("result.json"):
        try:
            status, written = Result.read(path).status, path.stat().st_mtime_ns
        except UserError:
            continue  # said by `torn`
        if done.get(path, written) != written:
            faults.append(f"done twice: {path.relative_to(place)}")
        if status == "done":
            done[path] = written
    return faults


def statuses(place: Path) -> set[str]:
    """What the result files say."""
    return {Result.read(path).status for path in place.rglob("result.json")}


def progress(place: Path) -> str:
    """How far a run or the last job of a sweep has come, in a word."""
    results = sorted(place.rglob("result.json"), key=lambda path: path.stat().st_mtime_ns)
    if not results:
        return "data" if not list(place.glob("data/cache/derived*.npz")) else "before training"
    run = results[-1].parent
    if (run / "predictions.npz").exists():
        return "after training"
    return "training" if (run / "metrics.csv").exists() else "first epoch"


def joblib_signals(bench: Bench, tries: int, random: Random) -> list[Row]:
    """A sweep with workers: Ctrl-C, which a terminal sends to all of them, and SIGTERM for the first process alone."""
    return [
        signalled(bench, JOBLIB, number, tries, random, Fresh, earliest=2, seconds=20, everyone=number == signal.SIGINT)
        for number in (signal.SIGINT, signal.SIGTERM)
    ]
