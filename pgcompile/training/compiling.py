"""`--compile`: losses through `torch.compile`; of sequences the loops over places, some of them at a time.

A loop that is compiled whole is unrolled: the time that takes grows with the number of places. A loop of an emitted
class is a method, `_elbo_turns(carried, places, ...)`: a few places of it are compiled, and called again for the next.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

PLACES = 16
"""Places that are compiled together: more take longer to compile, fewer are called more often."""

Loss = Callable[..., Tensor]


def compiled_losses(model: nn.Module, losses: dict[str, Loss], mode: str) -> dict[str, Loss]:
    """The losses of a model, compiled.

    Args:
        model: an emitted module.
        losses: by name.
        mode: of `torch.compile`.
    """
    loops = [name for name in dir(type(model)) if name.startswith("_") and "_turns" in name]
    if not loops:
        return {name: torch.compile(loss, fullgraph=True, mode=mode) for name, loss in losses.items()}
    made = {name: by_places(getattr(model, name), mode) for name in loops}
    return {name: _with(model, made, loss) for name, loss in losses.items()}


def _with(model: nn.Module, loops: dict[str, Callable[..., Any]], loss: Loss) -> Loss:
    """A loss that has other loops while it runs; a copy of the model, such as its average, keeps its own."""

    def run(*args: Any, **kwargs: Any) -> Tensor:
        model.__dict__.update(loops)
        try:
            return loss(*args, **kwargs)
        finally:
            for name in loops:
                del model.__dict__[name]

    return run


def by_places(turns: Callable[..., Any], mode: str) -> Callable[..., Any]:
    """A loop over places, some of them compiled and called as often as it takes.

    Args:
        turns: takes what is carried, the places of each sequence, and what is the same at all of them; gives what is
            carried on and what is kept, the places first.
        mode: of `torch.compile`.
    """
    some = torch.compile(turns, fullgraph=True, mode=mode, dynamic=False)

    def run(carried: tuple[Tensor, ...], places: tuple[Any, ...], *given: Any) -> tuple[Any, Any]:
        kept: list[tuple[Tensor, ...]] = []
        count = len(places[0])
        whole = count - count % PLACES
        for start in range(0, whole, PLACES):
            carried, here = some(carried, tuple(part[start : start + PLACES] for part in places), *given)
            kept.append(here)
        if whole < count:
            carried, here = turns(carried, tuple(part[whole:] for part in places), *given)
            kept.append(here)
        return carried, tuple(map(torch.cat, zip(*kept, strict=True)))

    return run
