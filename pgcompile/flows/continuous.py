"""Continuous flow: the solution of a differential equation."""

from typing import Any

from pgcompile.flows.ready import ReadyFlow
from pgcompile.runtime.transforms.continuous import Continuous


class CNF(ReadyFlow):
    """Continuous flow (Chen et al. 2018; Grathwohl et al. 2019).

    Args:
        features: number of features.
        context: number of context features.
        options: of `Continuous`: hidden, act, freqs, solver, steps, atol, rtol, trace.

    Examples:
        >>> CNF(2, hidden=(8,), solver="rk4", steps=4)().sample((6,)).shape
        torch.Size([6, 2])
    """

    def __init__(self, features: int, context: int = 0, **options: Any) -> None:
        super().__init__([Continuous(features, context, **options)], (features,), context)
