"""A module and a reference with the same weights and the same data."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pgcompile.diagnostics import InternalError
from pgcompile.model.distributions import Distribution
from pgcompile.model.factors import FamilyUse
from pgcompile.model.kinds import expressions_of, kind_of
from pgcompile.model.learned import learnables_of
from pgcompile.model.literals import evaluate
from pgcompile.model.model import Model
from pgcompile.model.names import factor_attribute, identifier
from pgcompile.model.nets import ExternNetwork, ModuleSegment, Net
from pgcompile.model.variable import Variable, variables
from pgcompile.objective.dependence import closure
from pgcompile.objective.terms import OBSERVED, DrawKey
from pgcompile.plan.values import Noise as Planned
from pgcompile.plan.values import Value
from pgcompile.reference import Reference
from pgcompile.reference.draws import Noise
from pgcompile.reference.spaces import values_in
from pgcompile.syntax import tree
from pgcompile.syntax.tree import names_in
from pgcompile.verification.recording import Call, noise_of, recording
from pgcompile.verification.supports import within_supports

if TYPE_CHECKING:
    from pgcompile.compiled import Compiled

BATCH = 3


class Harness:
    """An emitted module in float64 at random parameters, random data, and references that see the same."""

    def __init__(self, program: Compiled, supplied: Mapping[str, nn.Module] | None, seed: int) -> None:
        torch.manual_seed(seed)
        self.program = program
        self.model: Model = program.analysis.model
        before = torch.get_default_dtype()
        torch.set_default_dtype(torch.float64)  # tables of literal numbers are made in it
        try:
            self.module: Any = program.made(supplied).double().eval()
        finally:
            torch.set_default_dtype(before)
        with torch.no_grad():
            for name, parameter in self.module.named_parameters():
                # Nets of flows are deep: with wide layers the Jacobian would soon have no inverse in float64.
                wide = parameter[0].numel() if name.split(".")[0] in self.model.flows and parameter.dim() > 1 else 1
                parameter.add_(0.1 / wide**0.5 * torch.randn_like(parameter))
        for part in self.module.modules():
            if type(part).__name__ == "Dequantise":
                part.noise = _midpoint  # an interpreter that adds other noise could not agree
            if type(part).__name__ == "Continuous":
                # The integral of the trace and the determinant of the discrete map are one in the limit.
                part.steps, part.atol, part.rtol = 8 * part.steps, 1e-10, 1e-10
        self.parameters = {n: p for n, p in self.module.named_parameters() if p.requires_grad}
        self.directions = {name: torch.randn_like(p) for name, p in self.parameters.items()}
        generator = torch.Generator().manual_seed(seed)
        self.observed = {
            name: values_in(space.kind, (BATCH, *_sizes(self.model, name)), space.categories, generator)
            for name, space in self.model.spaces.items()
            if name in self.model.variables
        }
        for factor in self.model.factors:
            if isinstance(factor.definition, FamilyUse) and factor.definition.family.name == "Multinomial":
                # Counts of one multinomial have its sum.
                count = evaluate(dict(factor.definition.parameters)["total_count"], self.model.constants)
                shape = self.model.spaces[factor.targets[0]].shape
                assert isinstance(count, Fraction)
                drawn = torch.randint(0, shape[-1], (int(count), BATCH, *shape[:-1]), generator=generator)
                self.observed[factor.targets[0]] = F.one_hot(drawn, shape[-1]).sum(0).double()
            elif isinstance(factor.definition, FamilyUse) and factor.definition.family.name == "VaryingMultinomial":
                # So have those of a number that the data says: it is the number of the counts.
                number = dict(factor.definition.parameters)["total_count"]
                if isinstance(number, tree.Name) and number.id in self.observed:
                    self.observed[number.id] = self.observed[factor.targets[0]].sum(-1)
        self.complete = dict(self.observed)
        for name in [n for n in self.observed if self.model.spaces[n].optional]:
            kind, value = self.model.spaces[name].kind, self.observed[name]
            whole = kind in ("one_hot", "simplex")  # of which there is no part
            lacking = torch.rand(value.shape[:-1] if whole else value.shape, generator=generator) < 0.4
            lacking = lacking.unsqueeze(-1).expand(value.shape) if whole else lacking
            self.observed[name] = value.masked_fill(lacking, -1 if kind == "category" else torch.nan)
        self.inputs = {
            t.name: values_in(t.space.kind, t.space.shape, None, generator)
            for t in self.model.tensors.values()
            if t.kind == "input"
        }
        if hasattr(self.module, "factor"):
            within_supports(self.module, self.model, self.observed, self.inputs)
        self._observe_formulas()

    def _observe_formulas(self) -> None:
        """Give the deterministic variables that the module can compute the values of their formulas."""
        unknown, left_out = set[str](), self._left_out()
        for name, factor in self.model.deterministic.items():
            if unknown & {*factor.parents} or learnables_of(factor, self.model) & left_out:
                unknown.add(name)  # nothing that the module has uses it
                continue
            # Where one is scored, it takes values that its formula has.
            with torch.no_grad():
                value = self.reference().variable(Variable(name), OBSERVED).tensor
            self.observed[name] = value.expand(BATCH, *self.model.spaces[name].shape).clone()

    def reference(
        self,
        replicates: int = 1,
        inner: int = 1,
        noise: Mapping[DrawKey, tuple[Noise, ...]] | None = None,
        observed: Mapping[str, Tensor] | None = None,
        *,
        shared: bool = False,
        integrates: bool = False,
    ) -> Reference:
        """A fresh reference: it remembers its draws."""
        return Reference(
            self.model,
            self._modules(),
            self._tensors(),
            self.observed if observed is None else observed,
            replicates,
            inner,
            self._extern_factors(),
            noise or {},
            shared,
            integrates=integrates,
        )

    # --- the module ---

    def call(self, name: str, replicates: int = 0) -> Any:
        """A method by its name, on the data and inputs that it asks for; the data repeated if `replicates` is not 0."""
        method = getattr(self.module, identifier(name))
        wanted = inspect.signature(method).parameters
        observed = {k: v.expand(replicates, *v.shape) if replicates else v for k, v in self.observed.items()}
        values = {identifier(k): v for k, v in {**observed, **self.inputs}.items()}
        return method(**{k: v for k, v in values.items() if k in wanted})

    def asks(self, name: str) -> bool:
        """True if a method has a variable among its arguments."""
        wanted = inspect.signature(getattr(self.module, identifier(name))).parameters
        return any(identifier(k) in wanted for k in self.observed)

    def runs(self, name: str, count: int) -> tuple[list[Any], list[list[Call]]]:
        """Results of several runs of a method, and what each drew."""
        results: list[Any] = []
        calls: list[list[Call]] = []
        for _ in range(count):
            with recording(self.module) as made:
                results.append(self.call(name))
            calls.append(made)
        return results, calls

    def replicated(self, name: str, count: int) -> tuple[Any, dict[DrawKey, tuple[Noise, ...]]]:
        """One run of a method on the data repeated along a dimension of its own, which its noise has too."""
        with recording(self.module) as made:
            result = self.call(name, count)
        return result, noise_of(_plain(self.program.noise[name]), [made], replicated=True)

    def noise(self, name: str, calls: Sequence[Sequence[Call]]) -> dict[DrawKey, tuple[Noise, ...]]:
        """The noise of runs of a method, for a reference."""
        return noise_of(_plain(self.program.noise[name]), calls)

    def slopes(self, value: Tensor, *, again: bool = False) -> Tensor:
        """The derivative of a scalar along the direction of each parameter; `again` if more will be taken."""
        zero = torch.zeros((), dtype=torch.float64)
        if not value.requires_grad or not self.parameters:
            return zero.expand(len(self.parameters))
        found = torch.autograd.grad(value, list(self.parameters.values()), retain_graph=again, allow_unused=True)
        directions = self.directions.values()
        return torch.stack([zero if g is None else (g * d).sum() for g, d in zip(found, directions, strict=True)])

    def conditions(self) -> dict[str, Tensor]:
        """Variables that the sampler must be given, a value of each without batch dimensions."""
        part = self.program.generative
        assert part is not None
        wanted = [v.name for v in closure(variables(part.parent_names), self.model)]
        wanted = [v for v in self.model.variables if v in wanted and v not in self.model.deterministic]
        return {v: self.observed[v][0] for v in dict.fromkeys(wanted) if v not in part.target_names}

    def inputs_of(self, distribution: Distribution) -> dict[str, Tensor]:
        """Values of the `input`s that its factors, and the deterministic variables above them, speak of."""
        found: set[str] = set()
        pending = [atom.factor for atom in distribution.atoms]
        while pending:
            factor = pending.pop()
            found |= {name for expr in expressions_of(factor) for name in names_in(expr)}
            pending += [self.model.deterministic[p] for p in factor.parents if p in self.model.deterministic]
        return {name: value for name, value in self.inputs.items() if name in found}

    # --- what both share ---

    def _attribute(self, name: str) -> Any:
        return getattr(self.module, self.program.attributes.get(name, identifier(name)))

    def _left_out(self) -> set[str]:
        """Nets that the module does not have, since nothing that it computes uses them."""
        made = self._modules()
        return {
            name
            for name, net in self.model.nets.items()
            if isinstance(net, Net)
            and any(isinstance(s, ModuleSegment) and s.attribute not in made for s in net.segments or ())
        }

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
        for flow in self.model.flows:
            if flow in self.program.attributes:
                found[flow] = self._attribute(flow)
        return found

    def _tensors(self) -> dict[str, Tensor]:
        """Params in their spaces, mapped here by hand."""
        found = dict(self.inputs)
        for tensor in self.model.tensors.values():
            plain = self.program.attributes.get(tensor.name)
            if tensor.kind == "input":
                continue
            if plain is not None:
                value = getattr(self.module, plain)
                found[tensor.name] = value.tril() if tensor.space.kind == "lower_triangular" else value
            elif f"free_{tensor.name}" in self.program.attributes:
                found[tensor.name] = _mapped(tensor.space.kind, self._attribute(f"free_{tensor.name}"))
        return found

    def _extern_factors(self) -> dict[str, Callable[..., torch.distributions.Distribution]]:
        return {
            f.label: getattr(self.module, f"extern_{factor_attribute(f)}")
            for f in self.model.factors
            if kind_of(f).supplied
        }


_RUN = 4  # places of a run of a sequence


def _sizes(model: Model, name: str) -> tuple[int, ...]:
    """The event shape of a variable; of a run of places, with a few."""
    shape, lag = model.spaces[name].shape, model.indices.lags.get(name)
    return (_RUN, *shape[1:]) if lag is not None and lag.is_run else shape


def _plain(noise: Sequence[Planned]) -> list[Value]:
    """The draws of a method without loops over an index."""
    found = [draw for draw in noise if isinstance(draw, Value)]
    if len(found) < len(noise):
        raise InternalError("a method of sequences was run as one of single places")
    return found


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


def _midpoint(x: Tensor) -> Tensor:
    """The mean of the noise that a dequantisation adds."""
    return torch.full_like(x, 0.5)
