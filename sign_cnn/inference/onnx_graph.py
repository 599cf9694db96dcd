"""A classifier as an ONNX graph, normalisation and softmax included, in full, half or 8-bit precision."""

import copy
import warnings
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnxruntime import quantization
from onnxruntime.quantization.shape_inference import quant_pre_process
from torch import Tensor, nn

from sign_cnn.inference.onnx_model import INPUT, LOGITS, PROBABILITIES
from sign_cnn.models.classifier import SignClassifier

Precision = Literal["float32", "float16", "int8"]
"""Of the weights; both short ones are an approximation."""

_WEIGHTED = ["Conv", "Gemm", "MatMul"]

INPUT_IN_WORDS = "uint8 (batch, 28, 28), grey pixels 0..255; normalised inside"


def make_graph(
    classifier: SignClassifier, precision: Precision, calibration: NDArray[np.uint8] | None = None
) -> onnx.ModelProto:
    """A graph of any batch size, from `images` to `logits` and `probabilities`.

    Args:
        classifier: On the CPU; left as it is.
        precision: Of weights and, but for float32, of what the layers hand on.
        calibration: uint8 (N, 28, 28), 0..255: pictures that show int8 which values occur; needed for int8 only.
    """
    graph = _exported(_Inference(classifier, torch.half if precision == "float16" else torch.float32))
    if precision == "int8":
        if calibration is None:
            raise ValueError("int8 needs pictures for its calibration")
        graph = _quantised(graph, calibration)
    _forget_the_exporter(graph)
    return graph


class _Inference(nn.Module):
    """From pixels to logits and probabilities, the network in a type of its own."""

    def __init__(self, classifier: SignClassifier, dtype: torch.dtype) -> None:
        super().__init__()
        # Channels last would be written out as transpositions before flattening.
        self.network = copy.deepcopy(classifier.network).to(memory_format=torch.contiguous_format).to(dtype)
        self.scale, self.offset = classifier.pixel_scale, classifier.pixel_offset
        self.dtype = dtype
        self.eval()

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        pixels = images.unsqueeze(1).float() * self.scale + self.offset
        logits = self.network(pixels.to(self.dtype)).float()
        return logits, logits.softmax(1)


def _exported(module: _Inference) -> onnx.ModelProto:
    example = torch.zeros(2, 28, 28, dtype=torch.uint8)  # of one, the exporter would make a constant
    with warnings.catch_warnings(), torch.no_grad():
        # torch 2.15's own use of its pytree: nothing that a caller could mend.
        warnings.filterwarnings("ignore", message=".*isinstance.treespec, LeafSpec.*", category=FutureWarning)
        program = torch.onnx.export(
            module,
            (example,),
            input_names=[INPUT],
            output_names=[LOGITS, PROBABILITIES],
            dynamic_shapes={INPUT: {0: torch.export.Dim("batch")}},
            dynamo=True,
            verbose=False,
        )
    assert program is not None  # it is None only when a file was asked for
    graph: onnx.ModelProto = program.model_proto
    return graph


class _Pictures(quantization.CalibrationDataReader):  # type: ignore[misc]  # ONNX Runtime publishes no types for it
    """Hands pictures to the calibration in batches."""

    def __init__(self, images: NDArray[np.uint8]) -> None:
        self._batches: Iterator[NDArray[np.uint8]] = iter(np.array_split(images, max(1, len(images) // 64)))

    def get_next(self) -> dict[str, Any] | None:
        batch = next(self._batches, None)
        return None if batch is None else {INPUT: batch}


def _quantised(graph: onnx.ModelProto, calibration: NDArray[np.uint8]) -> onnx.ModelProto:
    with TemporaryDirectory() as folder:
        whole, prepared, quantised = (Path(folder, f"{name}.onnx") for name in ("whole", "prepared", "quantised"))
        onnx.save(graph, str(whole))  # given the graph itself, ONNX Runtime loses its weights on the way
        quant_pre_process(str(whole), str(prepared), skip_symbolic_shape=True)
        nodes = onnx.load(str(prepared)).graph.node
        weighted = [node.name for node in nodes if node.op_type in _WEIGHTED]
        quantization.quantize_static(
            str(prepared),
            str(quantised),
            _Pictures(calibration),
            nodes_to_quantize=weighted[1:-1],  # first and last layer: few weights, most of the loss
            op_types_to_quantize=_WEIGHTED,
            per_channel=True,
            # 7-bit weights and unsigned activations: sums of 8-bit products overflow on processors without VNNI.
            reduce_range=True,
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
        )
        return onnx.load(str(quantised))


def _forget_the_exporter(graph: onnx.ModelProto) -> None:
    """Removes stack traces and names of source files, a third of a small file."""
    for part in [graph.graph, *graph.graph.node, *graph.graph.input, *graph.graph.output, *graph.graph.value_info,
                 *graph.graph.initializer, *graph.functions]:  # fmt: skip
        del part.metadata_props[:]
    for node in graph.graph.node:
        node.doc_string = ""
    del graph.metadata_props[:]
