"""Images per second of the data path alone: whole epochs, with and without augmentation."""

from typing import Any

from scripts.bench.measure import Measures, Options, Variants, clock
from sign_cnn.build import make_datamodule

RECIPES, ROUNDS = ("best",), 7


def make_variants(recipe: str, options: Options) -> Variants:
    """Return an epoch with the augmentation of the recipe, and one without."""
    augmented = make_datamodule(options.compose(recipe))
    plain = make_datamodule(options.compose(recipe, "augment=none"))
    augmented.setup()
    plain.setup()
    return {"augmented": lambda: load_epoch(augmented), "as stored": lambda: load_epoch(plain)}


def load_epoch(data: Any) -> Measures:
    """Make every batch of an epoch, and return the inputs per second."""
    start, count = clock(), 0
    for batch in data.train_dataloader():
        count += len(data.on_after_batch_transfer(batch, 0).inputs)
    return {"inputs_per_second": count / (clock() - start)}
