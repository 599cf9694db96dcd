"""Export a run's best checkpoint as one ONNX file: `python -m sign_cnn.export RUN [--output FILE]`.

The file takes its name only after it has read the run's own data as the checkpoint does.
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
from sign_cnn.errors import UserError, error_message, exit_on_user_error
from sign_cnn.evaluate import load_classifier, load_data, read_table, score_sources
from sign_cnn.files import atomic_write, explain_os_errors
from sign_cnn.models.classifier import Classifier
from sign_cnn.predict import OnnxModel
from sign_cnn.runs import Run, load_run

MAX_DIFFERENCE = 1e-4  # of a probability, as deep networks have it; no class may change
COPIED = (
    *("experiment", "seed", "data_kind", "data_fingerprint", "num_params", "git_commit"),
    *("val_acc", "val_split", "test_acc", "test_photos", "test_photos_wrong", "versions"),
)
"""Fields of a run's result that the file keeps."""


def export(run: Run, output: Path, landmarks: Path | None = None) -> dict[str, Any]:
    """Write the file, and compare it with the checkpoint.

    Args:
        run: A finished run.
        output: The file to write.
        landmarks: A table that the network was not trained on, whose scores go into the card.

    Returns:
        The card that the file carries: `class_names`, `inputs` (their spec), `run`, the `COPIED`
        fields, `compared` (number of inputs), `compared_with`, `max_difference` (of a probability)
        and, with `landmarks`, `strangers` (rows and rows right by source).

    Raises:
        UserError: If the file does not agree with the checkpoint, or something is missing.
    """
    packages = ("onnx", "onnxruntime", "onnxscript")
    if missing := [name for name in packages if not importlib.util.find_spec(name)]:
        raise UserError(f'the export needs {", ".join(missing)}: pip install -e ".[export]"')
    import onnx

    model = load_classifier(run)
    try:
        data = load_data(run)
        split = "test" if len(data.test_rows.labels) else "train"
        rows = "test rows" if split == "test" else "rows of training and validation"
        inputs, source = data.rows_of(split)[0].inputs, rows
    except UserError as error:
        inputs, source = model.inputs.example(240), "random inputs"
        print_line(f"Compared on {source}, not on the run's own data: {error}", "yellow")
    card: dict[str, Any] = {name: getattr(run.result, name) for name in COPIED}
    card["run"], card["class_names"] = run.result.name, model.class_names
    card["inputs"] = model.inputs.spec()
    graph = make_graph(model)
    onnx.helper.set_model_props(graph, {"card": json.dumps(card)})
    expected = model.predict_proba(inputs)
    found = OnnxModel(graph.SerializeToString()).predict_proba(inputs)
    changed = int((found.argmax(1) != expected.argmax(1)).sum())
    difference = float(np.abs(found - expected).max())
    if changed or not difference <= MAX_DIFFERENCE:
        problem = f"{changed:,} classes differ, and probabilities are up to {difference:.1e} apart"
        raise UserError(f"the file is not written: on {len(inputs):,} {source}, {problem}")
    card |= {"compared": len(inputs), "compared_with": source, "max_difference": difference}
    if landmarks:
        examples = read_table(landmarks, model)
        sources = score_sources(examples.predictions, examples.table)
        card["strangers"] = sources[["source", "rows", "right"]].to_dict("records")
    onnx.helper.set_model_props(graph, {"card": json.dumps(card)})
    with atomic_write(output) as temporary:
        temporary.write_bytes(graph.SerializeToString())
    return card


def make_graph(classifier: Classifier) -> Any:
    """Return an `onnx.ModelProto` from `inputs` of any number to the outputs of `Inference`.

    Raises:
        UserError: If torch cannot export the network.
    """
    from onnx_ir.passes.common import ClearMetadataAndDocStringPass

    inference = Inference(classifier).eval()
    example = torch.from_numpy(classifier.inputs.example(2))  # of one, the batch would be constant
    names = ["embedding" if inference.has_embedding else "logits", "probabilities"]
    options: Any = {"dynamic_shapes": {"inputs": {0: torch.export.Dim("batch")}}}
    try:
        # The warnings are of torch, in torch.
        with warnings.catch_warnings(action="ignore", category=FutureWarning), torch.no_grad():
            traced = torch.export.export(inference, (example,), **options)
            options |= {"input_names": ["inputs"], "output_names": names, "verbose": False}
            program: Any = torch.onnx.export(traced, dynamo=True, **options)
    except Exception as error:  # a network of anyone's fails in any number of ways
        name, reason = type(classifier.network).__name__, error_message(error)
        raise UserError(f"torch cannot export {name} to ONNX: {reason}") from error
    # Stack traces and names of source files are a third of a small file.
    ClearMetadataAndDocStringPass()(program.model)
    return program.model_proto


class Inference(nn.Module):
    """Preprocessing and network in one: inputs to logits and probabilities (B, classes).

    A network with `embed` and `read` gives its embedding (B, D) in place of the logits, and gets a
    weight `taught` (D, classes) of zeros, of which `embedding @ taught` is added to the logits:
    `sign_cnn.hands.fit` fits it to a person's own hand.
    """

    def __init__(self, classifier: Classifier) -> None:
        super().__init__()
        self.preprocessing = classifier.preprocessing
        # Channels last would be written out as transpositions before flattening.
        network: Any = copy.deepcopy(classifier.network).to(memory_format=torch.contiguous_format)
        self.network, self.has_embedding = network, hasattr(network, "embed")
        if self.has_embedding:
            example = torch.from_numpy(classifier.inputs.example(2))
            width = network.embed(classifier.preprocessing(example)).shape[1]
            self.taught = nn.Parameter(torch.zeros(width, len(classifier.class_names)))

    def forward(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        embed = self.network.embed if self.has_embedding else self.network
        first: Tensor = embed(self.preprocessing(inputs))
        logits = self.network.read(first) + first @ self.taught if self.has_embedding else first
        return first, logits.softmax(1)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser("python -m sign_cnn.export", description="Export to ONNX.")
    add = parser.add_argument
    add("run", type=Path, metavar="RUN", help="directory of a finished run")
    add("--output", type=Path, metavar="FILE", help="default: model.onnx in RUN")
    add("--landmarks", type=Path, metavar="CSV", help="strangers' hands, whose scores are stored")
    add("--trust", action="append", default=[], metavar="PACKAGE", help="package of its network")
    options = parser.parse_args(arguments)
    output = options.output or options.run / "model.onnx"
    with exit_on_user_error(), explain_os_errors(output):
        card = export(load_run(options.run, options.trust), output, options.landmarks)
        print_line(f"Written to {output}: {output.stat().st_size / 1000:,.0f} kB")
        print_line(
            f"On {card['compared']:,} {card['compared_with']}, it predicts the classes of the "
            f"checkpoint; probabilities are at most {card['max_difference']:.1e} apart."
        )


if __name__ == "__main__":
    main()
