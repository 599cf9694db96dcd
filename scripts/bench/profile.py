"""Where the time of an epoch goes on the CPU."""

import re
from unittest.mock import patch

import pytorch_lightning as pl
from omegaconf import DictConfig
from torch.profiler import ProfilerActivity, profile, record_function

from scripts.bench.measure import Measures, Options, Variants
from sign_cnn.data.augment import ImageAugment
from sign_cnn.train import train

RECIPES, ROUNDS = ("best",), 1
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
    """Return a profiled fit of one epoch, after one that warms up."""
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
