"""A finished run's best checkpoint as one ONNX file: `python -m sign_cnn.export RUN [--output FILE]`.

The file takes its name only after it was run on every test picture beside the checkpoint and gave the same answers.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx
from numpy.typing import NDArray
from rich import get_console

from sign_cnn.config import DataConfig, SyntheticConfig
from sign_cnn.data import source
from sign_cnn.data.dataset import SignDataset
from sign_cnn.data.synthetic import draw_letter
from sign_cnn.errors import DataError, UserError, clean_exit
from sign_cnn.files import explained, replacing
from sign_cnn.inference.checkpoint_model import CheckpointModel
from sign_cnn.inference.model_card import ModelCard
from sign_cnn.inference.onnx_graph import INPUT_IN_WORDS, Precision, make_graph
from sign_cnn.inference.onnx_model import OnnxModel
from sign_cnn.letters import LETTERS, NUM_CLASSES
from sign_cnn.reports import scoring
from sign_cnn.runs.run_directory import RunDirectory

MAX_DIFFERENCE = 1e-5
"""Largest difference of a probability that float32 may have; its letters must not change at all."""

MAX_CHANGED = 0.005
"""Largest share of pictures that float16 and int8 may read otherwise: 1.7 of the real set's 348 test photographs."""

DRAWN_PER_LETTER = 10
DRAWN_SET = SyntheticConfig(train_photographs=1)
"""What stands in for data that are gone: about 2,900 test pictures."""

CALIBRATION_IMAGES = 1024


@dataclass(frozen=True)
class Proof:
    """Pictures that the exported network has to read as the checkpoint does."""

    dataset: SignDataset  # its test half
    description: str
    own: bool  # whether they are the run's own data
    note: str | None = None  # why not


def export(run: RunDirectory, output: Path, precision: Precision = "float32") -> tuple[ModelCard, str | None]:
    """Writes the file in one step, if it is as good as the checkpoint.

    Args:
        run: Finished.
        output: File to make or replace.
        precision: Of weights and layers.

    Returns:
        What was written into the file, and a note if the run's own data were not there to compare with.

    Raises:
        UserError: The checkpoint or the run's configuration is gone, or the file's answers differ too much.
    """
    checkpoint = CheckpointModel(run.best_checkpoint)
    proof = load_proof(run)
    card = ModelCard(
        checkpoint.letters,
        int(checkpoint.classifier.hparams["image_size"]),
        INPUT_IN_WORDS,
        precision,
        **{name: getattr(run.result, name) for name in _COPIED},
        run=run.result.name,
    )
    step = max(1, len(proof.dataset.train_images) // CALIBRATION_IMAGES)
    graph = make_graph(checkpoint.classifier, precision, proof.dataset.train_images[::step][:CALIBRATION_IMAGES])
    with replacing(output) as temporary:
        _write(graph, card, temporary)
        card = _compared(card, checkpoint, OnnxModel(temporary), proof)
        _write(graph, card, temporary)
    return card, proof.note


def load_proof(run: RunDirectory) -> Proof:
    """The run's own data, or drawn hands where those are missing."""
    try:
        dataset = scoring.load_data(run)
    except DataError as error:
        with TemporaryDirectory() as folder:
            drawn = DataConfig(name="synthetic", synthetic_root=folder, cache_dir=folder, synthetic=DRAWN_SET)
            dataset = source.load(drawn)
        return Proof(dataset, "drawn hands", False, f"compared on drawn hands, not on the run's own data: {error}")
    return Proof(dataset, f"test pictures of the {run.result.data_kind} data", True)


_COPIED = (
    "experiment", "seed", "data_kind", "data_fingerprint", "num_params", "val_acc", "val_split", "test_acc",
    "test_originals", "test_originals_wrong", "git_commit", "versions",
)  # fmt: skip


def _write(graph: onnx.ModelProto, card: ModelCard, path: Path) -> None:
    onnx.helper.set_model_props(graph, card.as_metadata())
    path.write_bytes(graph.SerializeToString())


def _compared(card: ModelCard, checkpoint: CheckpointModel, model: OnnxModel, proof: Proof) -> ModelCard:
    """The card with what was measured.

    Raises:
        UserError: The answers differ too much.
    """
    images = proof.dataset.test_images
    before, after = checkpoint.probabilities(images), model.probabilities(images)
    difference = float(np.abs(before - after).max())
    changed = int((before.argmax(1) != after.argmax(1)).sum())
    if card.precision == "float32":
        good, allowed = changed == 0 and difference <= MAX_DIFFERENCE, f"0 and {MAX_DIFFERENCE:.0e} are"
    else:
        good, allowed = changed <= MAX_CHANGED * len(images), f"{MAX_CHANGED:.1%} of them is"
    if not good:
        raise UserError(
            f"nothing was written: of {len(images):,} {proof.description}, the {card.precision} file reads {changed:,} "
            f"otherwise than the checkpoint, with probabilities up to {difference:.1e} apart; {allowed} allowed"
        )
    drawn, labels = _drawn_hands()
    card = replace(
        card,
        max_difference=difference,
        letters_changed=changed,
        compared_images=len(images),
        compared_with=proof.description,
        drawn_acc=float((model.probabilities(drawn).argmax(1) == labels).mean()),
        drawn_images=len(drawn),
    )
    if not changed or card.test_acc is None:
        return card
    # The run's figures are those of the checkpoint; those of this file are others.
    accuracy = float((after.argmax(1) == proof.dataset.test_labels).mean()) if proof.own else None
    return replace(card, test_acc=accuracy, test_originals=None, test_originals_wrong=None)


def _drawn_hands() -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Pictures uint8 (240, 28, 28) and class indices that no set that can be trained on holds."""
    drawn = [draw_letter(letter, seed) for letter in LETTERS for seed in range(1, DRAWN_PER_LETTER + 1)]
    return np.stack(drawn), np.repeat(np.arange(NUM_CLASSES), DRAWN_PER_LETTER)


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m sign_cnn.export",
        description="Writes a finished run's best checkpoint as an ONNX file, normalisation included, once it is "
        "proven to read every test picture as the checkpoint does.",
    )
    parser.add_argument("run", type=Path, metavar="RUN", help="directory of a finished run")
    parser.add_argument("--output", type=Path, metavar="FILE", help="default: model.onnx in RUN")
    short = parser.add_mutually_exclusive_group()
    for flag, precision, effect in (("--fp16", "float16", "half the size"), ("--int8", "int8", "a third of the size")):
        short.add_argument(
            flag,
            dest="precision",
            action="store_const",
            const=precision,
            default="float32",
            help=f"{effect}; refused if it reads more than {100 * MAX_CHANGED:g} %% of the pictures otherwise",
        )
    options = parser.parse_args(arguments)
    kind = "" if options.precision == "float32" else f".{options.precision}"
    output = options.output or options.run / f"model{kind}.onnx"
    with clean_exit(), explained(output):
        card, note = export(scoring.open_run(options.run), output, options.precision)
    for line in _summary(card, note, output):
        get_console().print(line, soft_wrap=True, highlight=False, markup=False)


def _summary(card: ModelCard, note: str | None, output: Path) -> list[str]:
    lines = [f"Written to {output}: {output.stat().st_size / 1000:,.0f} kB, {card.precision}"]
    lines += [
        f"{card.compared_images:,} {card.compared_with}: {card.letters_changed:,} read otherwise than by the "
        f"checkpoint, probabilities at most {card.max_difference:.1e} apart"
    ]
    lines += [f"test accuracy {100 * card.test_acc:.2f} %"] if card.test_acc is not None else []
    if card.drawn_acc is not None:
        lines.append(f"{card.drawn_images} newly drawn hands, of no data set: {100 * card.drawn_acc:.1f} % right")
    return lines + ([note] if note else [])


if __name__ == "__main__":
    main()
