"""Images per second of the input alone, by augment=full: ours, and torchvision's per-sample transforms in 2 workers."""

from collections.abc import Iterable
from typing import Any

from torch.utils.data import DataLoader

from scripts.bench.measure import Options, Variants, build, clock
from scripts.bench.usual import PerSample
from sign_cnn.data.datamodule import SignMNISTDataModule

RECIPES, REPEATS, PAIRS = ("best",), 7, ("ours / torchvision",)


def make_variants(recipe: str, options: Options) -> Variants:
    """Whole epochs of ours; torchvision's are cut to what takes seconds."""
    cfg = options.compose(recipe, "augment=full")
    data, _ = build(cfg)
    samples = PerSample(data, data.split.train[: 128 if options.quick else 8192])
    loader = DataLoader(
        samples, cfg.data.batch_size, shuffle=True, num_workers=2, persistent_workers=True
    )
    _rate(loader)  # starts the workers
    return {
        "ours": lambda turn: _rate(_make_batches(data, turn)),
        "torchvision": lambda _: _rate(x for x, _ in loader),
    }


def _make_batches(data: SignMNISTDataModule, epoch: int) -> Iterable[Any]:
    loader: Any = data.train_dataloader()
    loader.sampler.set_epoch(epoch)
    for batch in loader:
        yield (
            data.on_after_batch_transfer(batch, 0).images.unsqueeze(1) / 255 - data.pixel_mean
        ) / data.pixel_std


def _rate(batches: Iterable[Any]) -> dict[str, float]:
    start = clock()
    return {"images_per_second": sum(len(images) for images in batches) / (clock() - start)}
