"""From the shell to the first training step, and to an answer that needs no training; each a fresh process.

The bare import of Lightning is measured in every round, so that differences are of the same minute.
"""

import statistics
import subprocess
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from uuid import uuid4

from scripts.bench.first_step import SAYING
from scripts.bench.measurement import Report, Series, Target, clock, interleaved, scratch
from scripts.bench.recipes import Options, arguments, say

IMPORT = "import pytorch_lightning"
STEP, GROUPED, COLD = "first step", "first step, validated by photograph", "first step, nothing cached"
ANSWERS = {"wrong config": "data.fold=9", "--help": "Any setting below", "stored result": "already done"}
"""What must not take longer than `ANSWER_SECONDS`, and words of the answer."""

STEP_SECONDS, ANSWER_SECONDS = 1.5, 2.0


@dataclass
class Start:
    """A command and what it must say."""

    words: list[str]  # FRESH in them becomes a folder of its own each time
    expected: str = ""

    def seconds(self, folder: Path) -> float:
        """Runs it once.

        Raises:
            RuntimeError: It did not say what it must.
        """
        own = folder / uuid4().hex
        words = [word.replace("FRESH", str(own)) for word in self.words]
        start = clock()
        done = subprocess.run([sys.executable, *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        seconds = clock() - start
        if self.expected not in done.stdout:
            raise RuntimeError(f"{' '.join(words)} did not say {self.expected!r} but:\n{done.stdout}")
        return seconds


def starts(recipe: str, overrides: list[str], folder: Path) -> dict[str, Start]:
    """The commands to compare."""
    run, step = ["-m", "sign_cnn.train"], ["-m", "scripts.bench.first_step"]
    chosen = arguments(recipe, overrides)
    grouped = ["data.val_split=group", "data.val_size=null"]
    small = ["trainer=debug", "model.width=4", "figures=false", *(overrides or ["data=auto"])]
    return {
        IMPORT: Start(["-c", IMPORT]),
        STEP: Start([*step, *chosen, "hydra.run.dir=FRESH"], SAYING),
        GROUPED: Start([*step, *chosen, *grouped, "hydra.run.dir=FRESH"], SAYING),
        COLD: Start([*step, *chosen, "hydra.run.dir=FRESH/run", "data.cache_dir=FRESH/cache"], SAYING),
        "wrong config": Start([*run, *chosen, ANSWERS["wrong config"], "hydra.run.dir=FRESH"], "data.folds"),
        "--help": Start([*run, "--help"], ANSWERS["--help"]),
        "stored result": Start([*run, *small, f"hydra.run.dir={folder / 'stored'}"], ANSWERS["stored result"]),
    }


def run(options: Options) -> Report:
    """Compares fresh processes; the first, untimed round fills the caches."""
    recipe = (options.recipes or ["best"])[0]
    with scratch() as folder:
        commands = starts(recipe, options.overrides, folder)
        stored = commands["stored result"]
        say("warming up: one run to be found again, one first step of each kind")
        Start(stored.words).seconds(folder)
        for name in (STEP, GROUPED):
            commands[name].seconds(folder)
        found = interleaved({name: partial(one.seconds, folder) for name, one in commands.items()}, options.rounds(7))
    report = Report("startup", "seconds of fresh processes", {"recipe": recipe})
    report.series = [Series(name, "s", values) for name, values in found.items()]
    for name in (STEP, GROUPED, COLD):
        later = [a - b for a, b in zip(found[name], found[IMPORT], strict=True)]
        report.series.append(Series(f"{name}, beyond the import", "s", later))
        if name != COLD:
            report.targets.append(
                Target(report.series[-1].name, statistics.median(later), STEP_SECONDS, at_least=False)
            )
    for name in ANSWERS:
        report.targets.append(Target(name, statistics.median(found[name]), ANSWER_SECONDS, at_least=False))
    return report
