"""Seconds from the shell to the first training step, and to answers that need none.

Each is a fresh process. A bare `import pytorch_lightning` stands beside them.
"""

import os
import subprocess
import sys
from functools import partial

import pytorch_lightning as pl

from scripts.bench.measure import ROOT, Measures, Options, Variants, clock

RECIPES, ROUNDS = ("best",), 7
DONE = "the first step is done"


class ExitAfterFirstStep(pl.Callback):
    """Ends the process after the first training step, optimizer included."""

    def on_train_batch_end(self, *arguments: object) -> None:
        print(DONE, flush=True)
        os._exit(0)


def make_variants(recipe: str, options: Options) -> Variants:
    """Return commands with what each of them must print, after a run that fills the cache."""
    command = ["-m", "sign_cnn.train", *options.recipe(recipe)]
    stored = [*command, "trainer.limit_train_batches=1", f"run_dir={options.folder / recipe}"]
    run_python(stored)
    exit_early = f"+callbacks.exit._target_={__name__}.ExitAfterFirstStep"
    fold = "data.fold=99"
    wrong = [*command, fold, f"run_dir={options.folder}/wrong"]
    return {
        "first step": lambda: run_python(
            [*command, exit_early, f"run_dir={options.make_folder()}"], DONE
        ),
        "import": partial(run_python, ["-c", "import pytorch_lightning"]),
        "--help": partial(run_python, [*command, "--help"], "pytorch_lightning.Trainer"),
        "wrong config": partial(run_python, wrong, fold),
        "stored result": partial(run_python, stored, "already done"),
    }


def run_python(words: list[str], expected: str = "") -> Measures:
    """Run Python in a process of its own.

    Args:
        words: Arguments of the interpreter.
        expected: What it must print.

    Returns:
        Seconds until it ended.

    Raises:
        RuntimeError: If it did not print that.
    """
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    start = clock()
    done = subprocess.run([sys.executable, *words], env=environment, capture_output=True, text=True)
    seconds = clock() - start
    if expected not in done.stdout + done.stderr:
        raise RuntimeError(f"{words} did not print {expected!r}:\n{done.stdout}{done.stderr}")
    return {"seconds": seconds}
