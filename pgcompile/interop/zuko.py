"""State dicts of zuko's flows (1.6), read into the flows of this library and written from them.

zuko itself is not imported. Weights of the two stand in other orders: here the hidden units of a masked net are sorted
by step, and the outputs of every net lie parameter by parameter; there they lie feature by feature.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn


class Slot:
    """One tensor of a zuko state dict and where its entries stand here.

    Args:
        key: its name there.
        own: the tensor here.
        read: there to here, for a tensor.
        write: here to there.
    """

    def __init__(self, key: str, own: Tensor, read: Any = None, write: Any = None) -> None:
        self.key, self.own = key, own
        self.read = read or (lambda t: t)
        self.write = write or (lambda t: t)


def load(flow: nn.Module, state: Mapping[str, Tensor], *, slope: float | None = None) -> None:
    """Read zuko's weights into a flow of the same build; nothing is changed unless all of them fit.

    Args:
        flow: a flow of `pgcompile.flows`, or the flow of an emitted module (`model.f`).
        state: `zuko_flow.state_dict()`.
        slope: the `slope` that zuko's flow was made with. Its state dict does not say; None if it is the one here.

    Raises:
        ValueError: a weight is missing, left over or of another shape, or the slope or a mask is another one.
    """
    _check_slope(flow, slope)
    slots = list(_slots(flow))
    rest = {k: v for k, v in state.items() if not _derived(k)}
    missing = [slot.key for slot in slots if slot.key not in rest]
    left = sorted({*rest} - {slot.key for slot in slots})
    if missing or left:
        text = f"it lacks {missing[0]}" if missing else f"it has {left[0]} too"
        raise ValueError(f"the state dict is of another flow: {text}")
    values = []
    for slot in slots:
        there = slot.write(slot.own)
        if rest[slot.key].shape != there.shape:
            here = list(there.shape)
            raise ValueError(f"{slot.key} has shape {list(rest[slot.key].shape)} there and {here} here")
        values.append(slot.read(rest[slot.key]))
    for key, mask in _masks(flow).items():
        if key in state and not torch.equal(state[key].cpu(), mask.cpu()):
            raise ValueError(f"{key} is another mask: build the flow with the same order, passes or adjacency")
    with torch.no_grad():
        for slot, value in zip(slots, values, strict=True):
            slot.own.copy_(value)
    for _, transform in () if _is_mixture(flow) else _layers(flow):
        if _kind(transform) == "coupling":
            # Which features it keeps follows from its mask.
            transform.settle(transform.mask.cpu(), transform.mask.device)


def dump(flow: nn.Module) -> dict[str, Tensor]:
    """The state dict that zuko's flow of the same build loads.

    Args:
        flow: a flow of `pgcompile.flows`, or the flow of an emitted module.

    Raises:
        ValueError: the flow has transforms that zuko has not.
    """
    state = {slot.key: slot.write(slot.own.detach()).clone() for slot in _slots(flow)}
    return {**state, **{key: mask.clone() for key, mask in _masks(flow).items()}, **_bases(flow)}


def _composed(flow: nn.Module) -> Any:
    """The composed transform of a flow, or what was given."""
    module = getattr(getattr(flow, "transform", None), "module", flow)
    if not hasattr(module, "transforms"):
        raise ValueError(f"{type(flow).__name__} is no flow: give one of pgcompile.flows, or the flow of a model")
    return module


def _is_mixture(flow: nn.Module) -> bool:
    return type(flow).__name__ == "GMM"


def _layers(flow: nn.Module) -> list[tuple[str, Any]]:
    """The transforms in zuko's places, by their prefix there."""
    flat: list[Any] = []
    for transform in _composed(flow).transforms:
        flat += list(transform.layers) if type(transform).__name__ == "AlternatingCouplings" else [transform]
    if len(flat) == 1 and type(flat[0]).__name__ == "Continuous":
        return [("transform.", flat[0])]
    return [(f"transform.transforms.{i}.", t) for i, t in enumerate(flat)]


def _slots(flow: nn.Module) -> Iterator[Slot]:
    """Every learned tensor, and the masks that were drawn."""
    if _is_mixture(flow):
        yield from _mixture(flow)
        return
    for prefix, transform in _layers(flow):
        if _kind(transform) == "coupling":
            yield Slot(prefix + "mask", transform.mask)
            yield from _perceptron(prefix + "hyper.", transform.net, transform.univariate.parameters_each)
        elif _kind(transform) == "autoregressive":
            if type(transform.net).__name__ == "MaskedMLP":
                yield from _masked(prefix + "hyper.", transform.net)
            else:
                yield from _elementwise(prefix, transform.net)
            yield from _monotone(prefix, transform.univariate)
        elif _kind(transform) == "elementwise":
            yield from _elementwise(prefix, transform)
        elif _kind(transform) == "rotation":
            yield Slot(prefix + "A", transform.skew)
        elif _kind(transform) == "continuous":
            yield from _perceptron(prefix + "ode.", transform.net, 1)
        elif _kind(transform) != "softclip":
            raise ValueError(f"zuko has no {type(transform).__name__} in a ready-made flow")


def _kind(transform: Any) -> str:
    """The kind of a transform, by the classes it is made from, whose copies in emitted modules are other classes."""
    names = {base.__name__ for base in type(transform).__mro__}
    for name in ("Coupling", "Autoregressive", "Elementwise", "Rotation", "Continuous", "Softclip"):
        if name in names:
            return "unknown" if "InverseAutoregressive" in names else name.lower()
    return "unknown"


def _by_parameter(outputs: Tensor, each: int) -> Tensor:
    """Outputs feature by feature -> parameter by parameter."""
    return outputs.reshape(-1, each, *outputs.shape[1:]).transpose(0, 1).flatten(0, 1)


def _by_feature(outputs: Tensor, each: int) -> Tensor:
    """Outputs parameter by parameter -> feature by feature."""
    return outputs.reshape(each, -1, *outputs.shape[1:]).transpose(0, 1).flatten(0, 1)


def _perceptron(prefix: str, net: Any, each: int) -> Iterator[Slot]:
    layers = [(i, layer) for i, layer in enumerate(net) if hasattr(layer, "weight")]
    for i, layer in layers:
        last = i == layers[-1][0]
        for name in ("weight", "bias"):
            key = f"{prefix}{i}.{name}"
            read = (lambda t: _by_parameter(t, each)) if last else None
            write = (lambda t: _by_feature(t, each)) if last else None
            yield Slot(key, getattr(layer, name), read, write)


def _orders(net: Any) -> list[tuple[Tensor | None, Tensor | None]]:
    """Rows and columns of each layer here, by their places there."""
    placed = [*net.placed]
    return list(zip([*placed, None], [None, *placed], strict=True))


def _unsort(tensor: Tensor, order: Tensor | None, dim: int) -> Tensor:
    """The permutation that takes position i here to position order[i] there."""
    return tensor if order is None else tensor.index_select(dim, torch.argsort(order).to(tensor.device))


def _masked(prefix: str, net: Any) -> Iterator[Slot]:
    each = net.parameters_each
    for i, (layer, (rows, columns)) in enumerate(zip(net.layers, _orders(net), strict=True)):
        last = i == len(net.layers) - 1

        def read(t: Tensor, rows: Any = rows, columns: Any = columns, last: bool = last) -> Tensor:
            t = _by_parameter(t, each) if last else t
            t = t if rows is None else t[rows.to(t.device)]
            return t if columns is None or t.dim() == 1 else t[:, columns.to(t.device)]

        def write(t: Tensor, rows: Any = rows, columns: Any = columns, last: bool = last) -> Tensor:
            t = _unsort(t, rows, 0)
            t = t if t.dim() == 1 else _unsort(t, columns, 1)
            return _by_feature(t, each) if last else t

        yield Slot(f"{prefix}{2 * i}.weight", layer.weight, read, write)
        yield Slot(f"{prefix}{2 * i}.bias", layer.bias, read, write)


def _elementwise(prefix: str, transform: Any) -> Iterator[Slot]:
    each = transform.univariate.parameters_each
    if transform.net is not None:
        yield from _perceptron(prefix + "hyper.", transform.net, each)
        return
    start = 0
    for i, shape in enumerate(_shapes(transform.univariate)):
        size = math.prod(shape)
        features = transform.phi.numel() // each
        view = transform.phi.detach().view(each, features)[start : start + size]

        def read(t: Tensor) -> Tensor:
            return t.reshape(len(t), -1).T

        def write(t: Tensor, shape: Any = shape) -> Tensor:
            return t.T.reshape(-1, *shape)

        yield Slot(f"{prefix}phi.{i}", view, read, write)
        start += size


def _shapes(univariate: Any) -> list[tuple[int, ...]]:
    """Shapes of the parameters of a univariate map there, in order."""
    each = univariate.parameters_each
    match type(univariate).__name__:
        case "Spline" | "CircularSpline":
            bins = (each + 1) // 3
            return [(bins,), (bins,), (bins - 1,)]
        case "SumOfSquaresMap":
            return [(univariate.polynomials, univariate.degree + 1), ()]
        case "GaussianizationMap":
            return [(each // 2,), (each // 2,)]
        case "IntegralNet":
            return [(each - 1,), ()]
        case "AffineMap":
            return [(), ()]
    return [(each,)]


def _monotone(prefix: str, univariate: Any) -> Iterator[Slot]:
    name = {"MonotoneNet": "network", "IntegralNet": "integrand"}.get(type(univariate).__name__)
    for i, layer in enumerate(univariate.layers if name else ()):
        yield Slot(f"{prefix}univariate.{name}.{2 * i}.weight", layer.weight)
        yield Slot(f"{prefix}univariate.{name}.{2 * i}.bias", layer.bias)


def _mixture(flow: Any) -> Iterator[Slot]:
    if flow.net is not None:
        yield from _perceptron("hyper.", flow.net, 1)
        return
    k, d = flow.components, flow.features
    rows = (flow.sizes[2] // (1 if flow.covariance == "spherical" else d)) if d else k
    shapes = [(k,), (k, d), (rows, -1), (rows, -1)]
    parts = flow.phi.detach().split(flow.sizes)
    for i, (part, shape) in enumerate(zip(parts, shapes, strict=True)):
        if i < 3 or flow.covariance == "full":
            rest = (lambda t: t.flatten(), lambda t, s=shape: t.reshape(*s) if t.numel() else t.reshape(s[0], 0))
            yield Slot(f"phi.{i}", part, *rest)


def _masks(flow: nn.Module) -> dict[str, Tensor]:
    """Entries that zuko derives from a build and saves: masks and orders of masked nets, times of continuous flows."""
    found: dict[str, Tensor] = {}
    if _is_mixture(flow):
        return found
    for prefix, transform in _layers(flow):
        net: Any = getattr(transform, "net", None)
        if type(net).__name__ == "MaskedMLP":
            for i, (rows, columns) in enumerate(_orders(net)):
                mask = getattr(net, f"mask_{i}")
                mask = _unsort(_unsort(mask, rows, 0), columns, 1)
                last = i == len(net.layers) - 1
                found[f"{prefix}hyper.{2 * i}.mask"] = _by_feature(mask, net.parameters_each) if last else mask
            if len(net.adjacency) > 1:
                steps = {feature: t for t, group in enumerate(net.groups) for feature in group}
                found[prefix + "order"] = torch.tensor([steps[i] for i in range(len(net.adjacency))])
        elif _kind(transform) == "continuous":
            like = transform.net[0].weight
            found[prefix + "times"] = like.new_tensor((0.0, 1.0))
            found[prefix + "freqs"] = torch.arange(1, transform.freqs + 1, device=like.device) * math.pi
    return found


def _bases(flow: nn.Module) -> dict[str, Tensor]:
    """The base's tensors, which zuko saves as buffers."""
    base = getattr(flow, "base", None)
    if base is None:
        return {}
    names = {"low": "lower", "high": "upper"}
    return {f"base.{names.get(k, k)}": v.clone() for k, v in base.arguments.named_buffers()}


def _derived(key: str) -> bool:
    """Tensors of a state dict that follow from how the flow was built."""
    return (
        key.startswith("base.")
        or key.endswith((".order", "times", "freqs"))
        or ("hyper." in key and key.endswith("mask"))
    )


def _check_slope(flow: nn.Module, slope: float | None) -> None:
    for module in flow.modules():
        own = getattr(module, "remembered", {}).get("slope")
        if slope is not None and own is not None and not math.isclose(own, slope, rel_tol=1e-5):
            raise ValueError(f"zuko's flow has slope {slope:g}, this one {own:g}: build it with slope={slope:g}")
