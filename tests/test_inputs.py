import numpy as np
import pytest
from fake_finder import SAMPLES, FakeFinder
from PIL import Image

from sign_cnn.errors import DataError, UserError
from sign_cnn.inputs import Inputs, LandmarkInputs, MotionInputs, PictureInputs, make_inputs

KINDS = [PictureInputs(1, 28), PictureInputs(3, 20), LandmarkInputs()]


@pytest.mark.parametrize("inputs", [*KINDS, MotionInputs()], ids=str)
def test_inputs_are_made_again_from_their_spec_and_describe_their_examples(inputs: Inputs):
    assert make_inputs(inputs.spec()) == inputs
    example = inputs.example(3)
    assert (example.shape, example.dtype) == ((3, *inputs.shape), inputs.dtype)
    assert np.array_equal(example, inputs.example(3))
    drawn = inputs.draw(example)
    assert (drawn.shape[0], drawn.shape[3], drawn.dtype) == (3, 3, np.uint8)
    assert len(np.unique(drawn)) > 3


@pytest.mark.parametrize("spec", [{}, {"kind": "sound"}, {"kind": "pictures"}, {"kind": []}])
def test_an_unknown_spec_is_a_user_error(spec: dict):
    with pytest.raises(UserError):
        make_inputs(spec)


@pytest.mark.parametrize("inputs", KINDS, ids=str)
def test_the_hand_of_a_photograph_is_read_and_one_without_a_hand_is_named(inputs: Inputs):
    read = inputs.read(Image.new("L", (300, 300), 5), "x", FakeFinder())
    assert (read.shape, read.dtype) == (inputs.shape, inputs.dtype)
    expected = SAMPLES[4] * 50 + 100 if inputs.needs_finder else np.full(inputs.shape, 5)
    assert np.array_equal(read, expected)
    with pytest.raises(DataError, match=r"^x: "):
        inputs.read(Image.new("L", (30, 30)), "x", FakeFinder())
    with pytest.raises(UserError):
        MotionInputs().read(Image.new("L", (30, 30)), "x")
