"""Finds a hand in a picture, as 21 landmarks, with MediaPipe's hand models (Apache-2.0, Google).

`python -m sign_cnn.hands.finder` fetches the weights. The steps are those of MediaPipe 0.10.21 for
single pictures: palms in the whole picture at 192×192, then the landmarks of the likeliest in a
turned square of 224×224 (sizes and thresholds are in the graphs of its modules palm_detection and
hand_landmark). Needs numpy, Pillow, and onnxruntime or ai-edge-litert.
"""

import argparse
import hashlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sign_cnn.errors import UserError, error_message, exit_on_user_error
from sign_cnn.files import atomic_write, explain_os_errors
from sign_cnn.images import Crop, convert

Floats = NDArray[np.floating[Any]]

MODELS_VARIABLE = "HAND_MODELS_DIR"
ROOT = Path(__file__).resolve().parents[2]  # of a clone; of a wheel, the current directory is taken
FOLDER = (ROOT if (ROOT / "conf").is_dir() else Path()) / "data" / "hand_models"
WHEEL = "mediapipe==0.10.21"  # the last one with the weights inside
PIP = f"""install --quiet --no-deps --no-compile --only-binary=:all: {WHEEL}
    --python-version=3.11 --platform=manylinux_2_28_x86_64"""  # the weights are in each wheel
MEMBERS = {
    "palm_detection_full": "1b14e9422c6ad006cde6581a46c8b90dd573c07ab7f3934b5589e7cea3f89a54",
    "hand_landmark_full": "11c272b891e1a99ab034208e23937a8008388cf11ed2a9d776ed3d01d0ba00e3",
}  # sha256 of the .tflite files
PALM_SIZE, HAND_SIZE = 192, 224  # pixels
MIN_PALM, MIN_HAND = 0.5, 0.5  # probabilities
OVERLAP = 0.3  # intersection over union of two boxes of one palm
SCALE, SHIFT = 2.6, 0.5  # side of a hand's square, and its way towards the fingers, in palms
DEPTH = 0.4  # by which MediaPipe divides z
BORDER = 0.5  # of the picture on each side, for a second look where no palm is found
# Between frames of a video, as in MediaPipe's hand_landmark_landmarks_to_roi: the box of these
# landmarks, upright in the hand's direction, moved towards the fingers and enlarged.
STEADY = [0, 1, 2, 3, 5, 6, 9, 10, 13, 14, 17, 18]
NEXT_SCALE, NEXT_SHIFT = 2.0, 0.1


class Hand(NamedTuple):
    """A hand in a picture."""

    landmarks: Floats  # (21, 3), x and y in pixels, z in the same unit, negative towards the camera
    hand: str  # "left" or "right" in MediaPipe's sense: "left" is the signer's right hand

    def as_left(self) -> Floats:
        """Return the landmarks, those of a right hand mirrored, as networks take them."""
        return self.landmarks * np.array([-1 if self.hand == "right" else 1, 1, 1], np.float32)

    def frame(self, margin: float = 0.2) -> Crop:
        """Return the square around the landmarks, in pixels, with a margin on each side."""
        low, high = self.landmarks[:, :2].min(0), self.landmarks[:, :2].max(0)
        half = (0.5 + margin) * float((high - low).max())
        x, y = ((low + high) / 2).tolist()
        return x - half, y - half, x + half, y + half


class HandFinder:
    """Finds the hand of a picture, in some 12 ms on one core."""

    def __init__(self, folder: Path | None = None) -> None:
        """Load the weights.

        Args:
            folder: Where they lie; by default what `find_models` says.

        Raises:
            UserError: If they are missing or damaged, or nothing is installed that runs them.
        """
        folder = folder or find_models()
        self._detect_palms, self._read_landmarks = (_load(folder, name) for name in MEMBERS)
        self._anchors = np.concatenate([_grid(24, 2), _grid(12, 6)])

    def __call__(self, picture: Image.Image) -> Hand | None:
        """Return the likeliest hand of an upright picture, or None if there is none.

        Palms are looked for in their surroundings, so that a hand that fills the picture is found
        only with a border around it.
        """
        colours = convert(picture, "RGB")
        return self._find(colours, 0.0) or self._find(colours, BORDER)

    def _find(self, picture: Image.Image, border: float) -> Hand | None:
        side = max(picture.size) * (1 + 2 * border)
        corner = (np.array(picture.size) - side) / 2
        square = np.stack([corner, [side, 0], [0, side]])
        boxes, scores = self._detect_palms(_cut(picture, square, PALM_SIZE))
        scores = 1 / (1 + np.exp(-scores[0, :, 0].clip(-100, 100)))
        found = scores >= MIN_PALM
        if not found.any():
            return None
        # Centre, size and seven points of each palm; all but the size are seen from its anchor.
        palms = boxes[0].reshape(-1, 9, 2) / PALM_SIZE
        palms[:, 0] += self._anchors
        centre, size, wrist, _, middle = side * _likeliest(palms[found], scores[found])[:5]
        return self._read(picture, _square(corner + centre, size, middle - wrist, SCALE, SHIFT))

    def _read(self, picture: Image.Image, square: Floats) -> Hand | None:
        numbers, score, left, _ = self._read_landmarks(_cut(picture, square, HAND_SIZE))
        if score.item() < MIN_HAND:
            return None
        corner, across, down = square / [[1], [HAND_SIZE], [HAND_SIZE]]
        x, y, z = numbers.reshape(21, 3).T[..., None]
        z = z * np.linalg.norm(across) / DEPTH
        landmarks = np.concatenate([corner + x * across + y * down, z], axis=1).astype(np.float32)
        return Hand(landmarks, "left" if left.item() > 0.5 else "right")


class HandTracker:
    """Follows the hand of a video, in some 6 ms a frame on one core.

    A frame's hand is looked for where that of the frame before it was; palms are looked for only
    when it is lost, with a border around every other frame.
    """

    def __init__(self, finder: HandFinder) -> None:
        self._finder = finder
        self._box: Floats | None = None
        self._border = BORDER

    def __call__(self, frame: Image.Image) -> Hand | None:
        """Return the hand of the next frame, or None if there is none."""
        frame = convert(frame, "RGB")
        hand = None if self._box is None else self._finder._read(frame, self._box)
        if not hand:
            self._border = BORDER - self._border
            hand = self._finder._find(frame, self._border)
        self._box = _next_square(hand.landmarks) if hand else None
        return hand


def find_models(download: bool = False) -> Path:
    """Return the folder with the weights: $HAND_MODELS_DIR, by default data/hand_models.

    Args:
        download: Whether to fetch them if they are not there.

    Returns:
        A folder with a .tflite or .onnx file of each model.

    Raises:
        UserError: If there are none, or they cannot be fetched.
    """
    folder = Path(os.environ.get(MODELS_VARIABLE) or FOLDER)
    if all(any(folder.glob(f"{name}.*")) for name in MEMBERS):
        return folder
    if not download:
        problem = f"{folder} lacks MediaPipe's weights, which find the hand in a photograph"
        raise UserError(f"{problem}: fetch them with python -m sign_cnn.hands.finder")
    with tempfile.TemporaryDirectory() as place, explain_os_errors(folder):
        command = [sys.executable, "-m", "pip", *PIP.split(), f"--target={place}"]
        if subprocess.run(command, check=False).returncode:
            way_out = f"put the .tflite files {' and '.join(MEMBERS)} into {folder}"
            raise UserError(f"{WHEEL} cannot be downloaded (36 MB, for its weights): {way_out}")
        for name, digest in MEMBERS.items():
            content = next(Path(place).rglob(f"{name}.tflite")).read_bytes()
            if hashlib.sha256(content).hexdigest() != digest:
                raise UserError(f"{name} in {WHEEL} is not what was expected: it was not kept")
            with atomic_write(folder / f"{name}.tflite") as temporary:
                temporary.write_bytes(content)
    return folder


@contextmanager
def _without_stderr() -> Iterator[None]:
    """Drop what native code reports of itself on stderr.

    Yields:
        Nothing.
    """
    stderr = os.dup(2)
    try:
        with Path(os.devnull).open("wb") as null:
            os.dup2(null.fileno(), 2)
        yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)


def open_onnx(model: Path | bytes) -> Any:
    """Return a session of ONNX Runtime on one thread, which is enough for networks this small.

    Args:
        model: An .onnx file, or its content.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3  # errors; they are raised as well
    return onnxruntime.InferenceSession(model, options, ["CPUExecutionProvider"])


def _load(folder: Path, name: str) -> Callable[[Floats], list[Any]]:
    """Return a function of a picture float32 (S, S, 3), 0..1, to the network's outputs.

    Raises:
        UserError: If the file is damaged, or nothing is installed that runs it.
    """
    path = min(folder.glob(f"{name}.*"), default=folder / name)  # .onnx before .tflite
    try:
        if path.suffix == ".onnx":
            session = open_onnx(path)
            source = session.get_inputs()[0].name
            return lambda picture: session.run(None, {source: picture[None]})
        from ai_edge_litert.interpreter import Interpreter

        with _without_stderr():
            network = Interpreter(str(path), num_threads=1)
            network.allocate_tensors()
    except ImportError as error:
        raise UserError(f'{path.name} needs {error.name}: pip install -e ".[hands]"') from None
    except Exception as error:  # those of both runtimes have no common base
        way_out = "remove it, then python -m sign_cnn.hands.finder"
        raise UserError(f"{path} is damaged ({error_message(error)}): {way_out}") from None

    def run(picture: Floats) -> list[Any]:
        network.set_tensor(network.get_input_details()[0]["index"], picture[None])
        network.invoke()
        return [network.get_tensor(output["index"]) for output in network.get_output_details()]

    return run


def _grid(cells: int, repeats: int) -> Floats:
    """Return centres (cells² · repeats, 2) of the cells of a square, 0..1, row by row."""
    x_and_y = np.indices((cells, cells), np.float32)[::-1].reshape(2, -1).T
    return np.repeat((x_and_y + 0.5) / cells, repeats, axis=0)


def _likeliest(palms: Floats, scores: Floats) -> Floats:
    """Return the likeliest palm (9, 2), as centre, size and seven points.

    It is the mean of those that overlap with it, weighted by their scores.
    """
    best, centre, size = scores.argmax(), palms[:, 0], np.abs(palms[:, 1])
    low, high = centre - size / 2, centre + size / 2
    common = (np.minimum(high, high[best]) - np.maximum(low, low[best])).clip(0).prod(1)
    same = common > OVERLAP * (size.prod(1) + size[best].prod() - common)
    return np.asarray(np.average(palms[same], axis=0, weights=scores[same]))


def _square(centre: Floats, size: Floats, up: Floats, scale: float, shift: float) -> Floats:
    """Return a square around a box in which `up` points up.

    Args:
        centre: Of the box, (2,), in pixels.
        size: Width and height of the box, in pixels.
        up: A direction, (2,).
        scale: Side of the square, in longer sides of the box.
        shift: Way of the square upwards, in heights of the box.

    Returns:
        Its top left corner, and its sides to the right and down, (3, 2), in pixels.
    """
    up = up / max(float(np.linalg.norm(up)), 1e-6)
    side, right = scale * max(size), np.array([-up[1], up[0]])
    corner = centre + shift * size[1] * up + side / 2 * (up - right)
    return np.stack([corner, side * right, -side * up])


def _next_square(landmarks: Floats) -> Floats:
    """Return the square in which the hand of the next frame is read."""
    points = landmarks[:, :2].astype(np.float64)
    up = (points[5] + points[13]) / 4 + points[9] / 2 - points[0]
    axes = np.array([[-up[1], up[0]], up]) / max(float(np.linalg.norm(up)), 1e-6)
    turned = points[STEADY] @ axes.T
    low, high = turned.min(0), turned.max(0)
    return _square((low + high) / 2 @ axes, high - low, up, NEXT_SCALE, NEXT_SHIFT)


def _cut(picture: Image.Image, square: Floats, size: int) -> Floats:
    """Return a square of a picture as float32 (size, size, 3), 0..1; black outside of it."""
    corner, across, down = square / [[1], [size], [size]]
    # The transformation looks at four pixels, and would skip most of a large picture.
    shrink = max(1, int(np.linalg.norm(across) / 2))
    matrix = (np.stack([across, down, corner], axis=1) / shrink).ravel().tolist()
    method, resampling = Image.Transform.AFFINE, Image.Resampling.BILINEAR
    cut = picture.reduce(shrink).transform((size, size), method, matrix, resampling)
    return np.asarray(cut, np.float32) / np.float32(255)


if __name__ == "__main__":
    about = "Download MediaPipe's hand models, once: 36 MB, of which 8 MB are kept."
    argparse.ArgumentParser("python -m sign_cnn.hands.finder", description=about).parse_args()
    with exit_on_user_error():
        print(f"MediaPipe's hand models are in {find_models(download=True)}")
