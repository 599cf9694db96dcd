"""What a job of a sweep takes beside its fit and scoring: config, data, split, network, trainer, files, summary."""

import io
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, redirect_stdout
from unittest.mock import patch

import pytorch_lightning as pl

from scripts.bench.measure import Options, Variants, clock
from sign_cnn import train, training

RECIPES, REPEATS, PAIRS = ("best",), 3, ()
PARTS = (
    ("fit", pl.Trainer, "fit"),
    ("scoring", pl.Trainer, "predict"),
    ("scoring", training, "score"),
    ("overhead", train, "main"),
)


def make_variants(recipe: str, options: Options) -> Variants:
    """A sweep over seeds in this process, of a few steps each."""
    jobs = 2 if options.quick else 24
    _sweep(recipe, options, 2)  # imports, and fills the cache
    return {f"per job of {jobs}": lambda _: _sweep(recipe, options, jobs)}


def _sweep(recipe: str, options: Options, jobs: int) -> dict[str, float]:
    short = ["data.val_split=photo", "trainer.max_epochs=1", "trainer.limit_train_batches=8"]
    words = [*options.recipe_overrides(recipe, *short), f"seed={','.join(map(str, range(jobs)))}"]
    seconds = {"fit": 0.0, "scoring": 0.0, "overhead": 0.0}

    @contextmanager
    def timed(part: str) -> Iterator[None]:
        start = clock()
        yield
        seconds[part] += clock() - start

    with ExitStack() as stack, redirect_stdout(io.StringIO()):
        stack.enter_context(
            patch.object(
                sys, "argv", ["", "-m", *words, f"hydra.sweep.dir={options.make_folder()}"]
            )
        )
        for part, owner, name in PARTS:
            stack.enter_context(patch.object(owner, name, timed(part)(getattr(owner, name))))
        train.main()
    seconds["overhead"] -= seconds["fit"] + seconds["scoring"]
    return {f"{part}_seconds": value / jobs for part, value in seconds.items()}
