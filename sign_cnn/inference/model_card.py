"""What a model file says of itself: what it reads, how it was trained, and how well it does."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Self

from sign_cnn import typed_values
from sign_cnn.errors import DataError


@dataclass(frozen=True)
class ModelCard:
    """The metadata of an exported network. None: not known, or not asked for."""

    letters: str  # in the order of the outputs
    image_size: int  # height and width, in pixels
    input: str  # what the graph takes, in words
    precision: str  # float32, float16 or int8
    run: str = ""  # name of the training run
    experiment: str | None = None
    seed: int | None = None
    data_kind: str = ""  # official, synthetic or custom
    data_fingerprint: str = ""
    num_params: int | None = None
    val_acc: float | None = None  # share of rows right
    val_split: str | None = None
    test_acc: float | None = None  # share of rows right, by the network in this file
    test_originals: int | None = None  # photographs
    test_originals_wrong: int | None = None  # most of whose variants are wrong
    drawn_acc: float | None = None  # share of the hands right that this project draws: unlike any photograph
    drawn_images: int | None = None
    max_difference: float | None = None  # largest difference of a probability to the checkpoint's
    letters_changed: int | None = None  # pictures of that comparison that are read otherwise than by the checkpoint
    compared_images: int | None = None
    compared_with: str | None = None  # which pictures
    git_commit: str | None = None  # of the training code
    versions: str = ""

    def as_metadata(self) -> dict[str, str]:
        """Texts for the file: strings as they are, all else as JSON.

        >>> ModelCard("AB", 28, "uint8", "float32", test_acc=0.5).as_metadata()["test_acc"]
        '0.5'
        """
        values = {item.name: getattr(self, item.name) for item in fields(self)}
        return {name: value if isinstance(value, str) else json.dumps(value) for name, value in values.items()}

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, str], name: str) -> Self:
        """Reads what `as_metadata` wrote; fields of other versions are left out.

        Args:
            metadata: Texts of a file.
            name: What error messages call the file.

        Raises:
            DataError: It is no model that this project exported.
        """
        try:
            known = {item.name: _value(metadata[item.name], item.type) for item in fields(cls) if item.name in metadata}
            if found := typed_values.problems(known, cls):
                raise ValueError(found[0])
            card = cls(**known)
        except (TypeError, ValueError, RecursionError) as error:
            raise DataError(
                f"{name} lacks the notes of an exported network ({error}): make it with python -m sign_cnn.export RUN"
            ) from None
        if not card.letters or card.image_size < 1:
            raise DataError(f"{name} names no letters or no image size: make it with python -m sign_cnn.export RUN")
        return card


def _value(text: str, type_: Any) -> Any:
    if type_ is str or (type_ == (str | None) and text != "null"):
        return text
    return json.loads(text)
