"""Sizes, parameters and multiply-accumulates of a network, worked out before torch is imported or memory is taken."""

import itertools
from dataclasses import dataclass

from sign_cnn.config import ModelConfig
from sign_cnn.data.dataset import IMAGE_SIZE
from sign_cnn.letters import NUM_CLASSES

DEFAULT_WIDTH = 32
DEFAULT_DEPTH = 3
MAX_PARAMS = 200_000_000
"""More weights than this are a slip of the pen for 28x28 images (0.8 GB, four times that with Adam)."""


@dataclass(frozen=True)
class Shape:
    """What a network does to one image."""

    channels: tuple[int, ...]  # output channels of each block
    features: int  # inputs of the first dense layer
    num_params: int  # trainable parameters
    macs: int  # multiply-accumulates of one forward pass of one image, in convolutions and dense layers


def block_channels(model: ModelConfig) -> list[int]:
    """Channels of each block: those listed, else `width`, doubled at each next one."""
    if model.channels is not None:
        return list(model.channels)
    width = DEFAULT_WIDTH if model.width is None else model.width
    depth = DEFAULT_DEPTH if model.depth is None else model.depth
    return [width * 2**i for i in range(depth)]


def downsampled(size: int, downsample: str) -> int:
    """Pixels left of `size`: 2x2 pooling drops an odd last one, a same-padded strided convolution keeps it."""
    return size // 2 if downsample == "max_pool" else (size + 1) // 2


def problems(model: ModelConfig, image_size: int = IMAGE_SIZE) -> list[str]:
    """What makes the network impossible, as sentences; empty when it can be built."""
    found = []
    doubled = {f"model.{key}": value for key in ("width", "depth") if (value := getattr(model, key)) is not None}
    if model.channels is not None and doubled:
        found.append(
            f"model.channels={model.channels} and {' and '.join(f'{key}={value}' for key, value in doubled.items())} "
            f"are both set: keep one (model.channels=null, or {' '.join(f'{key}=null' for key in doubled)})"
        )
    if model.channels == []:
        found.append("model.channels=[] has no block: list at least one")
    if model.kernel_size % 2 == 0:
        found.append(f"model.kernel_size={model.kernel_size} must be odd, so that padding can keep the size")
    sizes = [image_size]
    for _ in block_channels(model):
        sizes.append(downsampled(sizes[-1], model.downsample) if sizes[-1] > 1 else 0)
    if 0 in sizes:
        shown = " → ".join(map(str, sizes[: sizes.index(0) + 1]))
        most = sizes.index(0) - 1
        found.append(f"{len(sizes) - 1} blocks do not fit {image_size}×{image_size} pixels ({shown}): at most {most}")
    if not found and (count := shape(model, image_size=image_size).num_params) > MAX_PARAMS:
        found.append(f"the network would have {count:,} parameters, more than {MAX_PARAMS:,}: make it narrower")
    return found


def shape(model: ModelConfig, num_classes: int = NUM_CLASSES, image_size: int = IMAGE_SIZE) -> Shape:
    """Sizes and cost of a network that has no `problems`."""
    size, inputs, params, macs = image_size, 1, 0, 0
    channels = block_channels(model)

    def count_conv(inputs: int, outputs: int, output_size: int) -> None:
        nonlocal params, macs
        weights = inputs * outputs * model.kernel_size**2
        params += weights + (2 * outputs if model.batch_norm else outputs)
        macs += weights * output_size**2

    for outputs in channels:
        for _ in range(model.convs_per_block):
            count_conv(inputs, outputs, size)
            inputs = outputs
        size = downsampled(size, model.downsample)
        if model.downsample == "strided_conv":
            count_conv(outputs, outputs, size)

    features = inputs if model.head == "global_pool" else inputs * size**2
    widths = [features, *model.dense_units, num_classes]
    for before, after in itertools.pairwise(widths):
        params += before * after + after
        macs += before * after
    return Shape(tuple(channels), features, params, macs)
