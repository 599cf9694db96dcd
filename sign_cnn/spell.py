"""Text that a hand spells: `python -m sign_cnn.spell VIDEO_OR_TABLE…`.

Videos need PyAV and the finder's weights; tables of landmarks with the columns clip and seconds
(`python -m sign_cnn.hands.landmarks VIDEO CSV`) need neither. Torch is not needed.
"""

import argparse
import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from sign_cnn.console import print_line
from sign_cnn.errors import DataError, UserError, exit_on_user_error
from sign_cnn.files import explain_os_errors
from sign_cnn.hands.finder import HandFinder
from sign_cnn.hands.landmarks import read_clips
from sign_cnn.hands.spelling import Letter, Speller
from sign_cnn.hands.video import draw_video, track
from sign_cnn.hands.words import load_words, to_text
from sign_cnn.letters import LETTERS
from sign_cnn.predict import OnnxModel

APP = Path(__file__).with_name("app")
HANDS, MOTION = APP / "hands.onnx", APP / "motion.onnx"
TABLES = (".csv", ".gz")
SHOWN = ["letter", "start", "end", "probability"]  # of each letter, in JSON
RECENT = 12  # letters in a frame of the drawn video


def load_speller(hands: Path = HANDS, motion: Path = MOTION) -> Speller:
    """Load the networks that read letters and motion.

    Args:
        hands: An exported network of the `hands` experiment.
        motion: One of the `motion` experiment; without this file, J and Z are not read.

    Returns:
        The speller.

    Raises:
        UserError: If a file cannot be loaded, or `hands` does not read the letters.
    """
    model = OnnxModel(hands)
    if model.class_names != list(LETTERS) or model.inputs.shape != (21, 3):
        raise UserError(f"{hands} does not read the letters of a hand: train experiment=hands")
    read_motion = OnnxModel(motion).predict_proba if motion.exists() else None
    return Speller(model.predict_proba, read_motion)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line.

    Raises:
        UserError: If the options contradict each other, or something is missing.
        DataError: If a file cannot be read, once the others are; the command ends with it.
    """
    parser = argparse.ArgumentParser("python -m sign_cnn.spell", description="Read fingerspelling.")
    add = parser.add_argument
    text = "videos, or tables of landmarks (.csv, .csv.gz) with the columns clip and seconds"
    add("files", nargs="+", type=Path, metavar="VIDEO_OR_TABLE", help=text)
    text = '"english", "none", or a text file with one word per line (default: %(default)s)'
    add("--words", default="english", metavar="LIST", help=text)
    add("--json", action="store_true", help="print JSON: clips, their texts and letters")
    add("--draw", type=Path, metavar="MP4", help="write the video with hand and letters")
    text = "another exported network of the hands experiment"
    add("--model", type=Path, default=HANDS, metavar="ONNX", help=text)
    options = parser.parse_args(arguments)
    entries, problems = list[dict[str, Any]](), list[str]()
    with exit_on_user_error(), explain_os_errors(options.draw or Path()):
        videos = [file for file in options.files if file.suffix.lower() not in TABLES]
        one = len(options.files) == len(videos) == 1
        if options.draw and not (one and options.draw.suffix.lower() == ".mp4"):
            raise UserError(f"--draw {options.draw} takes one video, and writes an .mp4 file")
        speller, words = load_speller(options.model), load_words(options.words)
        finder = HandFinder() if videos else None
        for file in options.files:
            try:
                clips = [track(file, finder)] if file in videos else read_clips(file)
                for clip in clips:
                    letters = speller(clip.seconds, clip.hands)
                    entry = {"clip": clip.name, "text": to_text(letters, words)}
                    table = pd.DataFrame(letters, columns=Letter._fields)[SHOWN].round(4)
                    entries.append({**entry, "letters": table.to_dict("records")})
                if options.draw:
                    draw_video(file, clips[0], partial(_caption, letters), options.draw)
            except DataError as error:
                problems.append(str(error))
        if options.json:
            print(json.dumps(entries, indent=2, ensure_ascii=False))
        else:
            for entry in entries:
                name = f"{entry['clip']}: " if len(entries) > 1 else ""
                print_line(name + entry["text"])
        if problems:
            raise DataError("\nError: ".join(problems))


def _caption(letters: list[Letter], time: float) -> str:
    return to_text([letter for letter in letters if letter.start <= time])[-RECENT:]


if __name__ == "__main__":
    main()
