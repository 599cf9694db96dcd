"""Where the time of an epoch goes on the CPU, and the functions of ours between a CSV and the first logits."""

import inspect
import sys
from contextlib import ExitStack
from pathlib import Path
from types import FrameType
from unittest.mock import patch

import pandas as pd
import pytorch_lightning as pl
import torch
from omegaconf import DictConfig
from torch.profiler import ProfilerActivity, profile, record_function
from torchmetrics import MeanMetric, MetricCollection

import sign_cnn
from scripts.bench.measure import Options, Variants, clock, fit
from sign_cnn.data.augment import Augment
from sign_cnn.models.classifier import SignClassifier
from sign_cnn.train import train
from sign_cnn.training import AtomicCheckpointIO

RECIPES, REPEATS, PAIRS = ("best", "speedrun"), 1, ()
MARKED = (
    ("fit", pl.Trainer, "fit"),
    ("augmentation", Augment, "__call__"),
    ("metrics", MeanMetric, "update"),
    ("metrics", MetricCollection, "update"),
    ("checkpoints", AtomicCheckpointIO, "save_checkpoint"),
)
BACKWARD = "autograd::engine::evaluate_function: "
GROUPS = {  # names of operations, which count with all that they call
    "augmentation": "augmentation",
    "metrics": "metrics",
    "checkpoints": "checkpoints",
    "convolution, forward": "aten::conv2d",
    "convolution, backward": f"{BACKWARD}Convolution.*",
    "batch norm": f"aten::batch_norm|{BACKWARD}.*BatchNorm.*",
    "pooling": f"aten::max_pool2d|{BACKWARD}MaxPool.*",
    "activation": f"aten::(relu|leaky_relu|gelu|silu)_?|{BACKWARD}(Relu|LeakyRelu|Gelu|Silu).*",
    "dense layers": f"aten::linear|{BACKWARD}(Addmm|Mm).*",
    "dropout": "aten::dropout",
    "loss": f"aten::cross_entropy_loss|{BACKWARD}(NllLoss|LogSoftmax).*",
    "optimizer": r"aten::_fused_\w+|Optimizer\.zero_grad.*",
    "gradients": f"{BACKWARD}.*AccumulateGrad",
}


def make_variants(recipe: str, options: Options) -> Variants:
    """A fit of one epoch, without the profiler and under it."""
    if not options.tables:
        functions = _trace_functions(
            options.compose(recipe, f"data.cache_dir={options.make_folder()}")
        )
        options.tables = {
            f"{len(functions)} functions between a CSV and the first logits": functions
        }
    fit(
        options.compose(recipe, "trainer.limit_train_batches=3")
    )  # the first steps of a process are slow
    one = (recipe, "trainer.max_epochs=1")
    return {
        "one epoch": lambda _: fit(options.compose(*one)),
        "profiled": lambda _: _profile(options.compose(*one)),
        "matrix product": lambda _: _multiply(),
    }


def _multiply(size: int = 2048, repeats: int = 10) -> dict[str, float]:
    """The most multiply-adds a second that torch reaches here."""
    matrix = torch.rand(size, size)
    start = clock()
    for _ in range(repeats):
        matrix @ matrix
    return {"gmacs_per_second": 1e-9 * repeats * size**3 / (clock() - start)}


def _profile(cfg: DictConfig) -> dict[str, float]:
    """Shares of `Trainer.fit`, in %."""
    with ExitStack() as stack, profile(activities=[ProfilerActivity.CPU]) as profiler:
        for group, owner, name in MARKED:
            stack.enter_context(
                patch.object(owner, name, record_function(group)(getattr(owner, name)))
            )
        fit(cfg)
    seconds = pd.Series(
        {event.key: event.cpu_time_total / 1e6 for event in profiler.key_averages()}
    )
    percent = 100 * seconds / seconds["fit"]
    shares = {
        group: percent[percent.index.str.fullmatch(names)].sum() for group, names in GROUPS.items()
    }
    rest = {"Python, Lightning, profiler": 100 - sum(shares.values())}
    return {
        "fit_seconds": seconds["fit"],
        **{f"{group}, %": share for group, share in (shares | rest).items()},
    }


def _trace_functions(cfg: DictConfig) -> pd.DataFrame:
    """Functions below sign_cnn/ in the order of their first call, from the first of data/ on."""
    seen: dict[tuple[str, str], None] = {}

    def watch(frame: FrameType, event: str, _: object) -> None:
        code = frame.f_code
        if event == "return" and code is SignClassifier.forward.__code__:
            sys.setprofile(None)
        named = (
            code.co_flags & inspect.CO_OPTIMIZED and "<" not in code.co_name
        )  # no class, module, lambda
        if (
            event == "call"
            and named
            and code.co_filename.startswith(f"{Path(sign_cnn.__file__).parent}/")
        ):
            seen.setdefault(
                (
                    str(Path(code.co_filename).relative_to(Path(sign_cnn.__file__).parent)),
                    code.co_qualname,
                )
            )

    sys.setprofile(watch)
    train(cfg)
    table = pd.DataFrame(list(seen), columns=["file", "function"])
    return table[table["file"].str.startswith("data").cummax()]
