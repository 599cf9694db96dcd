"""Draws, parses and caches the small set, and does nothing else: `python -m scripts.torture.drawing`."""

from sign_cnn.config import DataConfig, SyntheticConfig
from sign_cnn.data import source

SIZE = SyntheticConfig(train_photographs=4, test_photographs=1, variants=4)


def main() -> None:
    """The command line."""
    data = DataConfig(name="synthetic", synthetic=SIZE)
    dataset = source.load(data)
    for half in ("train", "test"):
        source.photographs(dataset, data, half)


if __name__ == "__main__":
    main()
