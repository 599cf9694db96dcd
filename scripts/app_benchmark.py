"""How fast and how good an exported network is by the web page's own path.

    python scripts/app_benchmark.py MODEL [FOLDER_OF_CSVS]

Times are of one thread; without the CSVs, accuracy is left out.
"""

import argparse
import statistics
import sys
import time

START = time.perf_counter()

import io  # noqa: E402
import resource  # noqa: E402
from pathlib import Path  # noqa: E402
from tempfile import TemporaryDirectory  # noqa: E402

import numpy as np  # noqa: E402
from numpy.typing import NDArray  # noqa: E402
from PIL import Image  # noqa: E402

from sign_cnn.app.looking import look, samples  # noqa: E402
from sign_cnn.inference.onnx_model import OnnxModel  # noqa: E402
from sign_cnn.inference.reading import read  # noqa: E402


def png(pixels: NDArray[np.uint8]) -> bytes:
    """The bytes of a grey PNG file."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def main() -> None:
    """Prints one figure a line."""
    parser = argparse.ArgumentParser(description="Times an exported network by the web page's own path.")
    parser.add_argument("model", help="a model.onnx")
    parser.add_argument("csvs", nargs="?", type=Path, help="folder of CSVs whose test rows are read")
    options = parser.parse_args()
    model = OnnxModel(options.model)
    read(model, [look(samples()["A"], "A.png").pixels])
    print(f"start to first letter, without Streamlit: {time.perf_counter() - START:.2f} s")
    pixels = look(samples()["A"], "A.png").pixels[None]
    seconds = []
    for _ in range(2000):
        before = time.perf_counter()
        model.probabilities(pixels)
        seconds.append(time.perf_counter() - before)
    print(f"one picture through the network: median {1000 * statistics.median(seconds):.3f} ms")
    print(f"a folder of 1,000 photographs of 640×480: {folder_rate(model):,.0f} pictures/s")
    print(f"largest resident memory so far: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")
    if options.csvs:
        score(model, options.csvs)


def folder_rate(model: OnnxModel) -> float:
    """Pictures a second, from JPEG files to letters, as `predict` reads them."""
    try:
        from sign_cnn.predict import predict
    except ModuleNotFoundError as error:  # in an environment for the page alone
        sys.exit(f"the rest needs {error.name}: run it where the whole project is installed")

    with TemporaryDirectory() as folder:
        for number in range(1000):
            image = Image.open(io.BytesIO(list(samples().values())[number % 24])).resize((640, 480)).convert("RGB")
            image.save(Path(folder, f"{number}.jpg"))
        before = time.perf_counter()
        predictions = predict(model, [folder])
        return len(predictions.files) / (time.perf_counter() - before)


def score(model: OnnxModel, root: Path) -> None:
    """Sends every test row to the page's reader as a PNG file."""
    from sign_cnn.config import DataConfig
    from sign_cnn.data import source
    from sign_cnn.intervals import photographs_wrong

    with TemporaryDirectory() as cache:
        data = DataConfig(root=str(root), cache_dir=cache)
        dataset = source.load(data)
        photographs = source.photographs(dataset, data, "test")
    looks = [look(png(image), f"row {row}").pixels for row, image in enumerate(dataset.test_images)]
    readings = read(model, looks)
    said = np.array([model.letters.index(reading.letter) for reading in readings])
    correct = said == dataset.test_labels
    originals, wrong, _ = photographs_wrong(correct, photographs)
    print(f"test rows right: {correct.mean():.2%} ({(~correct).sum()} of {len(correct):,} wrong)")
    print(f"test photographs wrong, most of whose variants are: {wrong} of {originals}")
    print(f"unsure: {sum(not reading.sure for reading in readings)} of {len(correct):,}")


if __name__ == "__main__":
    main()
