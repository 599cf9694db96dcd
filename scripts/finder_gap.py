"""Our finder against MediaPipe itself, on the same photographs.

In an environment of its own (mediapipe==0.10.21, numpy < 2):  python scripts/finder_gap.py FOLDER ANSWERS.json
In the project's, with those answers:                       python -m scripts.finder_gap FOLDER ANSWERS.json
"""

import argparse
import json
import time
from pathlib import Path


def ask_mediapipe(files: list[Path], answers: Path) -> None:
    """Write what MediaPipe finds: of each file 21 points in pixels and the hand's name, or null."""
    import cv2  # comes with mediapipe
    import mediapipe

    found = {}
    with mediapipe.solutions.hands.Hands(
        static_image_mode=True, max_num_hands=1, model_complexity=1
    ) as hands:
        for file in files:
            picture = cv2.cvtColor(cv2.imread(str(file)), cv2.COLOR_BGR2RGB)
            (height, width), result = picture.shape[:2], hands.process(picture)
            if result.multi_hand_landmarks:
                points = [
                    [p.x * width, p.y * height] for p in result.multi_hand_landmarks[0].landmark
                ]
                found[str(file)] = [
                    points,
                    result.multi_handedness[0].classification[0].label.lower(),
                ]
    answers.write_text(json.dumps({str(file): found.get(str(file)) for file in files}))


def compare(files: list[Path], answers: Path) -> None:
    """Print hands found by either, the gap of points in percent of the hand's size, and times."""
    import numpy as np

    from sign_cnn.hands.finder import HandFinder
    from sign_cnn.images import open_image

    theirs, finder = json.loads(answers.read_text()), HandFinder()
    ours, gaps, same, seconds = 0, [], 0, []
    for file in files:
        picture, start = open_image(file), time.perf_counter()
        hand = finder(picture)
        seconds.append(time.perf_counter() - start)
        ours += bool(hand)
        if hand and theirs[str(file)]:
            points, name = np.array(theirs[str(file)][0]), theirs[str(file)][1]
            size = np.linalg.norm(np.ptp(points, axis=0))
            gaps.append(np.median(np.linalg.norm(points - hand.points[:, :2], axis=1)) / size)
            same += name == hand.hand
    print(
        f"{len(files)} pictures, a hand in {ours}; MediaPipe: in {sum(map(bool, theirs.values()))}"
    )
    middle, high = 100 * np.quantile(gaps, [0.5, 0.9])
    print(
        f"of {len(gaps)} in both: median gap {middle:.2f} % of the hand's size, 90th percentile {high:.2f} %"
    )
    print(f"the same side in {same}; {1000 * np.median(seconds):.1f} ms a picture (median)")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Our finder against MediaPipe's own answers.")
    parser.add_argument("folder", type=Path, help="photographs of hands, at any depth")
    parser.add_argument("answers", type=Path, help="MediaPipe's answers, written first")
    options = parser.parse_args()
    (compare if options.answers.exists() else ask_mediapipe)(
        sorted(options.folder.rglob("*.jp*g")), options.answers
    )
