"""How fast the page's own path reads photographs, on one thread: `python scripts/app_benchmark.py FOLDER [MODEL]`."""

import time

START = time.perf_counter()

import argparse  # noqa: E402
import resource  # noqa: E402
import statistics  # noqa: E402
from pathlib import Path  # noqa: E402

from sign_cnn.app.streamlit_app import HANDS  # noqa: E402
from sign_cnn.hands.finder import HandFinder  # noqa: E402
from sign_cnn.images import open_image  # noqa: E402
from sign_cnn.predict import OnnxModel, read_inputs  # noqa: E402


def main() -> None:
    """Print one figure a line."""
    parser = argparse.ArgumentParser(description="Time the path of the web page, without a server.")
    parser.add_argument("folder", type=Path, help="photographs of hands, at any depth")
    parser.add_argument(
        "model", type=Path, nargs="?", default=HANDS, help="exported network of points"
    )
    options = parser.parse_args()
    model, finder = OnnxModel(options.model), HandFinder()
    pictures = [open_image(path) for path in sorted(options.folder.rglob("*.*"))]
    finding, reading, found = [], [], 0
    for picture in pictures:
        before = time.perf_counter()
        hand = finder(picture)
        finding.append(time.perf_counter() - before)
        if not found and hand:
            print(f"start to first letter: {time.perf_counter() - START:.2f} s")
        found += bool(hand)
        before = time.perf_counter()
        read_inputs(model, [hand.as_left()] if hand else [])
        reading.append(time.perf_counter() - before)
    print(f"a hand in {found} of {len(pictures)} pictures, the first of them {pictures[0].size}")
    for name, seconds in (("finder", finding), ("network", reading)):
        print(f"{name}: median {1000 * statistics.median(seconds):.2f} ms a picture")
    print(
        f"largest resident memory: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB"
    )


if __name__ == "__main__":
    main()
