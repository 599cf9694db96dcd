"""What goes into a network, pictures or landmarks of a hand: how it is read, drawn and described.

A checkpoint and an exported file keep `spec()`; commands and the page ask the object for all else,
so that none of them knows which kind it is. Needs numpy and Pillow alone.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from sign_cnn.errors import DataError, UserError
from sign_cnn.hands.finder import Hand
from sign_cnn.images import crop, prepare

Finder = Callable[[Image.Image], Hand | None]  # such as a `HandFinder`

PARENTS = [0 if landmark % 4 == 1 else landmark - 1 for landmark in range(1, 21)]
"""For each of the landmarks 1 to 20, the one before it on the way from the wrist to a fingertip.

MediaPipe's order: 0 is the wrist; then come four landmarks each of thumb, index, middle, ring and
little finger, from the palm outwards.
"""
BONES = [
    *[(parent, landmark) for landmark, parent in enumerate(PARENTS, 1) if landmark not in (9, 13)],
    *[(5, 9), (9, 13), (13, 17)],
]
"""Pairs of landmarks that a line joins in drawings: the fingers and the outline of the palm."""
SKELETON_SIZE = 128  # pixels


class Inputs(ABC):
    """What a network reads: `PictureInputs`, `LandmarkInputs` or `MotionInputs`."""

    kind: ClassVar[str]
    dtype: ClassVar[type[np.generic]]
    needs_finder: ClassVar[bool]  # whether `read` cannot do without a finder
    highest: ClassVar[int]  # values of `example` are below it
    shape: tuple[int, ...]  # of one input

    def read(self, image: Image.Image, name: str, finder: Finder | None = None) -> NDArray[Any]:
        """Turn an upright picture into one input.

        Args:
            image: A picture of any size and mode.
            name: Name of the picture for error messages.
            finder: Finds the hand in the picture; without it, the picture is a close crop.

        Returns:
            An array of `shape` and `dtype`.

        Raises:
            DataError: If `finder` finds no hand.
        """
        hand = finder(image) if finder else None
        if finder and not hand:
            raise DataError(
                f"{name}: no hand found: keep the whole hand in the picture, in better light"
            )
        return self._take(image, hand)

    @abstractmethod
    def _take(self, image: Image.Image, hand: Hand | None) -> NDArray[Any]: ...

    @abstractmethod
    def draw(self, inputs: NDArray[Any]) -> NDArray[np.uint8]:
        """Return inputs (N, *shape) as colour pictures for figures, uint8 (N, S, S, 3)."""

    def example(self, count: int, seed: int = 0) -> NDArray[Any]:
        """Return random inputs (count, *shape)."""
        values = np.random.default_rng(seed).random((count, *self.shape))
        return (self.highest * values).astype(self.dtype)

    def spec(self) -> dict[str, Any]:
        """Return plain values from which `make_inputs` makes this object again."""
        return {"kind": self.kind, **asdict(self)}  # type: ignore[call-overload]


@dataclass(frozen=True)
class PictureInputs(Inputs):
    """Square pictures, uint8 (channels, size, size), 0..255."""

    channels: int  # 1 for grey, 3 for red, green and blue
    size: int  # height and width, in pixels
    kind, dtype, needs_finder, highest = "pictures", np.uint8, False, 256

    @property
    def shape(self) -> tuple[int, ...]:  # type: ignore[override]
        """Shape of one input."""
        return self.channels, self.size, self.size

    def _take(self, image: Image.Image, hand: Hand | None) -> NDArray[Any]:
        image = crop(image, hand.frame()) if hand else image
        return prepare(image, size=self.size, channels=self.channels)

    def draw(self, inputs: NDArray[Any]) -> NDArray[np.uint8]:
        shape = len(inputs), 3, self.size, self.size
        return np.ascontiguousarray(np.broadcast_to(inputs, shape).transpose(0, 2, 3, 1), np.uint8)


@dataclass(frozen=True)
class LandmarkInputs(Inputs):
    """Landmarks of hands, float32 (21, 3).

    x points to the right, y down, z away from the camera, all in one unit; right hands are
    mirrored (`sign_cnn.hands.finder.Hand.as_left`).
    """

    kind, dtype, needs_finder, highest = "landmarks", np.float32, True, 1
    shape = (21, 3)

    def _take(self, image: Image.Image, hand: Hand | None) -> NDArray[Any]:
        assert hand, "landmarks are read with a finder"
        return hand.as_left()

    def draw(self, inputs: NDArray[Any]) -> NDArray[np.uint8]:
        return np.stack([_draw_moments(hand[None]) for hand in inputs])


@dataclass(frozen=True)
class MotionInputs(Inputs):
    """Windows of a moving hand, float32 (24, 21, 3).

    They are the landmarks of 24 moments at equal distances, in axes of `LandmarkInputs`, but all in
    one frame, in which the wrist moves.
    """

    kind, dtype, needs_finder, highest = "motion", np.float32, True, 1
    shape = (24, 21, 3)

    def _take(self, image: Image.Image, hand: Hand | None) -> NDArray[Any]:
        raise UserError("motion is not read from a single picture: use python -m sign_cnn.spell")

    def draw(self, inputs: NDArray[Any]) -> NDArray[np.uint8]:
        return np.stack([_draw_moments(window) for window in inputs])


def make_inputs(spec: dict[str, Any]) -> Inputs:
    """Make inputs from their `spec()`, out of a checkpoint or the card of an exported file.

    Returns:
        An object equal to the one whose values these are.

    Raises:
        UserError: If the kind is unknown, or does not have these values.
    """
    kinds: dict[str, type[Inputs]] = {one.kind: one for one in Inputs.__subclasses__()}
    try:
        return kinds[spec["kind"]](**{key: spec[key] for key in spec if key != "kind"})
    except (KeyError, TypeError):
        raise UserError(f"inputs {spec} are unknown: make the file again, here") from None


def _draw_moments(hands: NDArray[Any]) -> NDArray[np.uint8]:
    """Return a picture of the first, middle and last of hands (T, 21, 3), and fingertips' ways."""
    places = hands[..., :2]
    low, high = places.min((0, 1)), places.max((0, 1))
    scale = SKELETON_SIZE / max((high - low).max(), 1e-6)
    places = SKELETON_SIZE / 2 + 0.85 * scale * (places - (low + high) / 2)
    paper = Image.new("RGB", (SKELETON_SIZE, SKELETON_SIZE), "white")
    for moment in sorted({0, len(places) // 2, len(places) - 1}):
        draw_skeleton(paper, places[moment])
    for tip, colour in ((8, "orange"), (20, "crimson")):
        ImageDraw.Draw(paper).line(places[:, tip].ravel().tolist(), fill=colour, width=2)
    return np.asarray(paper)


def draw_skeleton(image: Image.Image, places: NDArray[Any]) -> Image.Image:
    """Draw a hand into a picture.

    Args:
        image: The picture, which is changed.
        places: Landmarks (21, 2), in pixels of the picture.

    Returns:
        The same picture.
    """
    pen = ImageDraw.Draw(image)
    for colour, width in (("black", 6), ("deepskyblue", 3)):
        for bone in BONES:
            pen.line(places[list(bone)].ravel().tolist(), fill=colour, width=width)
    for x, y in places.tolist():
        pen.ellipse((x - 3, y - 3, x + 3, y + 3), fill="crimson", outline="white")
    return image
