import pytest
import torch
from torch import nn

from sign_cnn.models.conv_net import ConvNet

IMAGES = torch.zeros(2, 1, 28, 28)
SUMMED = 240 + 10_416 + 41_568 + 110_720 + 3_096  # the article does not give it


def count(net: nn.Module) -> int:
    return sum(parameter.numel() for parameter in net.parameters())


@pytest.mark.parametrize(
    ("channels", "kernel_size", "expected"),
    [
        ([32, 64, 128], 5, 407_704),
        ([32], 5, 806_872),
        ([32, 64], 5, 456_728),
        ([32, 64, 96], 5, 319_608),
        ([8, 16, 32], 5, 56_344),
        ([16, 32, 64], 5, 141_464),
        ([24, 48, 96], 5, 258_584),
        ([24, 48, 96], 3, SUMMED),
    ],
)
def test_the_articles_networks_have_the_articles_parameter_counts(channels, kernel_size, expected):
    settings = {"channels": channels, "kernel_size": kernel_size, "batch_norm": False}
    assert count(ConvNet(24, **settings)) == expected
    assert count(ConvNet(24, **settings, dropout=0.4)) == expected


# (depth, kernel size, batch norm, downsample) -> parameters and side of the last block; width 8 and
# one dense layer of 16. Counted by hand: in·out·k² weights and out biases a convolution, or 2·out
# values of its norm instead of the biases.
TABLE = {
    (1, 3, False, "max_pool"): (25_592, 14),
    (1, 3, True, "strided_conv"): (26_192, 14),
    (2, 5, True, "max_pool"): (16_416, 7),
    (3, 3, False, "max_pool"): (10_920, 3),
    (3, 5, True, "strided_conv"): (58_640, 4),
    (4, 3, False, "max_pool"): (25_832, 1),
    (4, 5, False, "strided_conv"): (208_160, 2),
}


@pytest.mark.parametrize(("choice", "expected"), TABLE.items(), ids=str)
def test_counts_and_sizes_over_depth_kernel_norm_and_downsampling(choice, expected):
    settings = dict(zip(("depth", "kernel_size", "batch_norm", "downsample"), choice, strict=True))
    net = ConvNet(24, width=8, dense_units=[16], **settings)
    assert (count(net), net.blocks(IMAGES).shape[-1]) == expected
    assert net(IMAGES).shape == (2, 24)


def test_dropout_follows_each_block_and_each_dense_layer():
    net = ConvNet(24, width=4, depth=3, dropout=0.3, dense_units=[8, 8])
    layers = [*net.blocks, *net.head]
    places = [i for i, layer in enumerate(layers) if isinstance(layer, nn.Dropout)]
    assert [type(layers[i - 1]) for i in places] == [nn.ReLU] * 5
    assert {layers[i].p for i in places} == {0.3}


def test_pooling_before_the_activation_computes_the_same_as_after_it():
    conv, pool, relu = (net := ConvNet(24, width=4, depth=1, batch_norm=False)).blocks[:3]
    images = torch.randn(2, 1, 28, 28)
    assert torch.equal(net.blocks(images), pool(relu(conv(images))))


def test_weights_start_as_in_the_named_library():
    keras = ConvNet(24, width=8, depth=2, kernel_size=5, batch_norm=False, init="keras")
    layers = [layer for layer in keras.modules() if isinstance(layer, nn.Conv2d | nn.Linear)]
    bound = (6 / (8 * 25 + 16 * 25)) ** 0.5  # Glorot's, of the second convolution
    assert bound * 0.95 < layers[1].weight.abs().max() <= bound
    assert all((layer.bias == 0).all() for layer in layers)
    assert (ConvNet(24, width=8, batch_norm=False, init="torch").blocks[0].bias != 0).any()


@pytest.mark.parametrize(("size", "channels", "depth"), [(64, 3, 6), (8, 1, 3), (9, 3, 2)])
def test_pictures_of_any_size_and_channels_fit(size: int, channels: int, depth: int):
    net = ConvNet(5, channels, size, width=2, depth=depth, downsample="strided_conv")
    assert net(torch.zeros(2, channels, size, size)).shape == (2, 5)
