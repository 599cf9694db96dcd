"""Images a second of the input alone: ours beside per-sample transforms of torchvision in a DataLoader.

Both end with a normalised float batch and the labels. The changes are those of conf/augment/full.yaml; torchvision's
brightness multiplies where ours adds, and it fills with black where ours repeats the edge.
"""

from collections.abc import Callable
from functools import partial
from typing import cast

from torch import Tensor
from torch.utils.data import DataLoader

from scripts.bench.measurement import Report, Series, Target, images_per_second, interleaved, ratios
from scripts.bench.recipes import Options, composed, say
from scripts.bench.usual import PerSample, transforms
from sign_cnn.data.datamodule import SignMNISTDataModule, TrainSampler
from sign_cnn.training import fitting

WORKERS = (0, 2)
FACTOR = 15


def run(options: Options) -> Report:
    """Compares whole passes: ours over all rows, torchvision's over as many as take some seconds."""
    recipe = (options.recipes or ["best"])[0]
    config = composed(recipe, ["augment=full", *options.overrides])
    fitting.prepare(config)
    data = fitting.make_data(config)
    rows = data.split.train[: 256 if options.quick else 8192]
    per_sample = PerSample(
        data.dataset.train_images[rows],
        data.dataset.train_labels[rows],
        transforms(config.augment, data.pixel_mean, data.pixel_std),
    )
    passes: dict[str, Callable[[], int]] = {"ours": ours(data)}
    for workers in WORKERS:
        loader = DataLoader(
            per_sample, config.data.batch_size, shuffle=True, num_workers=workers, persistent_workers=workers > 0
        )
        passes[f"torchvision, {workers} workers"] = partial(consumed, loader)
    for name, once in passes.items():
        say(f"warming up: {name}")
        once()
    found = interleaved({name: partial(images_per_second, once) for name, once in passes.items()}, options.rounds(7))
    series = [Series(name, "images/s", values) for name, values in found.items()]
    factors = {workers: ratios(found["ours"], found[f"torchvision, {workers} workers"]) for workers in WORKERS}
    series += [Series(f"ours / torchvision, {workers} workers", "×", values) for workers, values in factors.items()]
    target = Target("pipeline, ours / torchvision with 2 workers", series[-1].median, FACTOR, at_least=True)
    settings = {"batch_size": config.data.batch_size, "rows_ours": len(data.split.train), "rows_torchvision": len(rows)}
    return Report("pipeline", "input alone, augment=full", settings, series, [target])


def ours(data: SignMNISTDataModule) -> Callable[[], int]:
    """A function that makes every batch of the next epoch, ready for the network, and returns how many images."""
    loader = data.train_dataloader()
    sampler = cast(TrainSampler, loader.sampler)
    scale, offset = 1 / (255 * data.pixel_std), -data.pixel_mean / data.pixel_std
    epoch = -1

    def once() -> int:
        nonlocal epoch
        epoch += 1
        sampler.set_epoch(epoch)
        images = 0
        for batch in loader:
            pixels: Tensor = data.on_after_batch_transfer(batch, 0).images
            images += len(pixels.float().unsqueeze(1) * scale + offset)
        return images

    return once


def consumed(loader: DataLoader[tuple[Tensor, int]]) -> int:
    """Goes through a loader once; returns how many images it gave."""
    return sum(len(images) for images, _ in loader)
