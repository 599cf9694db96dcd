"""What a job of a sweep costs besides its fit and its scoring: composing, data, split, network, trainer, files, tables.

A sweep of short jobs in this process, one after the other, as the command line runs it.
"""

import sys
from contextlib import ExitStack
from pathlib import Path

import pytorch_lightning as pl

from scripts.bench.measurement import Report, Series, Sheet, Target, clock, number, scratch, timed
from scripts.bench.recipes import Options, arguments, say
from sign_cnn import summarize
from sign_cnn.data import datamodule
from sign_cnn.train import main
from sign_cnn.training import fitting, outcome

JOBS = 24
STEPS = 4  # of each job
SECONDS = 0.5  # a job, at most


def run(options: Options) -> Report:
    """Runs a sweep to have everything imported and cached, then the one that is measured."""
    recipe = (options.recipes or ["best"])[0]
    jobs = 4 if options.quick else JOBS
    parts: dict[str, list[float]] = {name: [] for name in ("fit", "scoring", "reading", "splitting", "tables")}
    with scratch() as folder, ExitStack() as stack:
        say("warming up")
        sweep(recipe, options.overrides, folder / "warm", 2)
        stack.enter_context(timed(pl.Trainer, "fit", parts["fit"]))
        stack.enter_context(timed(fitting, "predict", parts["scoring"]))
        stack.enter_context(timed(outcome, "score", parts["scoring"]))
        stack.enter_context(timed(datamodule, "load", parts["reading"]))
        stack.enter_context(timed(datamodule, "split_rows", parts["splitting"]))
        stack.enter_context(timed(summarize, "write", parts["tables"]))
        start = clock()
        sweep(recipe, options.overrides, folder / "sweep", jobs)
        total = clock() - start
    spent = {name: sum(values) for name, values in parts.items()}
    left = (total - spent["fit"] - spent["scoring"]) / jobs
    report = Report("sweep", f"a sweep of {jobs} jobs of {STEPS} steps", {"recipe": recipe, "jobs": jobs})
    report.series = [Series("a job, all in all", "s", [total / jobs]), Series("without fit and scoring", "s", [left])]
    report.targets = [Target("a job without fit and scoring", left, SECONDS, at_least=False)]
    rows = [[name, number(seconds / jobs)] for name, seconds in spent.items() if seconds]
    report.sheets = [Sheet("parts, seconds a job", ["", "s"], rows)]
    report.notes = [f"of it, the summary at the end takes {number(parts['tables'][-1])} s, once in a sweep"]
    return report


def sweep(recipe: str, overrides: list[str], folder: Path, jobs: int) -> None:
    """The command line, in this process."""
    chosen = [word for word in arguments(recipe, overrides) if not word.startswith("figures=")]
    seeds = ",".join(map(str, range(jobs)))
    words = [*chosen, "data.val_split=group", f"trainer.limit_batches={STEPS}", "trainer.max_epochs=1"]
    words += ["scheduler.warmup_epochs=0.5", f"seed={seeds}", f"hydra.sweep.dir={folder}"]
    before, sys.argv = sys.argv, ["train", "-m", *words]
    try:
        main()
    finally:
        sys.argv = before
