"""Where the time of an epoch goes on the CPU, and our functions between a CSV and the logits."""

import inspect
import re
import sys
from pathlib import Path
from types import FrameType
from unittest.mock import patch

import pytorch_lightning as pl
from omegaconf import DictConfig
from torch.profiler import ProfilerActivity, profile, record_function

import sign_cnn
from scripts.bench.measure import Measures, Options, Variants
from sign_cnn.build import explain_lightning, make_classifier, make_datamodule
from sign_cnn.console import print_line
from sign_cnn.data.augment import ImageAugment
from sign_cnn.train import train

RECIPES, ROUNDS = ("best",), 1
PACKAGE = Path(sign_cnn.__file__).parent
BACKWARD = "autograd::engine::evaluate_function: "
GROUPS = {  # names of operations, which count with all that they call
    "augmentation": "augmentation",
    "convolution": f"aten::conv2d|{BACKWARD}Convolution.*",
    "batch norm": f"aten::batch_norm|{BACKWARD}.*BatchNorm.*",
    "pooling": f"aten::max_pool2d|{BACKWARD}MaxPool.*",
    "activation": f"aten::(relu|leaky_relu|gelu|silu)_?|{BACKWARD}(Relu|LeakyRelu|Gelu|Silu).*",
    "dense layers": f"aten::linear|{BACKWARD}(Addmm|Mm).*",
    "loss": f"aten::cross_entropy_loss|{BACKWARD}(NllLoss|LogSoftmax).*",
    "optimizer": rf"aten::_fused_\w+|Optimizer\.zero_grad.*|{BACKWARD}.*AccumulateGrad",
}


def make_variants(recipe: str, options: Options) -> Variants:
    """Print the functions, and return a profiled fit of one epoch, after one that warms up."""
    print_functions(options.compose(recipe, f"data.cache_dir={options.make_folder()}"))
    train(options.compose(recipe, "trainer.limit_train_batches=3"))
    return {"share": lambda: profile_fit(options.compose(recipe, "trainer.max_epochs=1"))}


def profile_fit(cfg: DictConfig) -> Measures:
    """Return the seconds of `Trainer.fit` and the share in % that each group of operations has."""
    fit = record_function("fit")(pl.Trainer.fit)
    augment = record_function("augmentation")(ImageAugment.__call__)
    with (
        patch.object(pl.Trainer, "fit", fit),
        patch.object(ImageAugment, "__call__", augment),
        profile(activities=[ProfilerActivity.CPU]) as profiler,
    ):
        train(cfg)
    events = {event.key: event.cpu_time_total / 1e6 for event in profiler.key_averages()}
    shares = {
        group: sum(100 * events[key] / events["fit"] for key in events if re.fullmatch(names, key))
        for group, names in GROUPS.items()
    }
    rest = 100 - sum(shares.values())
    return {"fit_seconds": events["fit"], **shares, "Python, Lightning, profiler": rest}


def print_functions(cfg: DictConfig) -> None:
    """Print our functions that a row passes, by file, from `prepare_data` to the first logits.

    A function counts if it runs while the data module reads the CSVs (its cache is empty), makes
    the first batch and augments it, or while the network computes the logits. Building objects from
    settings does not count.
    """
    seen: dict[str, dict[str, None]] = {}

    def watch(frame: FrameType, event: str, _: object) -> None:
        code, path = frame.f_code, Path(frame.f_code.co_filename)
        named = code.co_flags & inspect.CO_OPTIMIZED and "<" not in code.co_name
        if event == "call" and named and path.is_relative_to(PACKAGE):
            seen.setdefault(str(path.relative_to(PACKAGE)), {})[code.co_qualname] = None

    with explain_lightning():
        data = make_datamodule(cfg)
        sys.setprofile(watch)
        data.prepare_data()
        data.setup()
        batch = data.on_after_batch_transfer(next(iter(data.train_dataloader())), 0)
        sys.setprofile(None)
        model = make_classifier(cfg, data)
        sys.setprofile(watch)
        model(batch.inputs)
        sys.setprofile(None)
    count = sum(map(len, seen.values()))
    print_line(f"{count} functions in {len(seen)} files between a CSV and the first logits")
    for file, names in seen.items():
        print_line(f"  {file}: {', '.join(names)}")
