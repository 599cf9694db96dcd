"""Whole fits: ours under Lightning, a plain PyTorch loop that ends with the same bits, the usual Lightning set-up.

All three start from the same weights, train on the same rows, validate on the same photographs and save in every epoch;
making the trainer is part of the fit, reading the data is not. The usual set-up runs less often, being slow.
"""

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from tempfile import mkdtemp

from scripts.bench import measurement, plain, usual
from scripts.bench.measurement import Report, Series, Sheet, Target, interleaved, number, ratios, scratch, timed
from scripts.bench.plain import FitSeconds
from scripts.bench.recipes import Options, composed, say, shortened
from sign_cnn.config import Config
from sign_cnn.data.datamodule import SignMNISTDataModule
from sign_cnn.models.classifier import SignClassifier
from sign_cnn.runs import run_directory
from sign_cnn.training import fitting
from sign_cnn.training.callbacks import EpochRecorder

LIMITS = {"best": (1.10, 2.0), "speedrun": (1.25, 3.0)}
"""Of ours / plain, at most, and of usual / ours, at least."""

EPOCHS = {"best": 2}
"""Of recipes that are measured shortened; all others run whole."""

PAIRS, USUAL_ROUNDS = 9, 3
LOGGED = ("train/loss", "train/acc", "val/loss", "val/acc")
PARTS = ("train", "validation", "checkpoint", "rest")


def run(options: Options) -> Report:
    """Compares the three for each recipe."""
    report = Report("step", "seconds of whole fits, validated and saved in every epoch")
    for recipe in options.recipes or ["best", "speedrun"]:
        overrides = ["data.val_split=group", "data.val_size=null", "trainer.patience=0", *options.overrides]
        config = composed(recipe, overrides)
        if epochs := options.epochs or (1 if options.quick else EPOCHS.get(recipe)):
            config = shortened(config, epochs)
        compare(report, recipe, config, options)
    return report


def compare(report: Report, recipe: str, config: Config, options: Options) -> None:
    """Adds one recipe to the report."""
    fitting.prepare(config)
    data = fitting.make_data(config)
    with scratch() as folder:
        variants = fits(config, data, folder)
        warm = fits(shortened(config, 1), data, folder)
        for name in variants if not options.quick else ():
            say(f"{recipe}: warming up {name}")
            warm[name]()
        slow = dict.fromkeys(list(variants)[2:], min(USUAL_ROUNDS, options.rounds(USUAL_ROUNDS)))
        found: dict[str, list[FitSeconds]] = interleaved(variants, options.rounds(PAIRS), slow)
    totals = {name: [one.total for one in fits] for name, fits in found.items()}
    report.series += [Series(f"{recipe}: {name}", "s", values) for name, values in totals.items()]
    report.sheets.append(parts(recipe, found))
    pairs = ratios(totals["ours"], totals["plain"])
    report.series.append(Series(f"{recipe}: ours / plain", "×", pairs))
    at_most, at_least = LIMITS.get(recipe, (1.25, 2.0))
    report.targets.append(Target(f"{recipe}, ours / plain", report.series[-1].median, at_most, at_least=False))
    for name in slow:
        report.series.append(Series(f"{recipe}: {name} / ours", "×", ratios(totals[name], totals["ours"])))
        report.targets.append(Target(f"{recipe}, {name} / ours", report.series[-1].median, at_least, at_least=True))
    report.settings[recipe] = {
        "epochs": config.trainer.max_epochs, "batch_size": config.data.batch_size, "train_rows": len(data.split.train),
        "val_rows": len(data.split.val), "precision": config.trainer.precision, "data_kind": data.dataset.kind,
    }  # fmt: skip


def fits(config: Config, data: SignMNISTDataModule, folder: Path) -> dict[str, Callable[[], FitSeconds]]:
    """Name to a function that fits from the start, in a directory of its own."""

    def fresh() -> Path:
        return Path(mkdtemp(dir=folder))

    def model() -> SignClassifier:
        fitting.prepare(config)
        return fitting.make_model(config, data)

    def usual_fit(workers: int) -> FitSeconds:
        network, path = model(), fresh()
        start = measurement.clock()
        usual.fit(config, data, network, path, workers)
        return FitSeconds(total=measurement.clock() - start)

    return {
        "ours": lambda: ours(config, data, model(), fresh()),
        "plain": lambda: plain.fit(config, data, model(), fresh() / "last.pt"),
        "usual, 0 workers": lambda: usual_fit(0),
        "usual, 2 workers": lambda: usual_fit(2),
    }


def ours(config: Config, data: SignMNISTDataModule, model: SignClassifier, folder: Path) -> FitSeconds:
    """A fit as `sign_cnn.train` does it, in an empty directory."""
    checkpoint: list[float] = []
    validation: list[float] = []
    with run_directory.opened(folder, config, data.dataset.fingerprint, data.dataset.kind) as run, ExitStack() as stack:
        start = measurement.clock()
        trainer = fitting.make_trainer(config, run)
        stack.enter_context(timed(trainer, "save_checkpoint", checkpoint))
        stack.enter_context(timed(trainer.fit_loop.epoch_loop.val_loop, "run", validation))
        trainer.fit(model, data, weights_only=True)
        seconds = FitSeconds(measurement.clock() - start, validation=sum(validation), checkpoint=sum(checkpoint))
    recorder = next(item for item in trainer.checkpoint_callbacks if isinstance(item, EpochRecorder))
    seconds.train = sum(row["train_seconds"] for row in recorder.rows)
    seconds.rows = [[row[key] for key in LOGGED] for row in recorder.rows]
    return seconds


def parts(recipe: str, found: dict[str, list[FitSeconds]]) -> Sheet:
    """What a fit consists of: medians of each part."""
    rows = []
    for part in PARTS:
        values = [Series(part, "s", [getattr(one, part) for one in found[name]]) for name in ("ours", "plain")]
        rows.append([part, *(number(one.median) for one in values), number(values[0].median - values[1].median)])
    return Sheet(f"{recipe}: parts of a fit, median seconds", ["", "ours", "plain", "ours − plain"], rows)
