"""Translation validation: an emitted module against the reference interpreter, at random parameters and data.

Log-densities must agree to rounding. Objectives and their gradients are random where they sample: their means over many
runs must agree within a bound on the z-score that a right program exceeds once in a million checks.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pgcompile.model.values import Atom, Distribution, Extern, ExternNetwork, FamilyUse, Model, ModuleSegment, Net
from pgcompile.objective.terms import OBSERVED
from pgcompile.plan.names import factor_attribute, identifier
from pgcompile.reference import Reference, values_in

if TYPE_CHECKING:
    from pgcompile.program import Program

EXACT = 1e-8
Z_BOUND = 5.0
_BATCH = 3
_GROUPS = 24


@dataclass(frozen=True)
class Check:
    """One comparison.

    Args:
        what: what was compared.
        deviation: the worst relative deviation, or the worst z-score of sampled quantities.
        bound: what it may be at most.
        sampled: whether it is a z-score.
    """

    what: str
    deviation: float
    bound: float
    sampled: bool

    @property
    def passed(self) -> bool:
        """Whether the two sides agree; a deviation that is no number does not."""
        return self.deviation <= self.bound

    def __str__(self) -> str:
        unit = "z" if self.sampled else "relative"
        return f"{'ok  ' if self.passed else 'FAIL'}  {self.what:<44} {self.deviation:10.2e} {unit} (<= {self.bound:g})"


def verify(
    program: Program, supplied: Mapping[str, nn.Module] | None = None, *, seed: int = 0, runs: int = 240
) -> list[Check]:
    """Compare a program's emitted module with the reference interpreter.

    Args:
        program: the compiled program.
        supplied: its extern parts, by the names of the constructor's arguments.
        seed: of parameters, data and noise.
        runs: evaluations of each sampled quantity on either side.
    """
    torch.manual_seed(seed)
    module = program.Model(**(supplied or {})).double().eval()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    bench = _Bench(program, module, seed)
    checks = [bench.density(label) for label in bench.densities()]
    if hasattr(module, "log_prob"):
        checks.append(bench.joint())
    for name in program.analysis.objectives:
        checks += bench.objective(name, runs)
    return checks


class _Bench:
    """A module and a reference with the same weights and data."""

    def __init__(self, program: Program, module: Any, seed: int) -> None:
        self.program = program
        self.model: Model = program.analysis.model
        self.module = module
        generator = torch.Generator().manual_seed(seed)
        self.observed = {
            name: values_in(space.kind, (_BATCH, *space.shape), space.categories, generator)
            for name, space in self.model.spaces.items()
        }
        self.inputs = {
            t.name: values_in(t.space.kind, t.space.shape, None, generator)
            for t in self.model.tensors.values()
            if t.kind == "input"
        }

    def reference(self, replicates: int = 1, inner: int = 1) -> Reference:
        """A fresh reference: it remembers its draws."""
        return Reference(
            self.model, self._modules(), self._tensors(), self.observed, replicates, inner, self._extern_factors()
        )

    def _attribute(self, name: str) -> Any:
        return getattr(self.module, self.program.attributes.get(name, identifier(name)))

    def _modules(self) -> dict[str, Callable[..., Any]]:
        found: dict[str, Callable[..., Any]] = {}
        for net in self.model.nets.values():
            if isinstance(net, ExternNetwork):
                if hasattr(self.module, self.program.attributes.get(net.name, net.name)):
                    found[net.name] = self._attribute(net.name)
                continue
            assert isinstance(net, Net)
            for segment in net.segments or ():
                if isinstance(segment, ModuleSegment) and segment.attribute in self.program.attributes:
                    found[segment.attribute] = self._attribute(segment.attribute)
        return found

    def _tensors(self) -> dict[str, Tensor]:
        """Params in their spaces, mapped here by hand."""
        found = dict(self.inputs)
        for tensor in self.model.tensors.values():
            plain = self.program.attributes.get(tensor.name)
            if tensor.kind == "input":
                continue
            if plain is not None:
                found[tensor.name] = getattr(self.module, plain)
            elif f"free_{tensor.name}" in self.program.attributes:
                found[tensor.name] = _mapped(tensor.space.kind, self._attribute(f"free_{tensor.name}"))
        return found

    def _extern_factors(self) -> dict[str, Callable[..., torch.distributions.Distribution]]:
        return {
            f.label: getattr(self.module, f"extern_{factor_attribute(f)}")
            for f in self.model.factors
            if isinstance(f.definition, Extern)
        }

    # --- exact quantities ---

    def densities(self) -> list[str]:
        """Factors whose log-density can be computed."""
        return [f.label for f in self.model.factors if not _is_point(f.definition)]

    def density(self, label: str) -> Check:
        """One factor's log-density."""
        factor = next(f for f in self.model.factors if f.label == label)
        values = {v: self.observed[v] for v in (*factor.targets, *factor.parents)}
        found = self.module.log_prob_of(label, **values)
        expected = self.reference().log_density(Distribution((Atom(factor),)), OBSERVED)
        return Check(f"log {label}", _relative(found, expected), EXACT, False)

    def joint(self) -> Check:
        """The joint of the generative factors."""
        part = self.program.generative
        assert part is not None
        found = self._call(self.module.log_prob)
        return Check("log_prob", _relative(found, self.reference().log_density(part, OBSERVED)), EXACT, False)

    def _call(self, method: Callable[..., Tensor]) -> Tensor:
        wanted = inspect.signature(method).parameters
        values = {identifier(k): v for k, v in {**self.observed, **self.inputs}.items()}
        return method(**{k: v for k, v in values.items() if k in wanted})

    # --- sampled quantities ---

    def objective(self, name: str, runs: int) -> list[Check]:
        """An objective's value for every data point, and its gradient along random directions."""
        term = self.program.analysis.objectives[name]
        method = getattr(self.module, identifier(name))
        parameters = [p for p in self.module.parameters() if p.requires_grad]
        directions = [torch.randn_like(p) for p in parameters]

        def slope(value: Tensor) -> Tensor:
            """The derivative of the mean along the directions."""
            if not value.requires_grad:
                return torch.zeros((), dtype=torch.float64)
            found = torch.autograd.grad(value.mean(), parameters, allow_unused=True)
            parts = [(g * d).sum() for g, d in zip(found, directions, strict=True) if g is not None]
            return torch.stack(parts).sum() if parts else torch.zeros((), dtype=torch.float64)

        mine, mine_slopes, theirs, their_slopes = [], [], [], []
        each = max(runs // _GROUPS, 1)
        for _ in range(_GROUPS):
            values = [self._call(method) for _ in range(each)]
            mine.append(torch.stack(values).mean(0).detach().expand(_BATCH))
            mine_slopes.append(slope(torch.stack(values)))
            value = self.reference(each * 4, 200).term(term)
            reduced = value if value.ndim < 2 else value.mean(tuple(range(value.ndim - 1)))
            theirs.append(reduced.detach().expand(_BATCH))
            their_slopes.append(slope(value))
        return [
            _sampled(f"{name}", torch.stack(mine), torch.stack(theirs)),
            _sampled(f"gradient of {name}", torch.stack(mine_slopes), torch.stack(their_slopes)),
        ]


def _is_point(definition: object) -> bool:
    return isinstance(definition, FamilyUse) and definition.family.name == "Delta"


def _relative(found: Tensor, expected: Tensor) -> float:
    """The worst deviation relative to the size of what is compared."""
    same = (found == expected) | (found.isnan() & expected.isnan())
    error = (found - expected).abs() / expected.abs().clamp(min=1.0)
    return float(torch.where(same, 0.0, error).max().detach())


def _sampled(what: str, mine: Tensor, theirs: Tensor) -> Check:
    """Group means of both sides: a relative deviation where neither is random, else a z-score."""
    gap = (mine.mean(0) - theirs.mean(0)).abs()
    size = theirs.mean(0).abs().clamp(min=1.0)
    error = ((mine.var(0) + theirs.var(0)) / len(mine)).sqrt()
    if float((error / size).max()) < 1e-10:
        return Check(what, float((gap / size).max()), EXACT, False)
    # Means of a few dozen groups: Student's t with 46 degrees, whose tail at 5 is about 1e-5; rounding is not a fault.
    score = torch.where(gap <= EXACT * size, torch.zeros_like(gap), gap / error.clamp(min=1e-300))
    worst = float(score.max())
    return Check(what, worst if math.isfinite(worst) else math.inf, Z_BOUND, True)


def _mapped(kind: str, free: Tensor) -> Tensor:
    """A free parameter in its space."""
    match kind:
        case "positive" | "nonnegative":
            return F.softplus(free)
        case "unit_interval":
            return torch.sigmoid(free)
        case "simplex":
            return free.softmax(-1)
        case _:
            tril = free.tril(-1) + torch.diag_embed(F.softplus(free.diagonal(dim1=-2, dim2=-1)))
            return tril if kind == "lower_cholesky" else tril @ tril.mT
