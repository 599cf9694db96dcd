"""Seconds from the shell to the first training step, and to an answer that needs none; each in a fresh process."""

import os
import subprocess
import sys
from functools import partial

import pytorch_lightning as pl

from scripts.bench.measure import ROOT, Options, Variants, clock
from sign_cnn.train import train

RECIPES, REPEATS, PAIRS = ("best",), 7, ("first step - import pytorch_lightning",)
IMPORT, DONE = "import pytorch_lightning", "the first step is done"


class ExitAfterFirstStep(pl.Callback):
    """Ends the process once its first training step is done, optimizer included."""

    def on_train_batch_end(self, *arguments: object) -> None:
        """Say so."""
        print(DONE, flush=True)
        os._exit(0)


def make_variants(recipe: str, options: Options) -> Variants:
    """Commands and what each must say; quick: without the bare import."""
    command, short = (
        ["-m", "sign_cnn.train", *options.recipe_overrides(recipe)],
        "trainer.limit_train_batches=1",
    )
    step = [
        *command,
        f"+callbacks.exit._target_={__name__}.ExitAfterFirstStep",
        "run_dir=FOLDER/run",
    ]
    train(stored := options.compose(recipe, short))  # also fills the cache
    commands = {
        IMPORT: (["-c", IMPORT], ""),
        "first step": (step, DONE),
        "wrong configuration": (
            [*command, "data.fold=99", "run_dir=FOLDER/run"],
            "data.fold=99 must be",
        ),
        "--help": ([*command, "--help"], "Any setting below"),
        "stored result": ([*command, short, f"run_dir={stored.run_dir}"], "already done"),
    }
    if options.quick:
        del commands[IMPORT]
    return {name: partial(_start, options, *what) for name, what in commands.items()}


def _start(options: Options, words: list[str], expected: str, _: int) -> dict[str, float]:
    command = [
        sys.executable,
        *(word.replace("FOLDER", str(options.make_folder())) for word in words),
    ]
    start, environment = clock(), os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    seconds = clock() - start
    if expected not in done.stdout + done.stderr:
        raise RuntimeError(f"{command} did not say {expected!r} but:\n{done.stdout}{done.stderr}")
    return {"seconds": seconds}
