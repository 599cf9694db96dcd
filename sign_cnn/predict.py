"""Letters of pictures: `python -m sign_cnn.predict MODEL IMAGE…`, where several pictures spell a word."""

import argparse
import csv
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich import get_console
from rich.markup import escape
from rich.table import Table

from sign_cnn.errors import DataError, UserError, clean_exit
from sign_cnn.images import picture_files
from sign_cnn.images.preprocessing import Crop, load_image
from sign_cnn.inference.reading import THRESHOLD, Model, Reading, read, word

TOP = 3
"""How many letters are shown of each picture."""


@dataclass(frozen=True)
class PictureReadings:
    """Pictures as read, in order."""

    files: list[Path]
    readings: list[Reading]
    problems: list[str]  # one sentence for each picture or name left out

    @property
    def word(self) -> str:
        """What the pictures spell."""
        return word(self.readings)


def open_model(path: Path) -> Model:
    """The network in a run's directory, in a checkpoint, or in an exported file; torch is imported only if needed.

    Raises:
        UserError: There is none, or it cannot be read.
    """
    if path.is_dir():
        checkpoint = path / "checkpoints" / "best.ckpt"
        if not checkpoint.is_file():
            raise UserError(f"{path} has no checkpoints/best.ckpt: name the directory of a finished run, or a file")
        path = checkpoint
    if not path.is_file():
        raise UserError(f"{path} does not exist: name a run's directory, a checkpoint or a model.onnx")
    if path.suffix.lower() == ".onnx":
        from sign_cnn.inference.onnx_model import OnnxModel

        return OnnxModel(path)
    from sign_cnn.inference.checkpoint_model import CheckpointModel  # torch: 3 s

    return CheckpointModel(path)


def predict(
    model: Model,
    names: Sequence[str],
    *,
    threshold: float = THRESHOLD,
    crop: Crop | None = None,
    invert: bool = False,
    mirror: bool = False,
) -> PictureReadings:
    """Reads files, folders and patterns; what cannot be read is left out and said.

    Args:
        model: Reads them.
        names: As in `picture_files.find`.
        threshold: Probability below which a letter is unsure.
        crop: Part of each picture to keep, as in `images.prepare`.
        invert: Whether to swap dark and light.
        mirror: Whether to swap left and right.
    """
    found, problems = picture_files.find(names)
    files, images = [], []
    for path in found:
        try:
            images.append(load_image(path, crop=crop, invert=invert, mirror=mirror))
        except DataError as error:
            problems.append(str(error))
            continue
        files.append(path)
    return PictureReadings(files, read(model, images, threshold), problems)


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    options = _parser().parse_args(arguments)
    with clean_exit():
        found = predict(
            open_model(options.model),
            options.images,
            threshold=options.threshold,
            crop=options.crop,
            invert=options.invert,
            mirror=options.mirror,
        )
    if options.json:
        _print_json(found)
    elif options.csv:
        _print_csv(found)
    elif found.files:
        _print_table(found)
    for problem in found.problems:
        print(f"Error: {problem}", file=sys.stderr)
    if found.problems:
        sys.exit(1)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m sign_cnn.predict", description="Letters of pictures.")
    parser.add_argument("model", type=Path, metavar="MODEL", help="a run's directory, a checkpoint, or a model.onnx")
    parser.add_argument(
        "images",
        nargs="+",
        metavar="IMAGE",
        help='files, folders, or patterns in quotes ("hands/*.png"), whose files are taken in the order 1, 2, 10',
    )
    parser.add_argument(
        "--threshold",
        type=_share,
        default=THRESHOLD,
        metavar="P",
        help="probability below which a letter is unsure and shown as ? (default: %(default)s, where all other letters "
        "together are likelier)",
    )
    parser.add_argument("--crop", type=_box, metavar="X,Y,W,H", help="part to keep, in pixels from the top left corner")
    parser.add_argument("--invert", action="store_true", help="swap dark and light")
    parser.add_argument("--mirror", action="store_true", help="swap left and right")
    style = parser.add_mutually_exclusive_group()
    style.add_argument("--json", action="store_true", help="print JSON instead of a table")
    style.add_argument("--csv", action="store_true", help="print CSV instead of a table")
    return parser


def _share(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text} is not a number between 0 and 1") from None
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and 1")
    return value


def _box(text: str) -> Crop:
    try:
        x, y, width, height = (int(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text} is not four whole numbers such as 20,0,200,200") from None
    if width < 1 or height < 1:
        raise argparse.ArgumentTypeError(f"{text} has no width or no height")
    return x, y, x + width, y + height


def _print_table(found: PictureReadings) -> None:
    table = Table()
    table.add_column("picture", overflow="fold")
    table.add_column("letter", no_wrap=True)
    table.add_column("probability", justify="right", no_wrap=True)
    table.add_column("next", no_wrap=True)
    for path, reading in zip(found.files, found.readings, strict=True):
        others = ", ".join(f"{letter} {probability:.1%}" for letter, probability in reading.ranking[1:TOP])
        letter = reading.letter if reading.sure else f"unsure ({reading.letter}?)"
        table.add_row(escape(str(path)), letter, f"{reading.probability:.1%}", others)
    console = get_console()
    console.print(table)
    if len(found.files) > 1:
        console.print(f"word: {found.word}", highlight=False, markup=False, soft_wrap=True)


def _print_json(found: PictureReadings) -> None:
    pictures = [
        {
            "file": str(path),
            "letter": reading.letter,
            "probability": reading.probability,
            "sure": reading.sure,
            "top": [{"letter": letter, "probability": probability} for letter, probability in reading.ranking[:TOP]],
        }
        for path, reading in zip(found.files, found.readings, strict=True)
    ]
    content = {"word": found.word, "pictures": pictures, "problems": found.problems}
    print(json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False))


def _print_csv(found: PictureReadings) -> None:
    write = csv.writer(sys.stdout, lineterminator="\n").writerow
    write(["file", "letter", "probability", "sure", "letter_2", "probability_2", "letter_3", "probability_3"])
    for path, reading in zip(found.files, found.readings, strict=True):
        best = [reading.letter, f"{reading.probability:.6f}", str(reading.sure).lower()]
        others = [text for letter, probability in reading.ranking[1:TOP] for text in (letter, f"{probability:.6f}")]
        write([str(path), *best, *others])


if __name__ == "__main__":
    main()
