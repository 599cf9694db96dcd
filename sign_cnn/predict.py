"""Letters of pictures: `python -m sign_cnn.predict MODEL IMAGE…`, where several pictures spell a word.

The web page imports this file too: torch, pandas and the console are imported only where they are needed.
"""

import argparse
import csv
import glob
import json
import re
import sys
from collections.abc import Iterable, Sequence
from importlib.util import find_spec
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sign_cnn.errors import DataError, UserError, error_message, exit_on_user_error
from sign_cnn.files import explain_os_errors
from sign_cnn.hands.finder import HandFinder
from sign_cnn.images import Crop, adjust, open_image, prepare

if TYPE_CHECKING:
    from sign_cnn.models.classifier import SignClassifier

THRESHOLD = 0.5  # probability below which a letter is unsure: all others together are likelier
NO_HAND = "no hand found: it takes more light, and the whole hand in the frame"
TOP = 3  # letters shown of each picture
BATCH_SIZE = 256  # pictures that ONNX Runtime reads at once, in a few MB


class OnnxModel:
    """A file of `sign_cnn.export` under ONNX Runtime, without torch; `UserError` when it is missing or damaged."""

    def __init__(self, path: Path | bytes) -> None:
        try:
            import onnxruntime
        except ImportError:
            raise UserError('an .onnx file needs onnxruntime: pip install -e ".[export]"') from None
        if isinstance(path, Path) and not path.is_file():
            raise DataError(
                f"{path} does not exist: make it with python -m sign_cnn.export RUN --output {path}"
            )
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1  # a network this small gains nothing by more
        options.log_severity_level = 3  # errors; they are raised as well
        options.enable_cpu_mem_arena = (
            False  # it would keep the memory of the largest batch for good
        )
        content = path if isinstance(path, bytes) else str(path)
        try:
            self._session: Any = onnxruntime.InferenceSession(
                content, options, providers=["CPUExecutionProvider"]
            )
            self.card: dict[str, Any] = json.loads(
                self._session.get_modelmeta().custom_metadata_map["card"]
            )
            self.letters, size = str(self.card["letters"]), self.card["image_size"]
            self.image_size = (
                None if size is None else int(size)
            )  # None: points are read, not images
        except Exception as error:  # those of ONNX Runtime have no common base
            name = path if isinstance(path, Path) else "the file"
            raise DataError(
                f"{name} is not an exported network ({error_message(error)}): export it again"
            ) from None

    def predict_proba(self, inputs: NDArray[Any]) -> NDArray[np.float32]:
        """Probabilities float32 (N, classes) of images uint8 (N, S, S), 0..255, or of points float32 (N, 21, 3)."""
        return self.run("probabilities", inputs)

    def run(self, output: str, inputs: NDArray[Any]) -> NDArray[np.float32]:
        """One of the network's outputs, float32 (N, …)."""
        name = self._session.get_inputs()[0].name
        starts = range(0, len(inputs), BATCH_SIZE)
        batches = ({name: inputs[start : start + BATCH_SIZE]} for start in starts)
        return np.concatenate([self._session.run([output], batch)[0] for batch in batches])


class Reading(NamedTuple):
    """What the network reads in one picture."""

    letter: str  # the likeliest
    probability: float
    sure: bool  # whether the probability reaches the threshold
    top: dict[str, float]  # the likeliest letters and their probabilities, in order


def read_inputs(
    model: "SignClassifier | OnnxModel",
    inputs: Sequence[NDArray[Any]],
    threshold: float = THRESHOLD,
) -> list[Reading]:
    """Read pictures, each uint8 (S, S), 0..255; or hands, each float32 (21, 3)."""
    probabilities = model.predict_proba(np.stack(inputs)).tolist() if inputs else []
    rankings = [
        sorted(zip(model.letters, row, strict=True), key=lambda pair: -pair[1])
        for row in probabilities
    ]
    return [
        Reading(*ranking[0], ranking[0][1] >= threshold, dict(ranking[:TOP]))
        for ranking in rankings
    ]


def attend(model: OnnxModel, image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Where covering a patch makes the letter that is read less likely (Zeiler and Fergus, 2014): (S, S), 0..1."""
    size, places = image.shape[0] // 4, range(0, image.shape[0] - image.shape[0] // 4 + 1, 2)
    spots = [np.s_[top : top + size, left : left + size] for top in places for left in places]
    covered = np.repeat(image[None], len(spots) + 1, axis=0)
    for index, spot in enumerate(spots):
        covered[index][spot] = round(float(image.mean()))
    probabilities = model.predict_proba(covered)
    letter = probabilities[-1].argmax()
    fall, count = np.zeros((2, *image.shape), np.float32)
    for spot, probability in zip(spots, probabilities[:-1, letter], strict=True):
        fall[spot] += max(0, probabilities[-1, letter] - probability)
        count[spot] += 1
    fall /= count.clip(1)
    return np.asarray(fall / max(fall.max(), 1e-6))


def spell(readings: Iterable[Reading]) -> str:
    """The word of several pictures, with a question mark for each that is unsure."""
    return "".join(reading.letter if reading.sure else "?" for reading in readings)


def prepare_input(
    image: Image.Image,
    name: str,
    size: int | None,
    finder: HandFinder | None,
    settings: dict[str, Any],
) -> NDArray[Any]:
    """What a network reads of an upright picture: images uint8 (size, size), 0..255, or, size None, points (21, 3).

    Without a finder the picture is a close crop. `settings` are crop, invert and mirror of `sign_cnn.images.prepare`;
    `name` is for messages. Raises DataError: no hand is found.
    """
    if finder:
        image = adjust(image, **settings)
        if not (hand := finder(image)):
            raise DataError(f"{name}: {NO_HAND}")
        if size is None:
            return hand.as_left()
        settings = {"crop": hand.frame()}
    assert size
    return prepare(image, size=size, **settings)


def load_model(path: Path) -> "SignClassifier | OnnxModel":
    """A run directory's best checkpoint, a checkpoint, or an exported file, which needs no torch.

    Of a run directory the exported file is taken if it is newer, because importing torch takes seconds.
    """
    if path.is_dir():
        exported, path = path / "model.onnx", path / "checkpoints" / "best.ckpt"
        newer = (
            exported.exists() and path.exists() and exported.stat().st_mtime >= path.stat().st_mtime
        )
        path = exported if newer and find_spec("onnxruntime") else path
    if path.suffix.lower() == ".onnx":
        return OnnxModel(path)
    from sign_cnn.models.classifier import SignClassifier  # torch: 3 s

    return SignClassifier.load(path)


def find_images(name: str) -> list[Path]:
    """A file; or the visible files of a folder or of a pattern such as `hands/*.png`, in natural order."""
    path = Path(name)
    pattern = f"{glob.escape(name)}/*" if path.is_dir() else name
    if path.is_file() or not glob.has_magic(pattern):
        return [path]
    found = glob.glob(pattern, recursive=True)  # noqa: PTH207  # Path.glob takes no absolute pattern
    return [path for path in map(Path, sorted(found, key=natural_key)) if path.is_file()]


def natural_key(name: str) -> list[tuple[int, str]]:
    """Sort numbers by value and letters of either case together: H1, h2, h10."""
    return [
        (int(number or -1), text)
        for number, text in re.findall(r"([0-9]+)|([^0-9]+)", name.lower())
    ]


def parse_crop(text: str) -> Crop:
    """L,T,R,B in pixels."""
    left, top, right, bottom = (float(edge) for edge in text.split(","))
    return left, top, right, bottom


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m sign_cnn.predict", description="Letters of pictures."
    )
    parser.add_argument(
        "model", type=Path, metavar="MODEL", help="a run directory, a checkpoint or a model.onnx"
    )
    parser.add_argument(
        "images",
        nargs="+",
        metavar="IMAGE",
        help='files, folders, or patterns such as "hands/*.png"',
    )
    text = "probability below which a letter is unsure and shown as ? (default: %(default)s)"
    parser.add_argument("--threshold", type=float, default=THRESHOLD, metavar="P", help=text)
    parser.add_argument(
        "--crop", type=parse_crop, metavar="L,T,R,B", help="part of each picture to keep, in pixels"
    )
    parser.add_argument("--invert", action="store_true", help="swap dark and light")
    parser.add_argument("--mirror", action="store_true", help="swap left and right")
    text = (
        "of a network of images: cut the hand out of a photograph, in place of reading close crops"
    )
    parser.add_argument("--find-hand", action="store_true", help=text)
    formats = parser.add_mutually_exclusive_group()
    formats.add_argument("--json", action="store_true", help="print JSON instead of a table")
    formats.add_argument("--csv", action="store_true", help="print CSV instead of a table")
    options = parser.parse_args(arguments)
    pictures: list[tuple[Path, NDArray[Any]]] = []
    problems: list[str] = []
    with exit_on_user_error(), explain_os_errors(options.model):
        model = load_model(options.model)
        settings = {key: getattr(options, key) for key in ("crop", "invert", "mirror")}
        finder = HandFinder() if model.image_size is None or options.find_hand else None
        for name in options.images:
            paths = find_images(name)
            problems += [] if paths else [f"{name}: no files found"]
            for path in paths:
                try:
                    inputs = prepare_input(
                        open_image(path), path.name, model.image_size, finder, settings
                    )
                    pictures.append((path, inputs))
                except DataError as error:
                    problems.append(str(error))
        readings = read_inputs(model, [image for _, image in pictures], options.threshold)
    files = [str(path) for path, _ in pictures]
    rows = list(zip(files, readings, strict=True))
    if options.json:
        entries = [{"file": file, **reading._asdict()} for file, reading in rows]
        content = {"word": spell(readings), "pictures": entries, "problems": problems}
        print(json.dumps(content, indent=2, ensure_ascii=False))
    elif options.csv:
        write = csv.writer(sys.stdout, lineterminator="\n").writerow
        write(
            [
                "file",
                "letter",
                "probability",
                "sure",
                "letter_2",
                "probability_2",
                "letter_3",
                "probability_3",
            ]
        )
        for file, reading in rows:
            write([file, *reading[:3], *chain(*list(reading.top.items())[1:])])
    elif readings:
        import pandas as pd

        from sign_cnn.console import print_line, print_table

        top = [
            ", ".join(f"{letter} {p:.1%}" for letter, p in reading.top.items())
            for reading in readings
        ]
        print_table(
            pd.DataFrame({"picture": files, "letter": list(spell(readings)), "top three": top})
        )
        if len(readings) > 1:
            print_line(f"word: {spell(readings)}")
    for problem in problems:
        print(f"Error: {problem}", file=sys.stderr)
    if problems:
        sys.exit(1)


if __name__ == "__main__":
    main()
