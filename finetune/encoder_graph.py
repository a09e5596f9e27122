"""A BERT encoder as an ONNX graph of a few fused operators, with its matrices in 8-bit integers."""

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper, save

_FUSED = "com.microsoft"  # onnxruntime's operators
_OPSET, _FORMAT = 17, 8
Arrays = Mapping[str, NDArray[np.float32]]


class _Graph:
    """Operators and constants in the making; names are those of what an operator gives."""

    def __init__(self) -> None:
        self.nodes: list[NodeProto] = []
        self.constants: list[TensorProto] = []

    def constant(self, name: str, array: NDArray[Any]) -> str:
        """Keep an array; returns its name."""
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def operator(self, kind: str, inputs: list[str], output: str, domain: str = "", **attributes: Any) -> str:
        """Add an operator; returns the name of what it gives."""
        self.nodes.append(helper.make_node(kind, inputs, [output], name=output, domain=domain, **attributes))
        return output


def write_graph(path: Path, arrays: Arrays, layers: int, heads: int, epsilon: float) -> None:
    """Write the encoder: ids (texts, pieces) int64 and mask (texts, pieces) int32 give vectors (texts, width), unit length.

    `arrays` are a BertModel's by their names there, and `middle` (width,), which is taken from every mean before its length is made one.
    Matrices and word vectors become 8-bit integers, activations are scaled as they come.
    """
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with TemporaryDirectory() as folder:
        whole = Path(folder) / "whole.onnx"
        save(_model(arrays, layers, heads, epsilon), str(whole))
        quantize_dynamic(whole, path, weight_type=QuantType.QInt8, extra_options={"DefaultTensorType": TensorProto.FLOAT})


def _model(arrays: Arrays, layers: int, heads: int, epsilon: float) -> ModelProto:
    graph = _Graph()
    current = _embedded(graph, arrays, epsilon)
    for layer in range(layers):
        current = _layer(graph, arrays, f"encoder.layer.{layer}.", current, heads, epsilon)
    _pooled(graph, arrays, current)
    width = arrays["embeddings.word_embeddings.weight"].shape[1]
    inputs = [
        helper.make_tensor_value_info("ids", TensorProto.INT64, ["texts", "pieces"]),
        helper.make_tensor_value_info("mask", TensorProto.INT32, ["texts", "pieces"]),
    ]
    outputs = [helper.make_tensor_value_info("vectors", TensorProto.FLOAT, ["texts", width])]
    opsets = [helper.make_opsetid("", _OPSET), helper.make_opsetid(_FUSED, 1)]
    made = helper.make_graph(graph.nodes, "encoder", inputs, outputs, graph.constants)
    return helper.make_model(made, opset_imports=opsets, ir_version=_FORMAT)


def _embedded(graph: _Graph, arrays: Arrays, epsilon: float) -> str:
    """Word, place and segment vectors, summed and normalised."""
    words = graph.constant("words", arrays["embeddings.word_embeddings.weight"])
    segment = arrays["embeddings.token_type_embeddings.weight"][0]
    places = graph.constant("places", arrays["embeddings.position_embeddings.weight"] + segment)
    zero, one, two = (graph.constant(f"at {n}", np.array([n], dtype=np.int64)) for n in range(3))
    shape = graph.operator("Shape", ["ids"], "shape")
    length = graph.operator("Slice", [shape, one, two], "length")
    place = graph.operator("Slice", [places, zero, length, zero], "place")
    summed = graph.operator("Add", [graph.operator("Gather", [words, "ids"], "word"), place], "summed")
    scale = graph.constant("first scale", arrays["embeddings.LayerNorm.weight"])
    shift = graph.constant("first shift", arrays["embeddings.LayerNorm.bias"])
    return graph.operator("LayerNormalization", [summed, scale, shift], "embedded", axis=-1, epsilon=epsilon)


def _layer(graph: _Graph, arrays: Arrays, prefix: str, given: str, heads: int, epsilon: float) -> str:
    """Attention and the two matrices behind it, each added to what it was given and normalised."""

    def constant(name: str, *, turned: bool = False) -> str:
        array = arrays[prefix + name]
        return graph.constant(prefix + name, array.T if turned else array)

    names = [f"attention.self.{part}" for part in ("query", "key", "value")]
    matrices = graph.constant(prefix + "attention", np.concatenate([arrays[f"{prefix}{name}.weight"].T for name in names], axis=1))
    shifts = graph.constant(prefix + "attention shift", np.concatenate([arrays[f"{prefix}{name}.bias"] for name in names]))
    attended = graph.operator("Attention", [given, matrices, shifts, "mask"], prefix + "attended", _FUSED, num_heads=heads)

    def added(kind: str, inputs: str, norm: str, before: str, output: str) -> str:
        moved = graph.operator("MatMul", [inputs, constant(f"{kind}.weight", turned=True)], f"{prefix}{output} moved")
        shifted = graph.operator("Add", [moved, constant(f"{kind}.bias")], f"{prefix}{output} shifted")
        summed = graph.operator("Add", [shifted, before], f"{prefix}{output} summed")
        scale, shift = constant(f"{norm}.weight"), constant(f"{norm}.bias")
        return graph.operator("LayerNormalization", [summed, scale, shift], prefix + output, axis=-1, epsilon=epsilon)

    middle = added("attention.output.dense", attended, "attention.output.LayerNorm", given, "middle")
    wide = graph.operator("MatMul", [middle, constant("intermediate.dense.weight", turned=True)], prefix + "wide")
    bent = graph.operator("BiasGelu", [wide, constant("intermediate.dense.bias")], prefix + "bent", _FUSED)
    return added("output.dense", bent, "output.LayerNorm", middle, "last")


def _pooled(graph: _Graph, arrays: Arrays, given: str) -> None:
    """The mean over a text's pieces, from the middle of all texts, at unit length."""
    last = graph.constant("last axis", np.array([-1], dtype=np.int64))
    mask = graph.operator("Cast", ["mask"], "mask as numbers", to=TensorProto.FLOAT)
    column = graph.operator("Unsqueeze", [mask, last], "mask column")
    total = graph.operator("ReduceSum", [graph.operator("Mul", [given, column], "kept"), "at 1"], "total", keepdims=0)
    count = graph.operator("ReduceSum", [mask, last], "count", keepdims=1)
    mean = graph.operator("Div", [total, count], "mean")
    centred = graph.operator("Sub", [mean, graph.constant("middle", arrays["middle"])], "centred")
    graph.operator("LpNormalization", [centred], "vectors", axis=-1, p=2)
