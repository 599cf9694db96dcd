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

from sign_cnn.console import print_line
from sign_cnn.errors import DataError, UserError, exit_on_user_error
from sign_cnn.evaluate import evaluate_landmarks, load_rows
from sign_cnn.files import atomic_write, explain_os_errors
from sign_cnn.models.classifier import SignClassifier
from sign_cnn.predict import OnnxModel
from sign_cnn.runs import Run, load_run

MAX_DIFFERENCE = 1e-5  # of a probability; letters must not change at all
TAUGHT_MARK = np.random.default_rng(0).random(
    64, np.float32
)  # to find a weight's place in the file
COPIED = (
    "experiment",
    "seed",
    "data_kind",
    "data_fingerprint",
    "num_params",
    "val_acc",
    "val_split",
    "test_acc",
    "test_photos",
    "test_photos_wrong",
    "git_commit",
    "versions",
)


def export(run: Run, output: Path, scored: Path | None = None) -> dict[str, Any]:
    """Write the file and return its model card. Raises UserError: its answers differ, or something is missing.

    Of a network of points, rows and rows right of a table that it was not trained on (`scored`) go into the card.
    """
    if missing := [
        name for name in ("onnx", "onnxruntime", "onnxscript") if not importlib.util.find_spec(name)
    ]:
        raise UserError(f'the export needs {", ".join(missing)}: pip install -e ".[export]"')
    import onnx

    model = SignClassifier.load(run.best_checkpoint)
    card: dict[str, Any] = {
        "letters": model.letters,
        "image_size": model.image_size,
        "run": run.result.name,
    }
    card |= {name: getattr(run.result, name) for name in COPIED}
    size = model.image_size
    try:
        inputs = load_rows(run, "test" if size else "train").images
        source = (
            f"test pictures of the {run.result.data_kind} data"
            if size
            else "hands that it was trained on"
        )
    except DataError as error:
        rng = np.random.default_rng(0)
        inputs = (
            rng.integers(0, 256, (240, size, size), np.uint8)
            if size
            else rng.random((240, 21, 3), np.float32)
        )
        source = "random inputs"
        print_line(f"Compared on {source}, not on the run's own data: {error}", "yellow")
    graph = make_graph(model)
    if not size:
        card["taught_at"] = graph.SerializeToString().index(TAUGHT_MARK.tobytes())
        taught = next(
            part for part in graph.graph.initializer if TAUGHT_MARK.tobytes() in part.raw_data
        )
        taught.raw_data = bytes(len(taught.raw_data))
    with atomic_write(output) as temporary:
        onnx.helper.set_model_props(graph, {"card": json.dumps(card)})
        temporary.write_bytes(graph.SerializeToString())
        exported = OnnxModel(temporary)
        expected, answers = model.predict_proba(inputs), exported.predict_proba(inputs)
        changed, difference = (
            int((answers.argmax(1) != expected.argmax(1)).sum()),
            np.abs(answers - expected).max(),
        )
        if changed or not difference <= MAX_DIFFERENCE:
            raise UserError(
                f"nothing was written: of {len(inputs):,} {source}, the file reads {changed:,} otherwise "
                f"than the checkpoint, with probabilities up to {difference:.1e} apart"
            )
        card |= {
            "compared": len(inputs),
            "compared_with": source,
            "max_difference": float(difference),
        }
        if scored:
            sources = evaluate_landmarks(run, scored)["sources"]
            card["strangers"] = sources[["source", "rows", "right"]].to_dict("records")
        onnx.helper.set_model_props(graph, {"card": json.dumps(card)})
        temporary.write_bytes(graph.SerializeToString())
    return card


def make_graph(classifier: SignClassifier) -> Any:
    """An `onnx.ModelProto` of any batch size.

    `images` to `logits` and `probabilities`, normalisation inside; or `points` to `embedding` and `probabilities`.
    """
    size = classifier.image_size
    # Of one row, the batch would be a constant.
    example = torch.zeros(2, size, size, dtype=torch.uint8) if size else torch.rand(2, 21, 3)
    name, outputs = ("images", "logits") if size else ("points", "embedding")
    inference = Inference(classifier) if size else PointInference(classifier)
    with (
        warnings.catch_warnings(action="ignore", category=FutureWarning),
        torch.no_grad(),
    ):  # of torch, in torch
        program: Any = torch.onnx.export(
            inference.eval(),
            (example,),
            dynamo=True,
            verbose=False,
            input_names=[name],
            output_names=[outputs, "probabilities"],
            dynamic_shapes={name: {0: torch.export.Dim("batch")}},
        )
    model = program.model_proto  # made anew at each access
    graph = model.graph
    # Stack traces and names of source files are a third of a small file.
    for part in (
        model,
        graph,
        *graph.node,
        *graph.input,
        *graph.output,
        *graph.value_info,
        *graph.initializer,
    ):
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


class PointInference(nn.Module):
    """Points float32 (B, 21, 3) to the last hidden layer and probabilities (B, classes).

    `taught`, nothing here, is what a person's own pictures add to the logits: the page writes it into the file, at
    `taught_at` of the card (`sign_cnn.teach`).
    """

    def __init__(self, classifier: SignClassifier) -> None:
        super().__init__()
        self.network: Any = copy.deepcopy(classifier.network)
        if not hasattr(self.network, "embed"):
            raise UserError(
                f"{type(self.network).__name__} lacks embed() and read(), which the export of points needs"
            )
        shape = self.network.embed(torch.rand(2, 21, 3)).shape[1], len(classifier.letters)
        self.taught = nn.Parameter(torch.from_numpy(np.resize(TAUGHT_MARK, shape)))

    def forward(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """Run the network."""
        embedding = self.network.embed(points)
        return embedding, (self.network.read(embedding) + embedding @ self.taught).softmax(1)


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m sign_cnn.export", description="A run's best checkpoint as ONNX."
    )
    parser.add_argument("run", type=Path, metavar="RUN", help="directory of a finished run")
    parser.add_argument("--output", type=Path, metavar="FILE", help="default: model.onnx in RUN")
    text = (
        "of a network of points: a table that it was not trained on, whose scores go into the file"
    )
    parser.add_argument("--landmarks", type=Path, metavar="CSV", help=text)
    options = parser.parse_args(arguments)
    output = options.output or options.run / "model.onnx"
    with exit_on_user_error(), explain_os_errors(output):
        card = export(load_run(options.run), output, options.landmarks)
    print_line(f"Written to {output}: {output.stat().st_size / 1000:,.0f} kB")
    compared, difference = f"{card['compared']:,} {card['compared_with']}", card["max_difference"]
    print_line(
        f"{compared}: no letter differs from the checkpoint's, probabilities by at most {difference:.1e}"
    )


if __name__ == "__main__":
    main()
