"""The network: blocks of same-padded convolutions that each halve the image, then dense layers."""

from typing import Any

import torch
from torch import Tensor, nn

from sign_cnn.config import ConvNetConfig

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "leaky_relu": nn.LeakyReLU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
}


class ConvNet(nn.Module):
    """A plain convolutional classifier of square grey images.

    Each block is `convs_per_block` × (convolution, batch norm if asked for, activation), halved by 2×2 max-pooling or
    by one more convolution of stride 2 (with the same norm and activation), then dropout. The dense layers follow, on
    the flattened last block or on its mean over space. Convolutions have a bias unless batch norm follows.

    Pooling comes before the norm and the activation of its block, which then have a quarter of the work. After ReLU it
    would give the same numbers; with batch norm this is the order of cifar10-airbench.

    Shape:
        - input: float (B, 1, image_size, image_size), normalised
        - output: float (B, num_classes), logits
    """

    def __init__(self, **settings: Any) -> None:
        """Build it from the fields of `ConvNetConfig`, which has their defaults; `validate` checks that they fit."""
        super().__init__()
        config = ConvNetConfig(**settings)
        channels, activation = config.block_channels(), ACTIVATIONS[config.activation]

        def conv(inputs: int, outputs: int, stride: int = 1, pool: bool = False) -> list[nn.Module]:
            size, bias = config.kernel_size, not config.batch_norm
            layer = nn.Conv2d(inputs, outputs, size, stride, padding=size // 2, bias=bias)
            norm = [nn.BatchNorm2d(outputs)] if config.batch_norm else []
            return [layer, *([nn.MaxPool2d(2)] if pool else []), *norm, activation()]

        # Dropout is there also at 0, so that a network's weights have the same names whatever its dropout.
        blocks: list[nn.Module] = []
        inputs = 1
        for outputs in channels:
            for index in range(config.convs_per_block):
                last = index == config.convs_per_block - 1
                blocks += conv(inputs, outputs, pool=last and config.downsample == "max_pool")
                inputs = outputs
            if config.downsample == "strided_conv":
                blocks += conv(outputs, outputs, stride=2)
            blocks += [nn.Dropout(config.dropout)]

        pooled = config.head == "global_pool"
        head: list[nn.Module] = (
            [nn.AdaptiveAvgPool2d(1), nn.Flatten()] if pooled else [nn.Flatten()]
        )
        features = channels[-1] * (1 if pooled else config.block_sizes()[-1] ** 2)
        for units in config.dense_units:
            head += [nn.Linear(features, units), activation(), nn.Dropout(config.dropout)]
            features = units

        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Sequential(*head, nn.Linear(features, config.num_classes))
        if config.init == "keras":
            self.apply(_init_as_keras)
        self.to(memory_format=torch.channels_last)  # a tenth to a third faster a step on two cores

    def forward(self, images: Tensor) -> Tensor:
        """Logits (B, num_classes) of normalised images (B, 1, image_size, image_size)."""
        logits: Tensor = self.head(self.blocks(images))
        return logits


def _init_as_keras(layer: nn.Module) -> None:
    """Glorot and Bengio's uniform weights and no bias (2010), the defaults of Keras."""
    if isinstance(layer, nn.Conv2d | nn.Linear):
        nn.init.xavier_uniform_(layer.weight)
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
