"""Classes of pictures: `python -m sign_cnn.predict MODEL IMAGE…`; several letters spell a word.

The web page imports this file too: torch, pandas and rich are imported only where they are needed.
"""

import argparse
import glob
import json
import re
from collections.abc import Iterable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sign_cnn.errors import DataError, UserError, error_message, exit_on_user_error
from sign_cnn.files import explain_os_errors
from sign_cnn.hands.finder import HandFinder, open_onnx
from sign_cnn.images import open_image
from sign_cnn.inputs import make_inputs

if TYPE_CHECKING:
    from sign_cnn.models.classifier import Classifier

THRESHOLD = 0.5  # probability below which a class is unsure: all others together are likelier
TOP = 3  # classes that are shown of each picture
BATCH_SIZE = 256  # inputs that ONNX Runtime reads at once, in a few MB


class OnnxModel:
    """A file of `sign_cnn.export` under ONNX Runtime, without torch."""

    def __init__(self, path: Path | bytes) -> None:
        """Open a file.

        Args:
            path: The file, or its content.

        Raises:
            UserError: If ONNX Runtime is not installed.
            DataError: If the file is missing, damaged, or not an exported network.
        """
        try:
            session = open_onnx(path)
            card = session.get_modelmeta().custom_metadata_map["card"]
            self.card: dict[str, Any] = json.loads(card)
            self.class_names: list[str] = self.card["class_names"]
            self.inputs = make_inputs(self.card["inputs"])
        except ImportError:
            raise UserError('an .onnx file needs onnxruntime: pip install -e ".[export]"') from None
        except Exception as error:  # those of ONNX Runtime have no common base
            what = f"{path if isinstance(path, Path) else 'the file'} is not an exported network"
            way_out = "make one with python -m sign_cnn.export RUN"
            raise DataError(f"{what} ({error_message(error)}): {way_out}") from None
        self._session: Any = session

    def predict_proba(self, inputs: NDArray[Any]) -> NDArray[np.float32]:
        """Return probabilities float32 (N, classes) of inputs (N, *self.inputs.shape)."""
        return self.run("probabilities", inputs)

    def run(self, output: str, inputs: NDArray[Any]) -> NDArray[np.float32]:
        """Return one of the network's outputs, float32 (N, …), of inputs (N, …)."""
        starts = range(0, len(inputs), BATCH_SIZE)
        batches = ({"inputs": inputs[start : start + BATCH_SIZE]} for start in starts)
        return np.concatenate([self._session.run([output], batch)[0] for batch in batches])


class Prediction(NamedTuple):
    """What a network reads in one picture."""

    label: str  # the likeliest class
    probability: float
    sure: bool  # whether the probability reaches the threshold
    top: dict[str, float]  # the likeliest classes and their probabilities, in order


def predict(
    model: "Classifier | OnnxModel", inputs: Sequence[NDArray[Any]], threshold: float = THRESHOLD
) -> list[Prediction]:
    """Classify inputs.

    Args:
        model: A network, from `load_model`.
        inputs: Results of `model.inputs.read`.
        threshold: Probability below which a class is unsure, 0..1.

    Returns:
        A prediction for each input.
    """
    predictions = []
    for row in model.predict_proba(np.stack(inputs)) if inputs else ():
        best = np.argsort(-row, kind="stable")[:TOP]
        top = {model.class_names[index]: float(row[index]) for index in best}
        label, probability = next(iter(top.items()))
        predictions.append(Prediction(label, probability, probability >= threshold, top))
    return predictions


def spell(predictions: Iterable[Prediction]) -> str:
    """Return the word of several pictures, with a question mark for each that is unsure.

    Class names of one character are joined, others are separated by spaces.
    """
    labels = [prediction.label if prediction.sure else "?" for prediction in predictions]
    return ("" if all(len(label) == 1 for label in labels) else " ").join(labels)


def load_model(path: Path, trust: Sequence[str] = ()) -> "Classifier | OnnxModel":
    """Load a network.

    Args:
        path: A checkpoint; an exported file, which needs no torch; or a run's directory, of which
            the exported file is taken if it is newer than the checkpoint: torch takes seconds.
        trust: Packages whose classes a checkpoint may name.

    Returns:
        The network, on the CPU.

    Raises:
        UserError: If there is none, or it cannot be loaded.
    """
    if path.is_dir():
        exported, path = path / "model.onnx", path / "checkpoints" / "best.ckpt"
        if exported.exists() and path.exists() and find_spec("onnxruntime"):
            newer = exported.stat().st_mtime >= path.stat().st_mtime
            path = exported if newer else path
    if path.suffix.lower() == ".onnx":
        return OnnxModel(path)
    from sign_cnn.models.classifier import Classifier  # torch: 3 s

    return Classifier.load(path, trust=trust)


def find_images(name: str) -> list[Path]:
    """Return the visible files of a folder or a pattern such as `hands/*.png`, in natural order.

    The name of a file is that file, also if it looks like a pattern; a name of nothing is kept.
    """
    pattern = f"{glob.escape(name)}/*" if Path(name).is_dir() else name
    found = [name] if Path(name).is_file() else glob.glob(pattern, recursive=True)  # noqa: PTH207
    files = [path for path in map(Path, sorted(found, key=natural_key)) if path.is_file()]
    return files or [Path(name)]


def natural_key(name: str) -> str:
    """Return a key that sorts numbers by value and letters of either case together: H1, h2, h10."""
    return re.sub("[0-9]+", lambda number: number[0].zfill(20), name.lower())


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line.

    Raises:
        DataError: If a picture cannot be read, once the others are classified; the command ends
            with it.
    """
    parser = argparse.ArgumentParser("python -m sign_cnn.predict", description="Classify pictures.")
    add = parser.add_argument
    add("model", type=Path, metavar="MODEL", help="a run directory, a checkpoint or a model.onnx")
    add("images", nargs="+", metavar="IMAGE", help='files, folders, or patterns such as "me/*.png"')
    text = "probability below which a class is unsure and shown as ? (default: %(default)s)"
    add("--threshold", type=float, default=THRESHOLD, metavar="P", help=text)
    add("--find-hand", action="store_true", help="cut the hand out of pictures of whole scenes")
    text = "package of your own whose classes a checkpoint may name; can be repeated"
    add("--trust", action="append", default=[], metavar="PACKAGE", help=text)
    add("--json", action="store_true", help="print JSON instead of a table")
    options = parser.parse_args(arguments)
    files, inputs, problems = [], [], []
    with exit_on_user_error(), explain_os_errors(options.model):
        model = load_model(options.model, options.trust)
        finder = HandFinder() if model.inputs.needs_finder or options.find_hand else None
        for path in [path for name in options.images for path in find_images(name)]:
            if not path.exists():
                problems.append(f"there is no file {path}")
                continue
            try:
                inputs.append(model.inputs.read(open_image(path), path.name, finder))
                files.append(str(path))
            except DataError as error:
                problems.append(str(error))
        predictions = predict(model, inputs, options.threshold)
        if options.json:
            pairs = zip(files, predictions, strict=True)
            entries = [{"file": file, **prediction._asdict()} for file, prediction in pairs]
            content = {"word": spell(predictions), "pictures": entries, "problems": problems}
            print(json.dumps(content, indent=2, ensure_ascii=False))
        elif predictions:
            import pandas as pd

            from sign_cnn.console import print_line, print_table

            tops = [[f"{x} {share:.1%}" for x, share in one.top.items()] for one in predictions]
            table = {"picture": files, "class": [spell([one]) for one in predictions]}
            print_table(pd.DataFrame(table | {"likeliest": [", ".join(top) for top in tops]}))
            if len(predictions) > 1 and all(len(name) == 1 for name in model.class_names):
                print_line(f"word: {spell(predictions)}")
        if problems:
            raise DataError("\nError: ".join(problems))


if __name__ == "__main__":
    main()
