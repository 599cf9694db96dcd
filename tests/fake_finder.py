"""A finder whose answers are known: each letter's sample hand is a grey of its own."""

import numpy as np
import pytest
from PIL import Image

from sign_cnn.app.streamlit_app import SAMPLES as PATH
from sign_cnn.hands.finder import Hand, HandFinder

SAMPLES = np.load(PATH)


class FakeFinder:
    """Finds in a picture of one grey the sample hand of that number; in a black one, none."""

    def __init__(self, *_: object) -> None: ...

    @classmethod
    def stand_in(cls, monkeypatch: pytest.MonkeyPatch) -> None:
        """Replace the real one until the end of the test."""
        monkeypatch.setattr(HandFinder, "__init__", cls.__init__)
        monkeypatch.setattr(HandFinder, "__call__", cls.__call__)
        monkeypatch.setattr(HandFinder, "_find", lambda self, picture, _: self(picture))

    def __call__(self, picture: Image.Image) -> Hand | None:
        grey = picture.convert("L").getpixel((0, 0))
        return Hand(SAMPLES[grey - 1] * 50 + 100, "left") if grey else None
