"""The network: blocks of same-padded convolutions that halve the picture, then dense layers."""

from typing import Any

import torch
from torch import Tensor, nn

from sign_cnn.config import ConvNetConfig, make_config

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "leaky_relu": nn.LeakyReLU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
}


class ConvNet(nn.Module):
    """A plain convolutional classifier of square pictures.

    Each block is `convs_per_block` × (convolution, batch norm if asked for, activation), halved by
    2×2 max-pooling or by one more convolution of stride 2 (with the same norm and activation), then
    dropout. The dense layers follow, on the flattened last block or on its mean over space.
    Convolutions have a bias unless batch norm follows.

    Pooling comes before the norm and the activation of its block, which then have a quarter of the
    work. After ReLU it would give the same numbers; with batch norm this is the order of
    cifar10-airbench (Jordan, 2024).

    Shape:
        - input: float (B, in_channels, image_size, image_size), normalised
        - output: float (B, num_classes), logits
    """

    def __init__(
        self, num_classes: int, in_channels: int = 1, image_size: int = 28, **settings: Any
    ) -> None:
        """Take the fields of `ConvNetConfig`.

        Raises:
            ConfigError: If a setting is unknown or out of its range.
            ValueError: If the blocks do not fit the picture, or the kernel size is even.
        """
        super().__init__()
        sizes = {"num_classes": num_classes, "in_channels": in_channels, "image_size": image_size}
        config = make_config(ConvNetConfig, {**sizes, **settings})
        self.config = config
        channels = config.channels or [config.width * 2**block for block in range(config.depth)]
        if config.kernel_size % 2 == 0:
            problem = f"kernel_size={config.kernel_size} must be odd"
            raise ValueError(f"{problem}, so that padding keeps the size")
        blocks: list[nn.Module] = []
        inputs, size = in_channels, image_size
        for block, outputs in enumerate(channels):
            if size == 1:
                problem = f"{len(channels)} blocks do not fit a picture of {image_size} pixels"
                raise ValueError(f"{problem}: at most {block}")
            for index in range(config.convs_per_block):
                pool = config.downsample == "max_pool" and index == config.convs_per_block - 1
                blocks += self._convolution(inputs, outputs, pool=pool)
                inputs = outputs
            if config.downsample == "strided_conv":
                blocks += self._convolution(outputs, outputs, stride=2)
                size += 1  # a stride keeps an odd pixel
            size //= 2
            blocks.append(nn.Dropout(config.dropout))
        self.blocks = nn.Sequential(*blocks)

        pool_all = [nn.AdaptiveAvgPool2d(1)] if config.head == "global_pool" else []
        self.head = nn.Sequential(*pool_all, nn.Flatten())
        features = channels[-1] * (1 if pool_all else size**2)
        for units in config.dense_units:
            activation = ACTIVATIONS[config.activation]()
            self.head.extend([nn.Linear(features, units), activation, nn.Dropout(config.dropout)])
            features = units
        self.head.append(nn.Linear(features, num_classes))
        if config.init == "keras":
            self.apply(_init_as_keras)
        self.to(memory_format=torch.channels_last)  # a tenth to a third faster a step on two cores

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.head(self.blocks(images))
        return logits

    def _convolution(
        self, inputs: int, outputs: int, stride: int = 1, pool: bool = False
    ) -> list[nn.Module]:
        size, norm = self.config.kernel_size, self.config.batch_norm
        layers: list[nn.Module] = [
            nn.Conv2d(inputs, outputs, size, stride, padding=size // 2, bias=not norm)
        ]
        layers += [nn.MaxPool2d(2)] if pool else []
        layers += [nn.BatchNorm2d(outputs)] if norm else []
        return [*layers, ACTIVATIONS[self.config.activation]()]


def _init_as_keras(layer: nn.Module) -> None:
    """Draw Glorot and Bengio's uniform weights (2010) and no bias, the defaults of Keras."""
    if isinstance(layer, nn.Conv2d | nn.Linear):
        nn.init.xavier_uniform_(layer.weight)
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
