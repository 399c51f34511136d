"""Random draws of an emitted method, recorded while it runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from pgcompile.objective.terms import DrawKey
from pgcompile.plan.values import Value
from pgcompile.reference.draws import Noise

_TORCH = {
    torch.randn_like: "randn_like",
    torch.rand_like: "rand_like",
    torch._standard_gamma: "standard_gamma",
    torch.bernoulli: "bernoulli",
    torch.poisson: "poisson",
}
# Functions of the emitted file that draw: one entry each, whatever they draw inside.
_OWN = {
    "draw_category": "category",
    "draw_binomial": "binomial",
    "draw_multinomial": "multinomial",
    "draw_counts": "counts",
    "draw_von_mises": "von_mises",
    "draw_sphere_lack": "sphere_lack",
    "draw_from": "",
}
_KINDS = {"randn_like": "normal", "rand_like": "uniform", "exponential_like": "uniform", "standard_gamma": "gamma"}


@dataclass(frozen=True)
class Call:
    """One call that drew: the operation, its result and its tensor arguments."""

    op: str
    value: Tensor
    arguments: tuple[Tensor, ...]


@dataclass
class _Recorder(TorchFunctionMode):
    """Keeps every random number that torch's functions give."""

    calls: list[Call] = field(default_factory=list)
    quiet: bool = False

    def __post_init__(self) -> None:
        super().__init__()

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        op = _TORCH.get(func)
        if op is not None and not self.quiet:
            arguments = tuple(a.detach() for a in args if isinstance(a, Tensor))
            self.calls.append(Call(op, result.detach(), arguments if op not in ("randn_like", "rand_like") else ()))
        return result

    def wrapped(self, name: str, function: Callable[..., Tensor]) -> Callable[..., Tensor]:
        """A drawing function of the emitted file, kept as one call."""

        def run(*args: Any) -> Tensor:
            before, self.quiet = self.quiet, True
            try:
                value = function(*args)
            finally:
                self.quiet = before
            arguments = tuple(a.detach() for a in args if isinstance(a, Tensor))
            self.calls.append(Call(_OWN[name], value.detach(), arguments))
            return value

        return run


@contextmanager
def recording(module: torch.nn.Module) -> Iterator[list[Call]]:
    """The calls that draw while a method of an emitted module runs."""
    names: dict[str, Any] = type(module).__init__.__globals__
    recorder = _Recorder()
    before = {name: names[name] for name in _OWN if name in names}
    names.update({name: recorder.wrapped(name, function) for name, function in before.items()})
    try:
        with recorder:
            yield recorder.calls
    finally:
        names.update(before)


class DrawsDiffer(Exception):
    """A method did not draw what its plan says."""


def noise_of(
    planned: Sequence[Value], runs: Sequence[Sequence[Call]], *, replicated: bool = False
) -> dict[DrawKey, tuple[Noise, ...]]:
    """The noise of each draw, from several runs of one method.

    Args:
        planned: what the method draws, in order.
        runs: the calls of each run; they become the replicates.
        replicated: whether the only run had the replicates as its first batch dimension.

    Raises:
        DrawsDiffer: the calls are not the planned ones.
    """

    def together(value: Value, tensors: list[Tensor]) -> Tensor:
        if replicated and value.batched:
            return tensors[0].movedim(len(value.axes), 0)
        return torch.stack(tensors)

    wanted = ["" if v.op == "extern_draw" else v.op for v in planned]
    for calls in runs:
        made = [call.op for call in calls]
        if made != ["rand_like" if op == "exponential_like" else op for op in wanted]:
            raise DrawsDiffer(f"it draws {', '.join(made) or 'nothing'}; planned are {', '.join(wanted) or 'none'}")
    found: dict[DrawKey, list[tuple[tuple[str, str], Noise]]] = {}
    for position, value in enumerate(planned):
        if value.source is None or not wanted[position]:
            continue  # a supplied factor draws as it likes
        identity, *role = value.source
        noise = Noise(
            _KINDS.get(value.op, "draw"),
            together(value, [calls[position].value for calls in runs]),
            tuple(
                together(value, [calls[position].arguments[i] for calls in runs])
                for i in range(len(runs[0][position].arguments))
            ),
            tuple(axis.owner for axis in value.axes),
            value.batched,
        )
        # `(1,)`, `(2,)`: several noises of one draw are told apart by their last argument.
        found.setdefault(identity, []).append(((role[0], role[1].rstrip(",)").split(", ")[-1]), noise))
    ordered = {key: sorted(items, key=lambda item: item[0]) for key, items in found.items()}
    return {
        key: tuple(noise for _, noise in items)
        for key, items in ordered.items()
        # Two draws of one key, which differ in the draws around them, cannot be told apart.
        if len({role for role, _ in items}) == len(items)
    }
