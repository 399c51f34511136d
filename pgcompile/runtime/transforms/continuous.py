"""Continuous flows: the solution of a differential equation (Chen et al. 2018; Grathwohl et al. 2019)."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pgcompile.runtime.transforms.bijection import Bijection
from pgcompile.runtime.transforms.networks import ContextMLP

__all__ = ["Continuous"]


class Continuous(Bijection):
    """dx/dt = net(t, x, context) from t = 0 (data) to t = 1 (base); the log-determinant is the integral of the trace.

    With `solver="dopri5"` the number of steps depends on the values, so it has no
    `torch.compile(fullgraph=True)`, `torch.export` or `vmap`; `rk4` has.

    Args:
        features: number of features.
        context: number of context features.
        hidden: hidden units of the net.
        act: its activation: nn.ELU, nn.Tanh, nn.Softplus, nn.SiLU, nn.Sigmoid or nn.ReLU.
        freqs: number of frequencies that time is given by.
        solver: `rk4` with fixed steps, or `dopri5` with steps by tolerance.
        steps: number of steps of `rk4`.
        atol: absolute tolerance of `dopri5`.
        rtol: relative tolerance of `dopri5`.
        trace: `exact`, or `hutchinson` for an unbiased estimate (Hutchinson 1989).

    Raises:
        ValueError: an unknown solver, trace or activation.
    """

    argument = "features"
    takes = "vector"
    conditional = True
    domain = "real"
    codomain = "real"
    shape_rule = "same"
    rearranges = False
    options = {
        "hidden": {"kind": "sizes", "entries": 1},
        "act": {
            "kind": "activation",
            "words": ("ELU", "Tanh", "Softplus", "SiLU", "Sigmoid", "ReLU"),
        },
        "freqs": {"kind": "integer", "at_least": 0},
        "solver": {"kind": "word", "words": ("rk4", "dopri5")},
        "steps": {"kind": "integer", "at_least": 1},
        "atol": {"kind": "real", "above": 0},
        "rtol": {"kind": "real", "at_least": 0},
        "trace": {"kind": "word", "words": ("exact", "hutchinson")},
    }

    def __init__(
        self,
        features: int,
        context: int = 0,
        hidden: tuple = (64, 64),
        act: type = nn.ELU,
        freqs: int = 3,
        solver: str = "rk4",
        steps: int = 20,
        atol: float = 1e-6,
        rtol: float = 1e-5,
        trace: str = "exact",
    ):
        super().__init__()
        for name, value, known in (
            ("solver", solver, ("rk4", "dopri5")),
            ("trace", trace, ("exact", "hutchinson")),
        ):
            if value not in known:
                raise ValueError(
                    f"there is no {name} {value!r}: write {' or '.join(known)}"
                )
        if act not in ACTIVATION_SLOPES:
            names = ", ".join(a.__name__ for a in ACTIVATION_SLOPES)
            raise ValueError(f"{act.__name__} has no slope here: use one of {names}")
        if not hidden:
            raise ValueError(
                "the net of a continuous flow has hidden units: give `hidden` at least one number"
            )
        self.net = ContextMLP(features + context + 2 * freqs, features, hidden, act)
        self.slope = ACTIVATION_SLOPES[act]
        self.freqs, self.solver, self.steps = freqs, solver, steps
        self.atol, self.rtol, self.trace = atol, rtol, trace
        self.remember(freqs=freqs, steps=steps, atol=atol, rtol=rtol)

    def forward(self, x: Tensor, context: Tensor | None = None):
        """x [..., D] -> y [..., D], log |det dy/dx| [...]."""
        return self.integrate(x, context, 0.0, 1.0)

    def inverse(self, y: Tensor, context: Tensor | None = None):
        """y [..., D] -> x [..., D], log |det dx/dy| [...]."""
        return self.integrate(y, context, 1.0, 0.0)

    def integrate(self, x: Tensor, context: Tensor | None, start: float, stop: float):
        """The state and the log-determinant at `stop`."""
        noise = torch.randn_like(x) if self.trace == "hutchinson" else None
        ladj = torch.zeros_like(x[..., :1])

        def rate(t, state):
            return torch.cat(self.rates(t, state[..., :-1], context, noise), -1)

        state = torch.cat((x, ladj), -1)
        t = x.new_full((), start)
        if self.solver == "rk4":
            state = rk4(rate, state, t, stop - start, self.steps)
        else:
            # The log-determinant may err a hundred times as much as the state.
            scale = torch.ones_like(state[..., :1]).expand(state.shape).clone()
            scale[..., -1] = 0.01
            scaled = dopri5(
                lambda t, s: rate(t, s / scale) * scale,
                state,
                t,
                stop - start,
                self.atol,
                self.rtol,
            )
            state = scaled / scale
        return state[..., :-1], state[..., -1]

    def rates(self, t: Tensor, x: Tensor, context: Tensor | None, noise: Tensor | None):
        """dx/dt and its trace [..., 1]: tangents are carried through the net along with its values."""
        turns = (
            torch.arange(1, self.freqs + 1, device=x.device, dtype=x.dtype)
            * math.pi
            * t
        )
        time = torch.cat((turns.cos(), turns.sin())).expand(
            *x.shape[:-1], 2 * self.freqs
        )
        h = torch.cat((time, x) if context is None else (time, x, context), -1)
        first, *rest = self.net
        columns = first.weight[:, 2 * self.freqs : 2 * self.freqs + x.shape[-1]]
        tangent = columns.mT if noise is None else F.linear(noise, columns)
        h = first(h)
        for act, layer in zip(rest[::2], rest[1::2]):
            slope = self.slope(h)
            tangent = tangent * (slope.unsqueeze(-2) if noise is None else slope)
            h = layer(act(h))
            if layer is rest[-1] and noise is None:
                return h, (tangent * layer.weight).sum((-2, -1)).unsqueeze(-1)
            tangent = F.linear(tangent, layer.weight)
        return h, (tangent * noise).sum(-1, keepdim=True)


ACTIVATION_SLOPES = {
    nn.ELU: lambda x: x.clamp(max=0).exp(),
    nn.Tanh: lambda x: 1 - x.tanh().square(),
    nn.Softplus: torch.sigmoid,
    nn.SiLU: lambda x: torch.sigmoid(x) * (1 + x * torch.sigmoid(-x)),
    nn.Sigmoid: lambda x: torch.sigmoid(x) * torch.sigmoid(-x),
    nn.ReLU: lambda x: (x > 0).to(x.dtype),
}


def rk4(rate, state: Tensor, t: Tensor, span: float, steps: int) -> Tensor:
    """The classical rule of Runge and Kutta with equal steps."""
    dt = span / steps
    for _ in range(steps):
        k1 = rate(t, state)
        k2 = rate(t + dt / 2, state + k1 * (dt / 2))
        k3 = rate(t + dt / 2, state + k2 * (dt / 2))
        k4 = rate(t + dt, state + k3 * dt)
        state = state + (k1 + 2 * k2 + 2 * k3 + k4) * (dt / 6)
        t = t + dt
    return state


def dopri5(
    rate, state: Tensor, t: Tensor, span: float, atol: float, rtol: float
) -> Tensor:
    """The rule of Dormand and Prince (1980), with steps such that the error estimate stays in tolerance."""
    left, dt = abs(span), abs(span)
    sign = 1.0 if span > 0 else -1.0
    while state.numel() and left > 1e-12 * abs(span):
        dt = min(dt, left)
        new, error = dopri5_step(rate, state, t, sign * dt)
        bound = atol + rtol * torch.maximum(state.abs(), new.abs())
        worst = max(float((error.abs() / bound).detach().max()), 1e-9)
        if not math.isfinite(worst) or dt < 1e-9 * abs(span):
            raise ArithmeticError(
                "the differential equation of the flow is too stiff: its step shrank to nothing"
            )
        if worst < 1:
            state, t, left = new, t + sign * dt, left - dt
        dt *= min(10.0, max(0.1, 0.9 / worst**0.2))
    return state


def dopri5_step(rate, x: Tensor, t: Tensor, dt: float):
    """One step and its error estimate."""
    table = [
        [1 / 5],
        [3 / 40, 9 / 40],
        [44 / 45, -56 / 15, 32 / 9],
        [19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729],
        [9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656],
        [35 / 384, 0.0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84],
    ]
    times = [0.2, 0.3, 0.8, 8 / 9, 1.0, 1.0]
    slopes = [rate(t, x)]
    at = x
    for row, share in zip(table, times):
        at = x + dt * sum(a * k for a, k in zip(row, slopes) if a)
        slopes.append(rate(t + share * dt, at))
    error = [
        71 / 57600,
        0.0,
        -71 / 16695,
        71 / 1920,
        -17253 / 339200,
        22 / 525,
        -1 / 40,
    ]
    return at, dt * sum(e * k for e, k in zip(error, slopes) if e)
