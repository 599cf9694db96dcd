"""How fast and how good an exported network is by the web page's own path.

    python scripts/app_benchmark.py MODEL [FOLDER_OF_CSVS]

Times are of one thread; without the CSVs, accuracy is left out.
"""

import time

START = time.perf_counter()

import argparse  # noqa: E402
import io  # noqa: E402
import resource  # noqa: E402
import statistics  # noqa: E402
from pathlib import Path  # noqa: E402
from tempfile import TemporaryDirectory  # noqa: E402

import numpy as np  # noqa: E402
from PIL import Image  # noqa: E402

from sign_cnn.app.cards import Picture, look_at  # noqa: E402
from sign_cnn.app.streamlit_app import GALLERY  # noqa: E402
from sign_cnn.images import load_image  # noqa: E402
from sign_cnn.predict import OnnxModel, find_images, read_images  # noqa: E402


def main() -> None:
    """Print one figure a line."""
    parser = argparse.ArgumentParser(description="Time an exported network by the web page's own path.")
    parser.add_argument("model", type=Path, help="a model.onnx")
    parser.add_argument("csvs", nargs="?", help="folder of CSVs whose test rows are read")
    options = parser.parse_args()
    model = OnnxModel(options.model)
    sample = Picture("A", "A.png", (GALLERY / "A.png").read_bytes())
    pixels = look_at(sample, model.image_size).pixels
    read_images(model, [pixels])
    print(f"start to first letter, without a server: {time.perf_counter() - START:.2f} s")
    seconds = []
    for _ in range(2000):
        before = time.perf_counter()
        model.predict_proba(pixels[None])
        seconds.append(time.perf_counter() - before)
    print(f"one picture through the network: median {1000 * statistics.median(seconds):.3f} ms")
    with TemporaryDirectory() as folder:
        for number in range(1000):
            Image.open(GALLERY / "A.png").resize((640, 480)).convert("RGB").save(Path(folder, f"{number}.jpg"))
        before = time.perf_counter()
        read_images(model, [load_image(path, size=model.image_size) for path in find_images(folder)])
        print(f"a folder of JPEGs of 640×480: {1000 / (time.perf_counter() - before):,.0f} pictures/s")
    print(f"largest resident memory so far: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")
    if options.csvs:
        from sign_cnn.config import DataConfig
        from sign_cnn.data.dataset import load_dataset
        from sign_cnn.statistics import wrong_photos

        test = load_dataset(DataConfig(root=options.csvs)).test
        readings = []
        for image in test.images:  # as files that somebody sends
            Image.fromarray(image).save(buffer := io.BytesIO(), "PNG", compress_level=1)
            readings += read_images(model, [look_at(Picture("", "", buffer.getvalue()), model.image_size).pixels])
        correct = np.array([model.letters.index(reading.letter) for reading in readings]) == test.labels
        wrong, _ = wrong_photos(correct, test.photos)
        print(f"test rows right: {correct.mean():.2%} ({(~correct).sum()} of {len(correct):,} wrong)")
        print(f"test photos wrong, most of whose variants are: {wrong.sum()} of {len(wrong)}")


if __name__ == "__main__":
    main()
