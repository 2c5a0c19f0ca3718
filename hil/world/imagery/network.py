"""The segmentation network: its table of layers, and its float and integer forms in torch.

Every activation is an integer 0..255, every weight an integer -127..127, held in float32; a layer
is Floor((sum + bias) / 2^k), clipped, where bias is an integer and a half. As long as the sum of
``|weight| * 255 + |bias|`` stays under 2^23 every partial sum is exact in float32 whatever its
order, and the half keeps the floor away from its edge: classes are the same on every processor.

The float form (batch normalisation, clipped ReLU) learns first; :func:`fold` turns it to the
integer form, which learns on through rounding with straight-through gradients.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

#: activation counts a unit of the float form
UNIT = 32
#: sums of magnitudes stay below this
SUM_LIMIT = 1 << 23
CLASSES = 3


class Layer(NamedTuple):
    """One convolution: its inputs are concatenated; ``shuffle`` doubles the resolution after it."""

    name: str
    inputs: tuple[str, ...]
    cin: int
    cout: int
    kernel: int = 3
    stride: int = 1
    dilation: int = 1
    shuffle: bool = False

    @property
    def padding(self) -> int:
        """Zeros on each side."""
        return self.dilation * (self.kernel // 2)


#: from 128 x 128 pixels: 64, 32 and 16 cells a side, and back; the last gives logits
LAYERS = (
    Layer("stem", ("tiles",), 3, 16, stride=2),
    Layer("fine", ("stem",), 16, 24),
    Layer("down", ("fine",), 24, 32, stride=2),
    Layer("quarter", ("down",), 32, 32),
    Layer("deep", ("quarter",), 32, 48, stride=2),
    Layer("wide2", ("deep",), 48, 48, dilation=2),
    Layer("wide4", ("wide2",), 48, 48, dilation=4),
    Layer("up1", ("deep", "wide2", "wide4"), 144, 128, kernel=1, shuffle=True),
    Layer("merge1", ("quarter", "up1"), 64, 32),
    Layer("up2", ("merge1",), 32, 64, kernel=1, shuffle=True),
    Layer("merge2", ("fine", "up2"), 40, 20),
    Layer("logits", ("merge2",), 20, 4 * CLASSES, kernel=1, shuffle=True),
)


def _gather(seen: dict[str, Tensor], layer: Layer) -> Tensor:
    """Return the input of a layer."""
    if len(layer.inputs) == 1:
        return seen[layer.inputs[0]]
    return torch.cat([seen[name] for name in layer.inputs], 1)


class FloatNet(nn.Module):
    """The network in real numbers, for the first and longer part of the training."""

    def __init__(self) -> None:
        super().__init__()
        self.convs = nn.ModuleDict()
        self.norms = nn.ModuleDict()
        for layer in LAYERS:
            last = layer is LAYERS[-1]
            self.convs[layer.name] = nn.Conv2d(
                layer.cin,
                layer.cout,
                layer.kernel,
                layer.stride,
                layer.padding,
                layer.dilation,
                bias=last,
            )
            if not last:
                self.norms[layer.name] = nn.BatchNorm2d(layer.cout)

    def forward(self, tiles: Tensor) -> Tensor:
        """Return logits [N, 3, H, W] of pixel counts [N, 3, H, W]."""
        seen = {"tiles": tiles / UNIT}
        for layer in LAYERS:
            value = self.convs[layer.name](_gather(seen, layer))
            if layer.name in self.norms:
                value = self.norms[layer.name](value).clamp(0.0, 255 / UNIT)
            seen[layer.name] = functional.pixel_shuffle(value, 2) if layer.shuffle else value
        return seen["logits"]


class _Straight(torch.autograd.Function):
    """Floor forwards, the identity backwards."""

    @staticmethod
    def forward(ctx: object, value: Tensor) -> Tensor:
        return torch.floor(value)

    @staticmethod
    def backward(ctx: object, grad: Tensor) -> Tensor:
        return grad


def _floor(value: Tensor) -> Tensor:
    result: Tensor = _Straight.apply(value)
    return result


class IntegerNet(nn.Module):
    """The network as it flies; real-valued parameters are kept beside the rounded ones to learn."""

    def __init__(self, weights: dict[str, Tensor], biases: dict[str, Tensor]) -> None:
        """Take folded weights [cout, cin, k, k] and biases [cout] in units of the float form."""
        super().__init__()
        self.weights = nn.ParameterDict(weights)
        self.biases = nn.ParameterDict(biases)
        self.shifts = {}
        for layer in LAYERS:
            shift = _shifts(weights[layer.name], biases[layer.name])
            if layer is LAYERS[-1]:  # classes are compared, so they share one scale
                shift = torch.full_like(shift, float(shift.min()))
            self.shifts[layer.name] = shift

    def integers(self, name: str) -> tuple[Tensor, Tensor, Tensor]:
        """Return weights and biases as they fly, and the shift of each output channel."""
        shift = self.shifts[name]
        scale = 2.0**shift
        weight = _floor(self.weights[name] * scale.view(-1, 1, 1, 1) + 0.5).clamp(-127, 127)
        bias = _floor(self.biases[name] * (scale * UNIT)) + 0.5
        return weight, bias, shift

    def forward(self, tiles: Tensor) -> Tensor:
        """Return logits [N, 3, H, W], in units of the float form, of pixel counts."""
        seen = {"tiles": tiles}
        for layer in LAYERS:
            weight, bias, shift = self.integers(layer.name)
            value = functional.conv2d(
                _gather(seen, layer), weight, bias, layer.stride, layer.padding, layer.dilation
            )
            value = value * (2.0**-shift).view(1, -1, 1, 1)
            value = value / UNIT if layer is LAYERS[-1] else _floor(value).clamp(0, 255)
            seen[layer.name] = functional.pixel_shuffle(value, 2) if layer.shuffle else value
        return seen["logits"]


def _shifts(weight: Tensor, bias: Tensor) -> Tensor:
    """Return for each output channel the greatest shift k that keeps its integers in bounds."""
    peak = weight.abs().amax((1, 2, 3))
    total = weight.abs().sum((1, 2, 3)) * 255 + bias.abs() * UNIT
    shift = torch.zeros_like(peak)
    for k in range(1, 15):
        # a quarter of the room is left for the learning that follows
        fits = (peak * 2.0**k <= 100) & (total * 2.0**k <= SUM_LIMIT * 0.75)
        shift = torch.where(fits, torch.full_like(shift, float(k)), shift)
    return shift


def fold(net: FloatNet) -> IntegerNet:
    """Return the integer form of a trained float form: normalisation folded into the weights."""
    weights, biases = {}, {}
    with torch.no_grad():
        for layer in LAYERS:
            conv = net.convs[layer.name]
            weight = conv.weight.detach().clone()
            if layer.name in net.norms:
                norm = net.norms[layer.name]
                gain = norm.weight / torch.sqrt(norm.running_var + norm.eps)
                weight *= gain.view(-1, 1, 1, 1)
                bias = norm.bias - norm.running_mean * gain + 0.5 / UNIT  # floor, not round
            else:
                bias = conv.bias
            weights[layer.name], biases[layer.name] = weight, bias.detach().clone()
    return IntegerNet(weights, biases)


def assert_exact(net: IntegerNet) -> None:
    """Assert that no partial sum of the integer form can leave what float32 holds exactly."""
    for layer in LAYERS:
        weight, bias, _ = net.integers(layer.name)
        worst = (weight.abs().sum((1, 2, 3)) * 255 + bias.abs()).max().detach()
        assert float(worst) < SUM_LIMIT, f"layer {layer.name}: a sum may reach {float(worst):.0f}"
