"""Pictures as cards: the picture, what the network reads, the likeliest letters; and the word they spell."""

from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import streamlit as st
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageOps

from sign_cnn.errors import DataError
from sign_cnn.hands.finder import HandFinder
from sign_cnn.images import open_image, to_colours
from sign_cnn.predict import NO_HAND, OnnxModel, Reading, attend, prepare_input, read_inputs, spell

MAX_BYTES = 5 * 2**20  # of a file; .streamlit/config.toml says the same
MAX_PIXELS = 25e6  # 75 MB in colour, which a free host of 1 GB bears
PREVIEW_SIZE = 320  # pixels
SHOWN_SIZE = 128  # CSS pixels
SENTENCE = "sentence"  # key of the session's state
MAX_SENTENCE = 500  # characters

# Points of a hand that lines join.
FINGERS = [
    [0, 1, 2, 3, 4],
    [0, 5, 6, 7, 8],
    [9, 10, 11, 12],
    [13, 14, 15, 16],
    [0, 17, 18, 19, 20],
    [5, 9, 13, 17],
]


@dataclass(frozen=True)
class Picture:
    """A file that somebody sent."""

    key: str  # tells it from all others
    name: str
    content: bytes = field(repr=False)
    points: NDArray[np.float32] | None = field(
        default=None, repr=False
    )  # (21, 3), of a sample, which has no content


@dataclass(frozen=True)
class View:
    """How pictures are read."""

    model: OnnxModel
    threshold: float
    finder: HandFinder | None = None  # None: pictures are close crops, read as they are
    mirror: bool = False  # of close crops


class Look(NamedTuple):
    """A picture before and after its preparation."""

    inputs: NDArray[
        Any
    ]  # what the network reads: pixels uint8 (S, S), 0..255, or points float32 (21, 3)
    preview: (
        Image.Image
    )  # of close crops square, transparent beside the upright picture; else with the hand


def show_cards(pictures: list[Picture], view: View, place: str, word: Any = None) -> None:
    """A card for each picture that can be read, a message for each that cannot, and their word, in the given order.

    `place` tells the widgets from those of other tabs; `word` is a container for the word, by default above the cards.
    """
    errors, word, grid = st.container(), word or st.container(), st.container(horizontal=True)
    shown: list[tuple[Picture, Look]] = []
    for picture in pictures:
        try:
            shown.append(
                (picture, _cached_look(picture, view.model.image_size, view.finder, view.mirror))
            )
        except DataError as error:
            errors.error(_as_text(str(error)), icon=":material/broken_image:")
    readings = read_inputs(view.model, [look.inputs for _, look in shown], view.threshold)
    if readings:
        with word, st.container(horizontal=True, vertical_alignment="center"):
            text = spell(readings)
            st.subheader(text, anchor=False, width="content")
            if st.button(
                "Add to sentence",
                f"add-{place}",
                type="primary",
                on_click=edit_sentence,
                args=(text,),
            ):
                st.toast(f"Sentence: {_as_text(st.session_state[SENTENCE])}")
        if "?" in text:
            word.caption(
                "? stands for a letter that is too unsure; it can be replaced in the sentence."
            )
    for (picture, look), reading in zip(shown, readings, strict=True):
        with grid.container(border=True, width=324):
            _show_card(picture, look, reading, view.model)


def look_at(
    picture: Picture, size: int | None, finder: HandFinder | None = None, mirror: bool = False
) -> Look:
    """Decode a picture, find the hand or prepare the pixels.

    Raises DataError: the picture cannot be read (see `open_image`), or shows no hand.
    """
    if picture.points is not None:
        return Look(picture.points, draw_points(picture.points))
    image = open_image(
        picture.content, name=picture.name, max_bytes=MAX_BYTES, max_pixels=MAX_PIXELS
    )
    small = ImageOps.contain(to_colours(image), (PREVIEW_SIZE, PREVIEW_SIZE))
    if size:
        inputs: NDArray[Any] = prepare_input(image, picture.name, size, finder, {"mirror": mirror})
    else:
        assert finder
        if not (hand := finder(image)):
            raise DataError(f"{picture.name}: {NO_HAND}")
        scale = small.width / image.width
        ImageDraw.Draw(small).polygon(
            [tuple(corner) for corner in (hand.box * scale).tolist()], outline="gold"
        )
        _draw_skeleton(small, hand.points[:, :2] * scale)
        inputs = hand.as_left()
    square = ImageOps.pad(small.convert("RGBA"), (PREVIEW_SIZE, PREVIEW_SIZE), color=(0, 0, 0, 0))
    return Look(inputs, square if size else small)


def draw_points(points: NDArray[np.float32], size: int = PREVIEW_SIZE) -> Image.Image:
    """The skeleton of points (21, 3) alone, in a square."""
    image, flat = Image.new("RGBA", (size, size), (0, 0, 0, 0)), points[:, :2]
    low, high = flat.min(0), flat.max(0)
    _draw_skeleton(image, (flat - (low + high) / 2) * (0.85 * size / (high - low).max()) + size / 2)
    return image


def _draw_skeleton(image: Image.Image, points: NDArray[Any]) -> None:
    draw = ImageDraw.Draw(image)
    for colour, width in (("black", 6), ("deepskyblue", 3)):
        for a, b in (bone for finger in FINGERS for bone in pairwise(finger)):
            draw.line([*points[a].tolist(), *points[b].tolist()], fill=colour, width=width)
    for x, y in points.tolist():
        draw.ellipse((x - 3, y - 3, x + 3, y + 3), fill="crimson", outline="white")


# A session's cache is gone with its visitor.
HASHES: dict[str | type[Any], Any] = {Picture: lambda picture: picture.key, HandFinder: id}
_cached_look = st.cache_data(
    show_spinner=False, scope="session", max_entries=100, hash_funcs=HASHES
)(look_at)


def edit_sentence(added: str = "", keep: int | None = None) -> None:
    """Add letters or a space, after the first `keep` characters if that is given."""
    st.session_state[SENTENCE] = (st.session_state.get(SENTENCE, "")[:keep] + added)[:MAX_SENTENCE]


def _show_card(picture: Picture, look: Look, reading: Reading, model: OnnxModel) -> None:
    size = len(look.inputs)
    st.caption(_as_text(picture.name))
    if look.inputs.dtype == np.uint8:
        grey, heat = np.stack([look.inputs] * 3, axis=2), attend(model, look.inputs)[..., None]
        lit = (grey * (1 - 0.7 * heat) + 0.7 * heat * [255, 180, 0]).astype(np.uint8)
        with st.container(horizontal=True):
            st.image(look.preview, "original", width=SHOWN_SIZE, alt=f"{picture.name} original")
            for pixels, caption in ((grey, f"as read, {size}×{size}"), (lit, "what it looks at")):
                enlarged = pixels.repeat(8, axis=0).repeat(
                    8, axis=1
                )  # so that browsers do not blur the pixels
                st.image(enlarged, caption, width=SHOWN_SIZE, alt=f"{picture.name} {caption}")
    else:
        st.image(look.preview, width=2 * SHOWN_SIZE, alt=f"{picture.name} with its hand")
    st.markdown(
        f"### {reading.letter}" if reading.sure else f"### unsure, perhaps {reading.letter}"
    )
    with st.container(gap="xxsmall"):
        for letter, probability in reading.top.items():
            st.progress(min(probability, 1.0), f"{letter}  {100 * probability:.1f} %")


def _as_text(text: str) -> str:
    """Without the meaning that Markdown gives to characters of a file's name."""
    return "".join(
        f"\\{character}" if character in r"\`*_{}[]<>()#+-.!|~$:" else character
        for character in text
    )
