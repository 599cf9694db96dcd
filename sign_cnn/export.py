"""A run's best checkpoint as one ONNX file: `python -m sign_cnn.export RUN [--output FILE]`.

The file takes its name only after it read every test picture as the checkpoint does.
"""

import argparse
import copy
import importlib.util
import json
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sign_cnn.config import DataConfig, to_dataclass
from sign_cnn.console import print_line
from sign_cnn.data.dataset import load_dataset
from sign_cnn.data.drawn import draw_letter
from sign_cnn.errors import DataError, UserError, exit_on_user_error
from sign_cnn.files import atomic_write, explain_os_errors
from sign_cnn.letters import LETTERS
from sign_cnn.models.classifier import SignClassifier
from sign_cnn.predict import CheckpointModel, OnnxModel
from sign_cnn.runs import Run, load_config, load_run

MAX_DIFFERENCE = 1e-5  # of a probability; letters must not change at all
DRAWN_SEEDS = range(1, 11)  # hands of each letter, which are in no data set
COPIED = (
    "experiment", "seed", "data_kind", "data_fingerprint", "num_params", "val_acc", "val_split", "test_acc",
    "test_photos", "test_photos_wrong", "git_commit", "versions",
)  # fmt: skip


def export(run: Run, output: Path) -> dict[str, Any]:
    """Write the file and return its model card. Raises UserError: its answers differ, or something is missing."""
    if missing := [name for name in ("onnx", "onnxruntime", "onnxscript") if not importlib.util.find_spec(name)]:
        raise UserError(f'the export needs {", ".join(missing)}: pip install -e ".[export]"')
    import onnx

    model = CheckpointModel(run.best_checkpoint)
    card = {"letters": model.letters, "image_size": model.image_size, "run": run.result.name}
    card |= {name: getattr(run.result, name) for name in COPIED}
    labels = [index for index, letter in enumerate(model.letters) if letter in LETTERS]  # J and Z cannot be drawn
    hands = [draw_letter(model.letters[label], seed, model.image_size) for label in labels for seed in DRAWN_SEEDS]
    drawn, drawn_labels = np.stack(hands), np.repeat(labels, len(DRAWN_SEEDS))
    images, source = drawn, "drawn hands"
    try:
        dataset = load_dataset(to_dataclass(DataConfig, load_config(run.path).data))
        if dataset.fingerprint != run.result.data_fingerprint:
            raise DataError("the data have changed since the run")
        images, source = dataset.test.images, f"test pictures of the {dataset.kind} data"
    except DataError as error:
        print_line(f"Compared on drawn hands, not on the run's own data: {error}", "yellow")
    graph = make_graph(model.classifier)
    with atomic_write(output) as temporary:
        onnx.helper.set_model_props(graph, {"card": json.dumps(card)})
        temporary.write_bytes(graph.SerializeToString())
        exported = OnnxModel(temporary)
        expected, answers = model.predict_proba(images), exported.predict_proba(images)
        changed, difference = int((answers.argmax(1) != expected.argmax(1)).sum()), np.abs(answers - expected).max()
        if changed or not difference <= MAX_DIFFERENCE:
            raise UserError(
                f"nothing was written: of {len(images):,} {source}, the file reads {changed:,} otherwise than the "
                f"checkpoint, with probabilities up to {difference:.1e} apart; 0 and {MAX_DIFFERENCE:.0e} are allowed"
            )
        card |= {"compared_images": len(images), "compared_with": source, "max_difference": float(difference)}
        right = exported.predict_proba(drawn).argmax(1) == drawn_labels
        card |= {"drawn_acc": float(right.mean()), "drawn_images": len(drawn)}
        onnx.helper.set_model_props(graph, {"card": json.dumps(card)})
        temporary.write_bytes(graph.SerializeToString())
    return card


def make_graph(classifier: SignClassifier) -> Any:
    """An `onnx.ModelProto` of any batch size: `images` to `logits` and `probabilities`, normalisation inside."""
    example = torch.zeros(2, *[classifier.hparams["image_size"]] * 2, dtype=torch.uint8)  # of 1, it would be a constant
    with warnings.catch_warnings(action="ignore", category=FutureWarning), torch.no_grad():  # of torch, in torch
        program: Any = torch.onnx.export(
            Inference(classifier).eval(), (example,), dynamo=True, verbose=False, input_names=["images"],
            output_names=["logits", "probabilities"], dynamic_shapes={"images": {0: torch.export.Dim("batch")}},
        )  # fmt: skip
    model = program.model_proto  # made anew at each access
    graph = model.graph
    # Stack traces and names of source files are a third of a small file.
    for part in (model, graph, *graph.node, *graph.input, *graph.output, *graph.value_info, *graph.initializer):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")
    return model


class Inference(nn.Module):
    """Images uint8 (B, S, S), 0..255, to logits and probabilities (B, classes)."""

    def __init__(self, classifier: SignClassifier) -> None:
        super().__init__()
        # Channels last would be written out as transpositions before flattening.
        self.network = copy.deepcopy(classifier.network).to(memory_format=torch.contiguous_format)
        self.normalize = classifier.normalize

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Normalise, and run the network."""
        logits = self.network(self.normalize(images))
        return logits, logits.softmax(1)


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m sign_cnn.export", description="A run's best checkpoint as ONNX.")
    parser.add_argument("run", type=Path, metavar="RUN", help="directory of a finished run")
    parser.add_argument("--output", type=Path, metavar="FILE", help="default: model.onnx in RUN")
    options = parser.parse_args(arguments)
    output = options.output or options.run / "model.onnx"
    with exit_on_user_error(), explain_os_errors(output):
        card = export(load_run(options.run), output)
    print_line(f"Written to {output}: {output.stat().st_size / 1000:,.0f} kB")
    compared, difference = f"{card['compared_images']:,} {card['compared_with']}", card["max_difference"]
    print_line(f"{compared}: no letter differs from the checkpoint's, probabilities by at most {difference:.1e}")
    print_line(f"{card['drawn_images']} newly drawn hands, of no data set: {card['drawn_acc']:.1%} right")


if __name__ == "__main__":
    main()
