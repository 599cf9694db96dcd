import itertools
import re
from typing import get_args, get_type_hints

import pytest
import torch
from torch import nn

from sign_cnn.config import ModelConfig
from sign_cnn.errors import ConfigError
from sign_cnn.models.conv_net import ConvNet
from sign_cnn.models.geometry import problems, shape


def count(net: nn.Module) -> int:
    return sum(parameter.numel() for parameter in net.parameters())


@pytest.mark.parametrize(
    ("channels", "kernel_size", "dropout", "expected"),
    [
        ([32, 64, 128], 5, 0.0, 407_704),
        ([32], 5, 0.0, 806_872),
        ([32, 64], 5, 0.0, 456_728),
        ([32, 64, 96], 5, 0.0, 319_608),
        ([8, 16, 32], 5, 0.0, 56_344),
        ([16, 32, 64], 5, 0.0, 141_464),
        ([24, 48, 96], 5, 0.0, 258_584),
        ([24, 48, 96], 3, 0.0, 166_040),  # the article does not give it: 240 + 10,416 + 41,568 + 110,720 + 3,096
        ([24, 48, 96], 5, 0.3, 258_584),
        ([24, 48, 96], 5, 0.4, 258_584),
        ([24, 48, 96], 5, 0.5, 258_584),
    ],
)
def test_the_articles_networks_have_the_articles_parameter_counts(channels, kernel_size, dropout, expected):
    assert count(ConvNet(ModelConfig(channels=channels, kernel_size=kernel_size, dropout=dropout))) == expected


# (depth, kernel size, batch norm, downsample) -> parameters and side of the last block, width 8, dense layer of 16.
# Arithmetic apart from the code's: in·out·k² weights and out biases a convolution, or 2·out values of its norm instead.
TABLE = {
    (1, 3, False, "max_pool"): (25_592, 14),
    (1, 3, False, "strided_conv"): (26_176, 14),
    (1, 3, True, "max_pool"): (25_600, 14),
    (1, 3, True, "strided_conv"): (26_192, 14),
    (1, 5, False, "max_pool"): (25_720, 14),
    (1, 5, False, "strided_conv"): (27_328, 14),
    (2, 3, False, "max_pool"): (14_216, 7),
    (2, 3, True, "strided_conv"): (17_168, 7),
    (2, 5, False, "max_pool"): (16_392, 7),
    (2, 5, True, "max_pool"): (16_416, 7),
    (3, 3, False, "max_pool"): (10_920, 3),
    (3, 3, False, "strided_conv"): (26_656, 4),
    (3, 5, True, "max_pool"): (21_344, 3),
    (3, 5, True, "strided_conv"): (58_640, 4),
    (4, 3, False, "max_pool"): (25_832, 1),
    (4, 5, False, "strided_conv"): (208_160, 2),
}


@pytest.mark.parametrize(("choice", "expected"), TABLE.items(), ids=str)
def test_counts_and_sizes_over_depth_kernel_norm_and_downsampling(choice, expected):
    depth, kernel_size, batch_norm, downsample = choice
    sizes = {"width": 8, "depth": depth, "kernel_size": kernel_size, "dense_units": [16]}
    net = ConvNet(ModelConfig(**sizes, batch_norm=batch_norm, downsample=downsample))
    blocks = net.blocks(torch.zeros(2, 1, 28, 28))
    assert (count(net), blocks.shape[-1]) == expected
    assert blocks.shape == (2, 8 * 2 ** (depth - 1), expected[1], expected[1])
    assert net(torch.zeros(2, 1, 28, 28)).shape == (2, 24)


def test_parameters_and_macs_are_predicted_without_building_the_network():
    choices = itertools.product([1, 2], [False, True], ["max_pool", "strided_conv"], ["flatten", "global_pool"])
    for convs, norm, downsample, head in choices:
        config = ModelConfig(
            channels=[4, 6], convs_per_block=convs, kernel_size=3, batch_norm=norm, downsample=downsample, head=head,
            dense_units=[10, 7],
        )  # fmt: skip
        net = ConvNet(config)
        assert shape(config).num_params == count(net)
        assert shape(config).macs == measured_macs(net)


def measured_macs(net: nn.Module) -> int:
    macs = 0

    def add(layer: nn.Module, _: object, output: torch.Tensor) -> None:
        nonlocal macs
        macs += layer.weight.numel() * (output.shape[-2] * output.shape[-1] if output.dim() == 4 else 1)

    for layer in net.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            layer.register_forward_hook(add)
    net(torch.zeros(2, 1, 28, 28))
    return macs


def test_two_3x3_convolutions_see_as_far_as_one_5x5():
    net = ConvNet(ModelConfig(channels=[4], convs_per_block=2, kernel_size=3))
    convs = [layer for layer in net.blocks if isinstance(layer, nn.Conv2d)]
    assert [(conv.in_channels, conv.out_channels) for conv in convs] == [(1, 4), (4, 4)]


def test_dropout_follows_each_block_and_each_dense_layer():
    net = ConvNet(ModelConfig(width=4, depth=3, dropout=0.3, dense_units=[8, 8]))
    layers = [*net.blocks, *net.head]
    before = [type(layers[i - 1]) for i, layer in enumerate(layers) if isinstance(layer, nn.Dropout)]
    assert before == [nn.ReLU] * 5


def test_a_convolution_before_a_norm_has_no_bias():
    net = ConvNet(ModelConfig(width=4, depth=1, batch_norm=True))
    assert net.blocks[0].bias is None
    assert any(isinstance(layer, nn.BatchNorm2d) for layer in net.blocks)


def test_pooling_before_the_activation_computes_the_same_as_after_it():
    net = ConvNet(ModelConfig(width=4, depth=1))
    conv, pool, relu = net.blocks[:3]
    images = torch.randn(2, 1, 28, 28)
    assert torch.equal(net.blocks(images), pool(relu(conv(images))))


@pytest.mark.parametrize("activation", get_args(get_type_hints(ModelConfig)["activation"]))
def test_every_activation_of_the_schema_is_built(activation):
    assert ConvNet(ModelConfig(width=2, depth=1, activation=activation))(torch.zeros(1, 1, 28, 28)).shape == (1, 24)


def test_weights_start_as_in_the_named_library():
    keras = ConvNet(ModelConfig(width=8, depth=2, init="keras"))
    bound = (6 / (8 * 25 + 16 * 25)) ** 0.5
    weight = keras.blocks[4].weight
    assert bound * 0.95 < weight.abs().max() <= bound
    assert all((layer.bias == 0).all() for layer in keras.modules() if isinstance(layer, nn.Conv2d | nn.Linear))
    torch_like = ConvNet(ModelConfig(width=8))
    assert any((layer.bias != 0).any() for layer in torch_like.modules() if isinstance(layer, nn.Conv2d))


def test_no_dense_layer_is_allowed():
    config = ModelConfig(channels=[4], kernel_size=1, dense_units=[], head="global_pool")
    assert count(ConvNet(config)) == 8 + 4 * 24 + 24


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"depth": 5}, "28 → 14 → 7 → 3 → 1 → 0): at most 4"),
        ({"depth": 6, "downsample": "strided_conv"}, "28 → 14 → 7 → 4 → 2 → 1 → 0): at most 5"),
        ({"channels": [8, 16], "depth": 2}, "model.channels=[8, 16] and model.depth=2 are both set"),
        ({"channels": [8], "width": 4}, "model.width=null"),
        ({"channels": []}, "no block"),
        ({"kernel_size": 4}, "must be odd"),
        ({"dense_units": [60_000, 60_000]}, "parameters, more than 200,000,000"),
    ],
)
def test_an_impossible_network_is_refused_with_its_numbers(arguments, message):
    with pytest.raises(ConfigError, match=re.escape(message)):
        ConvNet(ModelConfig(**arguments))


def test_all_problems_are_named_at_once():
    assert len(problems(ModelConfig(channels=[4] * 7, width=4, kernel_size=2))) == 3
