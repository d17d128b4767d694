"""Filters of lower precision; depthwise ones in bfloat16 keep their sums.

A depthwise filter has so few weights that their rounding errors do not cancel: its channel is off
by the same share at all positions, and every layer behind adds to it. That is most of what bfloat16
costs the shipped network.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch


def keep_sums(filters: torch.Tensor) -> torch.Tensor:
    """Round each of (N, ...) float32 filters to numbers that bfloat16 holds, keeping its sum.

    The weights of a filter are rounded one after the other, the largest first, and each makes up
    for the errors before it. What is left is the error of the last, as a rule by far the smallest.
    """
    order = filters.flatten(1).abs().argsort(dim=1, descending=True)
    weights = filters.flatten(1).gather(1, order)
    error = torch.zeros(len(weights))
    for column in weights.T:
        wanted = column + error
        rounded = wanted.bfloat16().float()
        error = wanted - rounded
        column.copy_(rounded)
    return torch.empty_like(weights).scatter(1, order, weights).view_as(filters)


def round_depthwise(path: Path) -> None:
    """Round the depthwise filters of an ONNX file, with what batch norms have made of them."""
    import onnx
    from onnx.numpy_helper import from_array, to_array

    model = onnx.load(path)
    stored = {tensor.name: tensor for tensor in model.graph.initializer}
    for node in model.graph.node:
        groups = next((a.i for a in node.attribute if a.name == "group"), 1)
        if node.op_type == "Conv" and groups > 1:
            filters = stored[node.input[1]]
            rounded = keep_sums(torch.tensor(to_array(filters)))
            filters.CopyFrom(from_array(rounded.numpy(), filters.name))
    onnx.save(model, path)


def round_filters(path: Path) -> None:
    """Bring the filters of an ONNX file to float16 where what they are applied to is.

    Those that batch norms have become part of are float32 until then.
    """
    import onnx
    from onnx.numpy_helper import from_array, to_array

    model = onnx.load(path)
    graph, half = model.graph, onnx.TensorProto.FLOAT16
    types = {value.name: value.type.tensor_type.elem_type for value in graph.value_info}
    stored = {tensor.name: tensor for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "Conv" and types.get(node.input[0]) == half:
            for name in node.input[1:]:
                rounded = to_array(stored[name]).astype(np.float16)
                stored[name].CopyFrom(from_array(rounded, name))
    del graph.value_info[:]  # some types in it are those of before; readers infer them
    onnx.save(model, path)
