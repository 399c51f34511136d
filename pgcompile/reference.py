"""The reference interpreter: a model and its objectives computed directly with `torch.distributions`, in float64.

It is what the compiler is checked against, so it shares nothing with it: no rewriting, no closed forms beyond
`log_prob`, no plan, no emitted code. An expectation is a mean over draws, a divergence the mean of a difference of
log-densities. It is slow, and plain enough to be checked by reading.
"""

import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import torch
import torch.distributions as D
from torch import Tensor

from pgcompile.diagnostics import InternalError
from pgcompile.model.literals import evaluate, flatten, shape_of
from pgcompile.model.values import (
    Atom,
    Constant,
    Distribution,
    ExprSegment,
    Extern,
    ExternNetwork,
    FamilyUse,
    FlowUse,
    FunctionSegment,
    LogDensityUse,
    Mixture,
    Model,
    ModuleSegment,
    Net,
    NetSegment,
    Pushforward,
)
from pgcompile.model.variable import Variable, shown
from pgcompile.objective import terms
from pgcompile.objective.dependence import formula_parents
from pgcompile.objective.terms import Draw, DrawKey, Env, Term, point
from pgcompile.reference_draws import Choice, Noise, draw_from_noise, relaxed_from_noise
from pgcompile.reference_flows import PushedBack
from pgcompile.reference_integrals import BeyondBruteForce, integral_of_gaussian, line_of
from pgcompile.syntax import tree
from pgcompile.vocabulary.functions import FUNCTIONS
from pgcompile.vocabulary.spaces import Space, contains

Modules = Mapping[str, Callable[..., Tensor | tuple[Tensor, ...]]]


@dataclass(frozen=True)
class Field:
    """A tensor of `[..., event shape]`; `rank` counts its event dimensions."""

    tensor: Tensor
    rank: int


def aligned(a: Field, b: Field) -> tuple[Tensor, Tensor, int]:
    """Two fields with event dimensions appended to the one that has fewer: a scalar combines with each entry."""
    rank = max(a.rank, b.rank)
    return raised(a.tensor, rank - a.rank), raised(b.tensor, rank - b.rank), rank


def raised(value: Tensor, count: int) -> Tensor:
    """With ones appended to its shape."""
    return value[(..., *[None] * max(count, 0))]


@dataclass(eq=False)
class Reference:
    """Interprets a model.

    Args:
        model: the model.
        modules: the layers of each segment of a net, by its attribute, and supplied nets by their name.
        tensors: values of params, buffers and inputs, by name.
        observed: values of observed variables, `[batch, event]`.
        replicates: independent runs of every estimator, as a leading dimension.
        inner: draws with which a divergence or entropy is averaged.
        externs: supplied factors by label: a function of the parents that gives a distribution.
        noise: noise of some draws; the others draw for themselves.
        shared: whether divergences use that noise too, as an estimator does that samples them.

    After use, `own_draws` are the variables that it drew for itself, and `compared` what given noise was drawn with
    beside what it should have been drawn with, by variable.
    """

    model: Model
    modules: Modules
    tensors: Mapping[str, Tensor]
    observed: Mapping[str, Tensor]
    replicates: int = 1
    inner: int = 1
    externs: Mapping[str, Callable[..., D.Distribution]] = field(default_factory=dict)
    noise: Mapping[DrawKey, tuple[Noise, ...]] = field(default_factory=dict)
    shared: bool = False
    own_draws: set[str] = field(default_factory=set)
    compared: list[tuple[str, Tensor, Tensor]] = field(default_factory=list)
    _drawn: dict[DrawKey, Field] = field(default_factory=dict)
    _weighed_outside: bool = False
    _points: Iterator[int] = field(default_factory=itertools.count)

    # --- variables ---

    def variable(self, variable: Variable, env: Env) -> Field:
        """A variable: drawn, deterministic or observed."""
        draw, name = env.get(variable), variable.name
        if draw is not None and draw.gives_data(variable):
            return Field(self.observed[name], len(self.model.spaces[name].shape))
        if draw is not None:
            return self._draw(draw, variable)
        if variable.is_named and name in self.model.deterministic:
            definition = self.model.deterministic[name].definition
            return self._evaluate(definition.expr, self._scope(env, {}, definition.bindings))  # type: ignore[union-attr]
        rank = len(self.model.spaces[name].shape)
        return Field(self.observed[name], rank)

    def _draw(self, draw: Draw, name: Variable) -> Field:
        """One variable of a draw, the same for every term that speaks of it."""
        key = (draw, name)
        if key not in self._drawn:
            atom = draw.atom_of(name)
            assert atom is not None
            distribution = self.distribution(atom, draw.inside)
            rank = len(self.model.spaces[atom.factor.targets[0]].shape)
            given = self.noise.get((draw, name))
            value = (
                self._own(draw, name, distribution) if given is None else self._given(draw, name, distribution, given)
            )
            self._drawn[key] = Field(value.double() if value.is_floating_point() else value, rank)
        return self._drawn[key]

    def _own(self, draw: Draw, name: Variable, distribution: D.Distribution) -> Tensor:
        """A draw with torch's own noise."""
        if not _is_point(distribution):
            self.own_draws.add(str(name))
        lead = self._lead(draw)
        # Dimensions that its parents bring along (a nested draw, an earlier variable) are not drawn again.
        shape = torch.Size(lead[: max(len(lead) - len(distribution.batch_shape), 0)])
        if name in draw.relaxed:
            base = distribution.base_dist if isinstance(distribution, D.Independent) else distribution
            uniform = torch.rand((*shape, *distribution.batch_shape, *distribution.event_shape), dtype=torch.float64)
            hard = draw.estimator.relax == "straight_through"
            return relaxed_from_noise(base, Noise("uniform", uniform), draw.estimator.temperature, hard=hard)
        return distribution.rsample(shape) if distribution.has_rsample else distribution.sample(shape)

    def _given(self, draw: Draw, name: Variable, distribution: D.Distribution, noise: tuple[Noise, ...]) -> Tensor:
        """A draw from given noise."""
        numbers = self._owners(draw)
        placed = [n.placed(numbers, len(self._batch())) for n in noise]
        flow = distribution if isinstance(distribution, PushedBack) else None
        distribution = flow.base if flow is not None else distribution
        base = distribution.base_dist if isinstance(distribution, D.Independent) else distribution
        if name in draw.relaxed:
            hard = draw.estimator.relax == "straight_through"
            return relaxed_from_noise(base, placed[0], draw.estimator.temperature, hard=hard)
        drawn = draw_from_noise(base, placed)
        self.compared += [(str(name), found, expected) for found, expected in drawn.compared]
        value = drawn.value.expand(*self._lead(draw), *distribution.event_shape)
        return value if flow is None else flow.back(value)

    def _owners(self, draw: Draw) -> tuple[Draw, ...]:
        """The draws that the leading dimensions of a draw belong to, its own first."""
        return (draw, *max(map(self._owners, draw.around), key=len, default=()))

    def _lead(self, draw: Draw) -> tuple[int, ...]:
        """Leading dimensions of a draw: its samples, those of the draws around it, the replicates, the batch."""
        around = [self._lead(outer) for outer in draw.around]
        return (draw.samples, *max(around, key=len, default=(self.replicates, *self._batch())))

    def _batch(self) -> tuple[int, ...]:
        for name, value in self.observed.items():
            return tuple(value.shape[: value.ndim - len(self.model.spaces[name].shape)])
        return ()

    # --- factors ---

    def distribution(self, atom: Atom, env: Env) -> D.Distribution:
        """A factor at the values of its parents, its event dimensions declared."""
        definition = atom.factor.definition
        if isinstance(definition, Mixture):
            scope = self._scope(env, atom.mapping, ())
            weights = [self._evaluate(w, scope).tensor for w in definition.weights]
            return Choice(weights, [self.distribution(Atom(c, atom.renaming), env) for c in definition.components])
        if isinstance(definition, FlowUse):
            return self._pushed_back(definition, atom, env)
        if not isinstance(definition, FamilyUse):
            parents = [self.variable(p, env).tensor for p in atom.parents]
            return self.externs[atom.factor.label](*parents)
        scope = self._scope(env, atom.mapping, definition.bindings)
        space = self.model.spaces[atom.factor.targets[0]]
        found: dict[str, Tensor] = {}
        for name, expr in definition.parameters:
            parameter = definition.family.parameter(name)
            value = self._evaluate(expr, scope)
            if parameter.literal:
                found[name] = int(value.tensor)  # type: ignore[assignment]
                continue
            wanted = 0 if parameter.shared else len(space.shape) + (definition.family.index_valued and parameter.rank)
            wanted += 1 if parameter.rank == 2 else 0
            unbatched = value.tensor.ndim == value.rank
            # A literal vector serves every element: its dimensions line up from the right.
            missing = 0 if unbatched and value.rank else wanted - value.rank
            found[name] = raised(value.tensor, missing)
            if parameter.rank and value.rank == 0:
                width = space.categories if definition.family.index_valued else space.shape[-1]
                found[name] = found[name].expand(*found[name].shape[:-1], width or 1)
        lead = len(space.shape) - definition.family.event_rank
        base = _family(definition.family.name, found, space.shape)
        if lead:
            base = base.expand(torch.broadcast_shapes(base.batch_shape, space.shape[:lead]))
        return D.Independent(base, lead, validate_args=False) if lead else base

    def _pushed_back(self, definition: FlowUse, atom: Atom, env: Env) -> PushedBack:
        """A base seen through a flow, of which values alone are taken."""
        scope = self._scope(env, atom.mapping, definition.bindings)
        parts = [self._evaluate(argument, scope) for argument in definition.arguments]
        tensors = [p.tensor if p.rank else p.tensor[..., None] for p in parts]
        lead = torch.broadcast_shapes(*(t.shape[:-1] for t in tensors))
        context = torch.cat([t.expand(*lead, t.shape[-1]) for t in tensors], -1) if tensors else None
        module: Any = self.modules[definition.flow]
        ways = (module, module.inverse)
        forward, inverse = reversed(ways) if definition.inverted else ways
        base = self.distribution(definition.base_atom(atom), env)
        shape = self.model.spaces[atom.factor.targets[0]].shape
        return PushedBack(
            base,
            lambda x: forward(x, context)[0],
            lambda u: inverse(u, context)[0],
            shape,
            tuple(lead),
            rounds=any(type(part).__name__ == "Dequantise" for part in module.modules()),
        )

    def centre(self, draw: Draw, name: Variable) -> Field:
        """The mean of a variable's factor (its mode where it has none) at the centres of its parents."""
        key = (draw, name)
        if key not in self._drawn:
            atom = draw.atom_of(name)
            assert atom is not None
            pending = list(atom.parents)
            while pending:
                parent = pending.pop()
                if draw.atom_of(parent) is not None:
                    self.centre(draw, parent)
                else:
                    pending += formula_parents(parent, self.model) or ()
            distribution = self.distribution(atom, draw.inside)
            definition = atom.factor.definition
            attribute = definition.family.centre if isinstance(definition, FamilyUse) else "mean"
            if isinstance(distribution, D.Independent) and not hasattr(distribution, attribute):
                value = getattr(distribution.base_dist, attribute)
            else:
                value = getattr(distribution, attribute)
            value = value.expand(*self._lead(draw), *distribution.event_shape)
            self._drawn[key] = Field(value, len(self.model.spaces[atom.factor.targets[0]].shape))
        return self._drawn[key]

    def log_marginal(self, distribution: Distribution, env: Env) -> Tensor:
        """log of a product some of whose variables are integrated out: those that nothing is conditioned on are one."""
        atoms, hidden = list(distribution.atoms), set(distribution.hidden)
        while barren := [
            a for a in atoms if set(a.targets) <= hidden and not any(set(a.targets) & set(b.parents) for b in atoms)
        ]:
            atoms = [a for a in atoms if a not in barren]
            hidden -= {t for a in barren for t in a.targets}
        return self._summed(tuple(atoms), sorted(hidden), env)

    def _summed(self, atoms: tuple[Atom, ...], hidden: list[Variable], env: Env) -> Tensor:
        """log of a product, summed over every joint value of some finite variables, and integrated over the others.

        Raises:
            BeyondBruteForce: they are too many for brute force, or cannot be integrated over.
        """
        makers = {t: atom for atom in atoms for t in atom.targets}
        continuous = [h for h in hidden if not _is_finite(self.model.spaces[makers[h].factor.targets[0]])]
        hidden = [h for h in hidden if h not in continuous]
        choices = [_values_of(self.model.spaces[makers[h].factor.targets[0]]) for h in hidden]
        if math.prod(map(len, choices)) > _MOST_STATES:
            raise BeyondBruteForce(f"too many joint values of {shown(hidden)} for brute force")
        found = []
        for number, values in enumerate(itertools.product(*choices)):
            inner = env
            for name, value in zip(hidden, values, strict=True):
                draw = point(makers[name], self, number)
                self._drawn[draw, name] = Field(value, value.ndim)
                inner = inner.extended((name,), draw)
            found.append(self._integrated(atoms, continuous, inner))
        return torch.stack(torch.broadcast_tensors(*found)).logsumexp(0)

    def _integrated(self, atoms: tuple[Atom, ...], variables: list[Variable], env: Env) -> Tensor:
        """log of the integral of a product over some variables, by what it is at points.

        Raises:
            BeyondBruteForce: they are neither Gaussian nor a single number.
        """
        makers = {t: atom for atom in atoms for t in atom.targets}
        spaces = {v: self.model.spaces[makers[v].factor.targets[0]] for v in variables}
        touched = [a for a in atoms if {*a.targets, *a.parents} & {*variables}]

        def log_joint(values: Mapping[Variable, Tensor], parts: Iterable[Atom]) -> Tensor:
            inner = env
            for name, value in values.items():
                draw = point(makers[name], self, next(self._points))
                self._drawn[draw, name] = Field(value, len(spaces[name].shape))
                inner = inner.extended((name,), draw)
            return sum((self._log_prob(atom, inner) for atom in parts), torch.zeros((), dtype=torch.float64))

        rest = log_joint({}, [a for a in atoms if a not in touched])
        if not variables:
            return rest
        names = {a.factor.definition.family.name for a in touched if isinstance(a.factor.definition, FamilyUse)}
        if names <= {"Normal", "MultivariateNormal"}:
            return rest + integral_of_gaussian(
                lambda h: log_joint(_unpacked(h, spaces), touched), sum(s.numel for s in spaces.values())
            )
        if len(variables) == 1 and spaces[variables[0]].numel == 1:
            (name,) = variables
            points, log_widths = line_of(spaces[name].kind)
            shape = spaces[name].shape
            values = [log_joint({name: p.reshape(shape)}, touched) + w for p, w in zip(points, log_widths, strict=True)]
            return rest + torch.stack(torch.broadcast_tensors(*values)).logsumexp(0)
        raise BeyondBruteForce(f"{shown(variables)} cannot be integrated over by brute force")

    def log_density(self, distribution: Distribution, env: Env) -> Tensor:
        """log of a product of factors, of a marginal of finite variables, or of a posterior."""
        distribution = distribution.origin or distribution
        if distribution.evidence:
            joint = Distribution(distribution.atoms, distribution.hidden)
            hidden = [*distribution.hidden, *distribution.targets]
            return self.log_density(joint, env) - self._summed(distribution.atoms, hidden, env)
        if distribution.hidden:
            return self.log_marginal(distribution, env)
        total = torch.zeros((), dtype=torch.float64)
        for atom in distribution.atoms:
            total = total + self._log_prob(atom, env)
        return total

    def _log_prob(self, atom: Atom, env: Env) -> Tensor:
        """log of one factor."""
        definition = atom.factor.definition
        if isinstance(definition, Pushforward):
            return self._pushed(definition, atom, env)
        if isinstance(definition, LogDensityUse):
            return self._evaluate(definition.expr, self._scope(env, atom.mapping, definition.bindings)).tensor
        if isinstance(definition, Mixture):
            parts = [
                (
                    self._evaluate(w, self._scope(env, atom.mapping, ())).tensor,
                    self._log_prob(Atom(c, atom.renaming), env),
                )
                for w, c in zip(definition.weights, definition.components, strict=True)
            ]
            total = sum((w for w, _ in parts), torch.zeros((), dtype=torch.float64))
            return torch.log(sum((w / total * density.exp() for w, density in parts), torch.zeros(())))
        x = self.variable(atom.targets[0], env)
        distribution = self.distribution(atom, env)
        log_prob = distribution.log_prob(x.tensor)
        # A supplied factor may have left event dimensions to its batch shape.
        left = x.rank - len(distribution.event_shape) if isinstance(atom.factor.definition, Extern) else 0
        return log_prob.flatten(-left).sum(-1) if left else log_prob

    def _pushed(self, definition: Pushforward, atom: Atom, env: Env) -> Tensor:
        """By the inverse, which is checked, and the slope of the formula by automatic differentiation."""
        y, variable = self.variable(atom.targets[0], env), definition.base.targets[0]
        x = self._evaluate(definition.inverse, self._scope(env, atom.mapping, ()))
        draw = point(definition.base, self, next(self._points))
        inner = env.extended((variable,), draw)
        at = x.tensor if x.tensor.requires_grad else x.tensor.detach().requires_grad_()
        self._drawn[draw, variable] = Field(at, x.rank)
        names = {**atom.mapping, definition.variable: variable}
        again = self._evaluate(definition.forward, self._scope(inner, names, ())).tensor
        torch.testing.assert_close(again, y.tensor.expand_as(again), rtol=1e-6, atol=1e-6)
        (slope,) = torch.autograd.grad(again.sum(), at, create_graph=True)
        rank = x.rank
        log_slope = slope.abs().log()
        return self._log_prob(definition.base, inner) - (log_slope.flatten(-rank).sum(-1) if rank else log_slope)

    # --- objectives ---

    def term(self, term: Term) -> Tensor:
        """A term for every replicate and data point."""
        match term:
            case terms.Constant(value):
                return torch.tensor(float(value), dtype=torch.float64)
            case terms.Plain(expr, env):
                return self._evaluate(expr, self._scope(env, {}, ())).tensor
            case terms.LogDensity(distribution, env):
                return self.log_density(distribution, env)
            case terms.Expectation(draw, body) if draw.distribution.evidence:
                return self._posterior_mean(draw, body)
            case terms.Expectation(draw, body):
                return self._mean_over(self.term(body), draw)
            case terms.Divergence():
                return self._divergence(term)
            case terms.Aggregate():
                return self._aggregate(term)
            case terms.Discrepancy():
                return self._discrepancy(term)
            case terms.Add(items):
                return sum((sign * self.term(t) for sign, t in items), torch.zeros((), dtype=torch.float64))
            case terms.Multiply(factors):
                product = torch.ones((), dtype=torch.float64)
                for factor in factors:
                    product = product * self.term(factor)
                return product
            case terms.Divide(top, bottom):
                return self._nonlinear(term, lambda: self.term(top) / self.term(bottom))
            case terms.Raise(base, exponent):
                return self._nonlinear(term, lambda: self.term(base) ** self.term(exponent))
            case terms.Apply("log", (terms.Expectation(draw, terms.Apply("exp", (body,))),)):
                return self._log_mean_exp(draw, self.term(body))
            case terms.Apply("mean" | "sum" | "detach" as function, arguments):
                return self._apply(function, [self.term(a) for a in arguments])
            case terms.Apply(function, arguments):
                return self._nonlinear(term, lambda: self._apply(function, [self.term(a) for a in arguments]))
            case terms.Reference(_, inner):
                return self.term(inner)

    def _posterior_mean(self, draw: Draw, body: Term) -> Tensor:
        """The sum over every value of a posterior, each evaluated in a reference of its own."""
        names = draw.variables
        makers = {t: atom for atom in draw.distribution.atoms for t in atom.targets}
        choices = [_values_of(self.model.spaces[makers[v].factor.targets[0]]) for v in names]
        total = torch.zeros((), dtype=torch.float64)
        for values in itertools.product(*choices):
            kept = {key: value for key, value in self._drawn.items() if key[0] != draw}
            self._drawn = {**kept, **{(draw, v): Field(x, x.ndim) for v, x in zip(names, values, strict=True)}}
            probability = self.log_density(draw.distribution, draw.inside).exp()
            if draw.estimator.detached:
                probability = probability.detach()
            total = total + probability * self.term(body)
        return total

    def _nonlinear(self, term: Term, value: Callable[[], Tensor]) -> Tensor:
        """A nonlinear function: the score functions of the draws inside weigh its value, not what it acts on."""
        draws = [draw for draw in dict.fromkeys(terms.draws_of(term)) if draw.scored]
        if not draws or self._weighed_outside:
            return value()
        self._weighed_outside = True
        found = value()
        self._weighed_outside = False
        for draw in draws:
            box = self._box(draw).log()
            found = found * (box.sum(0) if box.ndim == len(self._lead(draw)) else box).exp()
        return found

    def _mean_over(self, value: Tensor, draw: Draw) -> Tensor:
        """The mean over the samples of a draw, which are its first dimension; what has none of them is its own mean."""
        lead = self._lead(draw)
        value = value if self._weighed_outside else value * self._box(draw)
        return value.mean(0) if value.ndim == len(lead) else value

    def _log_mean_exp(self, draw: Draw, value: Tensor) -> Tensor:
        """log of the mean of exp(value), with the score-function gradient of the mean of this logarithm."""
        if value.ndim < len(self._lead(draw)):
            return value
        result = value.logsumexp(0) - math.log(len(value))
        if self._weighed_outside:
            return result
        box = self._box(draw)
        return result * (box.log().sum(0).exp() if box.ndim == value.ndim else box)

    def _aggregate(self, term: terms.Aggregate) -> Tensor:
        """Against the parameters of every data point, one shift of the batch at a time."""
        z = self.variable(term.atom.targets[0], term.env)
        size = self._batch()[0]
        rows = []
        for shift in range(size):
            observed = {name: value.roll(shift, 0) for name, value in self.observed.items()}
            other = Reference(self.model, self.modules, self.tensors, observed, externs=self.externs)
            made = other.distribution(term.atom, term.draw.env)
            rows.append((made.base_dist if isinstance(made, D.Independent) else made).log_prob(z.tensor))
        pairs = torch.stack(rows)
        joint = pairs.sum(-1).logsumexp(0) - math.log(size)
        if term.kind == "MI":
            return self._mean_over(pairs[0].sum(-1) - joint, term.draw)
        return self._mean_over(joint - (pairs.logsumexp(0) - math.log(size)).sum(-1), term.draw)

    def _discrepancy(self, term: terms.Discrepancy) -> Tensor:
        """A distance of samples, for every replicate (and every data point, where it is paired)."""
        sides: list[Tensor] = []
        for env, draw in ((term.left_env, term.left), (term.right_env, term.right)):
            parts = []
            for name in term.variables:
                field = self.variable(name, env)
                lead = self._lead(draw)
                flat = field.tensor.reshape(*field.tensor.shape[: field.tensor.ndim - field.rank], -1)
                parts.append(flat.expand(*lead, flat.shape[-1]))
            sides.append(torch.cat(parts, -1))
        if term.kind == "GP":
            return self._slopes_between(term, *sides)
        if term.kind == "W":
            return (sides[0] - sides[1]).square().sum(-1).sqrt().mean(0)
        # [samples, replicates, batch, size]: one set of points for every replicate
        points = [side.movedim(1, 0).reshape(side.shape[1], -1, side.shape[-1]) for side in sides]
        if term.kind == "SW":
            self.own_draws.add("directions")
            units = torch.nn.functional.normalize(
                torch.randn(points[0].shape[-1], term.settings.projections, dtype=torch.float64), dim=0
            )
            a, b = (((p @ units).sort(1).values) for p in points)
            return (a - b).square().mean((1, 2)).unsqueeze(-1)
        widths = term.settings.widths or (round(points[0].shape[-1] ** 0.5, 6),)

        def kernel(a: Tensor, b: Tensor) -> Tensor:
            squares = (a.unsqueeze(2) - b.unsqueeze(1)).square().sum(-1)
            if term.settings.kernel == "gaussian":
                return sum((torch.exp(-squares / (2 * w**2)) for w in widths), torch.zeros(()))
            return sum((w**2 / (w**2 + squares) for w in widths), torch.zeros(()))

        x, y = points
        pairs = [kernel(x, x), kernel(y, y)]
        n = x.shape[1]
        inner = [(k.sum((1, 2)) - k.diagonal(dim1=1, dim2=2).sum(-1)) / (n * (n - 1)) for k in pairs]
        return (inner[0] + inner[1] - 2 * kernel(x, y).mean((1, 2))).unsqueeze(-1)

    def _slopes_between(self, term: terms.Discrepancy, first: Tensor, second: Tensor) -> Tensor:
        """(||grad d|| - 1)^2 at points of its own between the draws, which pass no gradient themselves."""
        self.own_draws.add("between")
        first, second = torch.broadcast_tensors(first.detach(), second.detach())
        along = torch.rand(*first.shape[:-1], 1, dtype=torch.float64)
        points = (along * first + (1 - along) * second).requires_grad_()
        shape = self.model.spaces[term.variables[0].name].shape
        flat = points.reshape(-1, *shape)
        found = self._apply_net(term.settings.kernel, [Field(flat, len(shape))])
        assert isinstance(found, Tensor)
        (slope,) = torch.autograd.grad(found.sum(), points, create_graph=True)
        return (slope.square().sum(-1).sqrt() - 1).square().mean(0)

    def _box(self, draw: Draw) -> Tensor:
        """One, with the gradient of the log-density of the draws that pass none (DiCE: Foerster et al. 2018)."""
        total = torch.zeros((), dtype=torch.float64)
        for drawn, name in list(self._drawn):
            atom = drawn.atom_of(name) if drawn == draw else None
            use = atom.factor.definition if atom is not None else None
            if isinstance(use, FamilyUse) and not use.family.pathwise and name not in draw.relaxed:
                total = total + self.log_density(Distribution((atom,)), draw.inside)  # type: ignore[arg-type]
        return torch.exp(total - total.detach())

    def _divergence(self, term: terms.Divergence) -> Tensor:
        """`E_q[log q - log p]` and its kin, by many draws of their own."""
        draw = term.draw
        if not (self.shared and any((draw, v) in self.noise for v in draw.variables)):
            draw = Draw(draw.distribution, self.inner, draw.env, repetition=("divergence", draw))
        inner = term.env.extended(draw.variables, draw)
        left = self.log_density(term.left, inner)
        match term.kind:
            case "KL":
                assert term.right is not None
                value = left - self.log_density(term.right, inner)
            case "CE":
                assert term.right is not None
                value = -self.log_density(term.right, inner)
            case _:
                value = -left
        return self._mean_over(value, draw)

    def _apply(self, function: str, arguments: list[Tensor]) -> Tensor:
        first = arguments[0]
        batch = tuple(range(-len(self._batch()), 0))
        match function:
            case "mean" | "sum" if batch and first.ndim >= len(batch):
                return first.mean(batch, keepdim=True) if function == "mean" else first.sum(batch, keepdim=True)
            case "mean" | "sum":
                return first
            case "min":
                return torch.minimum(*torch.broadcast_tensors(*arguments))
            case "max":
                return torch.maximum(*torch.broadcast_tensors(*arguments))
            case _:
                return _ELEMENTWISE[function](first)

    # --- expressions ---

    def _scope(self, env: Env, mapping: Mapping[str, Variable], bindings: tuple[tree.Binding, ...]) -> "_Scope":
        return _Scope(lambda name: self.variable(mapping.get(name) or Variable(name), env), bindings)

    def _evaluate(self, expr: tree.Expr, scope: "_Scope") -> Field:
        literal = evaluate(expr, self.model.constants)
        if literal is not None:
            return _literal(literal)
        match expr:
            case tree.Name(id):
                return self._name(id, scope)
            case tree.Negative(operand):
                inner = self._evaluate(operand, scope)
                return Field(-inner.tensor, inner.rank)
            case tree.Sum(items):
                total = _literal(Fraction(0))
                for sign, item in items:
                    a, b, rank = aligned(total, self._evaluate(item, scope))
                    total = Field(a + sign * b, rank)
                return total
            case tree.Product(factors):
                product = self._evaluate(factors[0], scope)
                for factor in factors[1:]:
                    a, b, rank = aligned(product, self._evaluate(factor, scope))
                    product = Field(a * b, rank)
                return product
            case tree.Quotient(top, bottom):
                a, b, rank = aligned(self._evaluate(top, scope), self._evaluate(bottom, scope))
                return Field(a / b, rank)
            case tree.Power(base, exponent):
                a, b, rank = aligned(self._evaluate(base, scope), self._evaluate(exponent, scope))
                return Field(a**b, rank)
            case tree.MatMul(left, right):
                return _matmul(self._evaluate(left, scope), self._evaluate(right, scope))
            case tree.Log(operand):
                inner = self._evaluate(operand, scope)
                return Field(inner.tensor.log(), inner.rank)
            case tree.Index(base, indices):
                return self._index(self._evaluate(base, scope), [self._evaluate(i, scope) for i in indices])
            case tree.Call():
                return self._call(expr, scope)
            case _:
                raise InternalError(f"the reference cannot interpret {type(expr).__name__}")

    def _name(self, name: str, scope: "_Scope") -> Field:
        if name in scope.bound:
            binding, position = scope.bound[name]
            # `where x = f(x)` means the outer x on the right.
            others = tuple(dict.fromkeys(b for b, _ in scope.bound.values() if b is not binding))
            return self._bound(binding, position, _Scope(scope.variable, others, scope.spaces))
        if name in self.model.tensors:
            return Field(self.tensors[name], len(self.model.tensors[name].space.shape))
        if name == "pi" and name not in self.model.variables:
            return Field(torch.tensor(torch.pi, dtype=torch.float64), 0)
        return scope.variable(name)

    def _bound(self, binding: tree.Binding, position: int, scope: "_Scope") -> Field:
        if isinstance(binding.value, tree.Call) and binding.value.name in self.model.nets:
            results = self._net(binding.value, scope)
            if isinstance(results, tuple):
                return results[position]
            whole = results
        else:
            whole = self._evaluate(binding.value, scope)
        if len(binding.names) == 1:
            return whole
        return Field(whole.tensor.chunk(len(binding.names), -1)[position], whole.rank)

    def _index(self, base: Field, indices: list[Field]) -> Field:
        first = indices[0].tensor
        if base.tensor.ndim == base.rank:
            rows = base.tensor[first.long()]
            rank = base.rank - 1 + indices[0].rank
        else:
            moved = base.tensor.movedim(-base.rank, -1)
            at = first.long().expand(moved.shape[:-1]) if first.ndim < moved.ndim else first.long()
            rows, rank = moved.gather(-1, at.unsqueeze(-1)).squeeze(-1), base.rank - 1
        for index in indices[1:]:
            rows, rank = rows.select(-rank, int(index.tensor)), rank - 1
        return Field(rows, rank)

    def _call(self, call: tree.Call, scope: "_Scope") -> Field:
        if call.name in self.model.nets:
            result = self._net(call, scope)
            assert isinstance(result, Field)
            return result
        if call.name in ("weight", "bias"):
            return self._layer_tensor(call)
        arguments = [self._evaluate(a.value, scope) for a in call.args if a.name is None]
        named = {a.name: self._evaluate(a.value, scope) for a in call.args if a.name is not None}
        first = arguments[0]
        match call.name:
            case "min" | "max":
                a, b, rank = aligned(*arguments)
                a, b = torch.broadcast_tensors(a, b)
                return Field(torch.minimum(a, b) if call.name == "min" else torch.maximum(a, b), rank)
            case "clamp":
                low = named.get("min", arguments[1] if len(arguments) > 1 else None)
                high = named.get("max", arguments[2] if len(arguments) > 2 else None)
                bounds = [None if f is None else f.tensor for f in (low, high)]
                return Field(first.tensor.clamp(*bounds), first.rank)
            case "sum" | "mean":
                dims = tuple(range(-first.rank, 0))
                reduced = getattr(first.tensor, call.name)(dims) if dims else first.tensor
                return Field(reduced, 0)
            case "softmax" | "log_softmax":
                return Field(getattr(torch, call.name)(first.tensor, -1), first.rank)
            case "logsumexp":
                return Field(first.tensor.logsumexp(-1), first.rank - 1)
            case "one_hot":
                assert isinstance(call.args[0].value, tree.Name)
                index = call.args[0].value.id
                size = (scope.spaces.get(index) or self.model.spaces[index]).categories or 0
                return Field(torch.nn.functional.one_hot(first.tensor.long(), size).double(), first.rank + 1)
            case "cat":
                lead = torch.broadcast_shapes(*(f.tensor.shape[:-1] for f in arguments))
                return Field(torch.cat([f.tensor.expand(*lead, -1) for f in arguments], -1), first.rank)
            case "transpose":
                return Field(first.tensor.mT, 2)
            case "inverse" | "cholesky":
                return Field(getattr(torch.linalg, {"inverse": "inv"}.get(call.name, call.name))(first.tensor), 2)
            case "diag":
                return Field(first.tensor.unsqueeze(-1) * torch.eye(first.tensor.shape[-1], dtype=torch.float64), 2)
            case "outer":
                return Field(first.tensor.unsqueeze(-1) * arguments[1].tensor.unsqueeze(-2), 2)
            case name if name in FUNCTIONS:
                return Field(_ELEMENTWISE[name](first.tensor), first.rank)
            case _:
                raise InternalError(f"the reference does not know {call.name}")

    def _layer_tensor(self, call: tree.Call) -> Field:
        """What a linear net adds, and what it multiplies by, from its values at the origin and the unit vectors."""
        assert isinstance(call.args[0].value, tree.Name)
        name = call.args[0].value.id
        net = self.model.nets[name]
        assert isinstance(net, Net) and net.input_spaces is not None
        size = sum(space.shape[-1] for space in net.input_spaces)
        points = torch.cat([torch.zeros(1, size), torch.eye(size)]).double()
        values = self._apply_net(name, [Field(points, 1)])
        assert isinstance(values, Tensor)
        return Field((values[1:] - values[0]).mT, 2) if call.name == "weight" else Field(values[0], 1)

    def _net(self, call: tree.Call, scope: "_Scope") -> Field | tuple[Field, ...]:
        """A net on its inputs; leading dimensions are flattened, so that any layer can take them."""
        arguments = [self._evaluate(a.value, scope) for a in call.args]
        leads = [f.tensor.shape[: f.tensor.ndim - f.rank] for f in arguments]
        lead = torch.broadcast_shapes(*leads)
        flat = [
            f.tensor.expand(*lead, *f.tensor.shape[f.tensor.ndim - f.rank :]).flatten(0, len(lead) - 1)
            if lead
            else f.tensor.unsqueeze(0)
            for f in arguments
        ]
        result = self._apply_net(call.name, [Field(t, f.rank) for t, f in zip(flat, arguments, strict=True)])

        def restored(value: Tensor) -> Field:
            return Field(value.reshape(*lead, *value.shape[1:]), value.ndim - 1)

        return tuple(map(restored, result)) if isinstance(result, tuple) else restored(result)

    def _apply_net(self, name: str, inputs: list[Field]) -> Tensor | tuple[Tensor, ...]:
        """A net on inputs of one batch dimension, segment by segment."""
        net = self.model.nets[name]
        if isinstance(net, ExternNetwork):
            return self.modules[name](*(f.tensor for f in inputs))
        value: Tensor | None = None
        for segment in net.segments or ():
            match segment:
                case ExprSegment(expr):
                    local = dict(zip(net.inputs or (), inputs, strict=True))
                    spaces = dict(zip(net.inputs or (), net.input_spaces or (), strict=True))
                    found = self._evaluate(expr, _Scope(local.__getitem__, (), spaces))
                    value = found.tensor
                case ModuleSegment(attribute=attribute) if segment.cell_states:
                    states = [f.tensor for f in inputs[-segment.cell_states :]]
                    joined = torch.cat([f.tensor for f in inputs[: -segment.cell_states]], -1)
                    return self.modules[attribute](joined, states[0] if len(states) == 1 else tuple(states))
                case ModuleSegment(attribute=attribute):
                    given = _joined(inputs) if value is None else value
                    result = self.modules[attribute](given)
                    assert isinstance(result, Tensor)
                    value = result
                case FunctionSegment("softmax" | "log_softmax" as function):
                    value = getattr(torch, function)(_joined(inputs) if value is None else value, -1)
                case FunctionSegment(function):
                    value = _ELEMENTWISE[function](_joined(inputs) if value is None else value)
                case NetSegment(other):
                    given = _joined(inputs) if value is None else value
                    inner = self._apply_net(other, [Field(given, given.ndim - 1)])
                    assert isinstance(inner, Tensor)
                    value = inner
        return _joined(inputs) if value is None else value


def _joined(inputs: list[Field]) -> Tensor:
    """The input of a bare pipeline: its arguments side by side."""
    return inputs[0].tensor if len(inputs) == 1 else torch.cat([f.tensor for f in inputs], -1)


@dataclass(frozen=True)
class _Scope:
    """What names mean in one formula."""

    variable: Callable[[str], Field]
    bindings: tuple[tree.Binding, ...]
    spaces: Mapping[str, Space] = field(default_factory=dict)

    @property
    def bound(self) -> dict[str, tuple[tree.Binding, int]]:
        return {name.id: (b, i) for b in self.bindings for i, name in enumerate(b.names)}


def _literal(value: Constant) -> Field:
    shape = shape_of(value)
    assert shape is not None
    numbers = torch.tensor([float(x) for x in flatten(value)], dtype=torch.float64)
    return Field(numbers.reshape(shape), len(shape))


def _matmul(a: Field, b: Field) -> Field:
    left = a.tensor.unsqueeze(-2) if a.rank == 1 else a.tensor
    right = b.tensor.unsqueeze(-1) if b.rank == 1 else b.tensor
    product = left @ right
    product = product.squeeze(-1) if b.rank == 1 else product
    product = product.squeeze(-1 if b.rank == 1 else -2) if a.rank == 1 else product
    return Field(product, a.rank + b.rank - 2)


def _family(name: str, found: dict[str, Tensor], shape: tuple[int, ...]) -> D.Distribution:
    """torch's distribution of that name."""
    if name == "FactorizedBernoulli":
        return _OnesOnly(**found, validate_args=False)
    if name == "VonMises":
        return _VonMises(**found, validate_args=False)
    if name == "Delta":
        return D.Independent(D.Normal(found["v"], 0.0, validate_args=False), 0, validate_args=False)
    if name == "ContinuousBernoulli":
        # torch's expansion around 1/2 is good to 1e-8 only at the ends of its default range.
        return D.ContinuousBernoulli(**found, lims=(0.5 - 1e-5, 0.5 + 1e-5), validate_args=False)
    made: D.Distribution = getattr(D, name)(**found, validate_args=False)
    return made


def _is_point(distribution: D.Distribution) -> bool:
    """Whether a draw is certain."""
    base = distribution.base_dist if isinstance(distribution, D.Independent) else distribution
    return isinstance(base, D.Independent) and isinstance(base.base_dist, D.Normal)


class _VonMises(D.VonMises):
    """Von Mises with the Bessel function to full precision: torch's polynomial is good to 1e-7."""

    def log_prob(self, value: Tensor) -> Tensor:
        """log density."""
        log_i0 = torch.special.i0e(self.concentration).log() + self.concentration
        density: Tensor = self.concentration * torch.cos(value - self.loc) - log_i0 - math.log(2 * math.pi)
        return density


class _OnesOnly(D.Bernoulli):
    """Vedantam et al. 2017: only the ones count."""

    def log_prob(self, value: Tensor) -> Tensor:
        """log p where the value is one, else nothing."""
        return torch.where(value == 1, super().log_prob(torch.ones_like(value)), 0.0)


_MOST_STATES = 5000


def _is_finite(space: Space) -> bool:
    return space.kind in ("one_hot", "category") or contains("boolean", space.kind)


def _unpacked(h: Tensor, spaces: Mapping[Variable, Space]) -> dict[Variable, Tensor]:
    """The variables of which a vector holds the entries."""
    parts = h.split([space.numel for space in spaces.values()], -1)
    return {n: part.reshape(space.shape) for (n, space), part in zip(spaces.items(), parts, strict=True)}


def _values_of(space: Space) -> list[Tensor]:
    """Every value of a finite space.

    Raises:
        BeyondBruteForce: it is not finite.
    """
    size = math.prod(space.shape)
    if space.kind == "one_hot":
        return list(torch.eye(space.shape[-1], dtype=torch.float64))
    if space.kind == "category":
        digits: list[Tensor] = [torch.tensor(i) for i in range(space.categories or 1)]
    elif contains("boolean", space.kind):
        digits = [torch.tensor(0.0, dtype=torch.float64), torch.tensor(1.0, dtype=torch.float64)]
    else:
        raise BeyondBruteForce(f"{space} is not finite")
    if len(digits) ** size > _MOST_STATES:
        raise BeyondBruteForce(f"{space} has too many values for brute force")
    return [torch.stack(c).reshape(space.shape) for c in itertools.product(digits, repeat=size)]


_ELEMENTWISE: dict[str, Callable[[Tensor], Tensor]] = {
    "exp": torch.exp,
    "log": torch.log,
    "log1p": torch.log1p,
    "expm1": torch.expm1,
    "softplus": lambda x: torch.logaddexp(x, torch.zeros_like(x)),
    "sigmoid": torch.sigmoid,
    "logit": torch.logit,
    "tanh": torch.tanh,
    "sin": torch.sin,
    "cos": torch.cos,
    "tan": torch.tan,
    "erf": torch.erf,
    "relu": torch.relu,
    "sqrt": torch.sqrt,
    "abs": torch.abs,
    "square": torch.square,
    "round": torch.round,
    "floor": torch.floor,
    "sign": torch.sign,
    "detach": torch.Tensor.detach,
}


def values_in(space_kind: str, shape: tuple[int, ...], categories: int | None, generator: torch.Generator) -> Tensor:
    """Random values of a space, for trying a program where no data is at hand."""
    if space_kind == "category":
        return torch.randint(0, categories or 1, shape, generator=generator)
    real = torch.randn(shape, generator=generator, dtype=torch.float64)
    if space_kind == "one_hot":
        return torch.nn.functional.one_hot(real.argmax(-1), shape[-1]).double()
    if contains("boolean", space_kind):
        return (real > 0).double()
    if space_kind == "simplex":
        return real.softmax(-1)
    if contains("unit_interval", space_kind):
        return real.sigmoid()
    if contains("nonnegative_integer", space_kind):
        return (real.abs() * 2).floor() + float(space_kind == "positive_integer")
    if contains("nonnegative", space_kind):
        return real.exp()
    if space_kind in ("lower_cholesky", "lower_triangular"):
        return real.tril(-1) + torch.diag_embed(real.diagonal(dim1=-2, dim2=-1).exp())
    if space_kind == "positive_definite":
        return real @ real.mT + torch.eye(shape[-1], dtype=torch.float64)
    return real
