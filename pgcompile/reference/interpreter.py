"""The reference interpreter: a model computed directly with `torch.distributions`, in float64.

It is what the compiler is checked against, so it shares nothing with it: no rewriting, no closed forms beyond
`log_prob`, no plan, no emitted code. It is slow, and plain enough to be checked by reading.
"""

import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import torch
import torch.distributions as D
from torch import Tensor

from pgcompile.diagnostics import NOWHERE
from pgcompile.model.distributions import Distribution
from pgcompile.model.factors import data_of
from pgcompile.model.model import Model
from pgcompile.model.variable import Variable
from pgcompile.objective.terms import Draw, DrawKey, Env, point
from pgcompile.reference.densities import log_density
from pgcompile.reference.draws import Noise, draw_from_noise, relaxed_from_noise
from pgcompile.reference.expressions import Expressions, Modules
from pgcompile.reference.factors import centre, distribution, scored_variables
from pgcompile.reference.families import is_point
from pgcompile.reference.fields import Field
from pgcompile.reference.flows import PushedBack
from pgcompile.reference.functions import shuffled
from pgcompile.reference.scopes import Scope
from pgcompile.syntax import tree
from pgcompile.vocabulary.spaces import filling


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
        partners: draws that noise is given for in the place of draws of the reference.
        integrates: take a divergence that torch knows instead of averaging it.

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
    drawn: dict[DrawKey, Field] = field(default_factory=dict)
    partners: dict[Draw, Draw] = field(default_factory=dict)
    placed: dict[Draw, Field] = field(default_factory=dict)
    points: Iterator[int] = field(default_factory=itertools.count)
    integrates: bool = False

    # --- variables ---

    def variable(self, variable: Variable, env: Env) -> Field:
        """A variable: drawn, deterministic or observed."""
        draw, name = env.get(variable), variable.name
        if draw is not None and draw in self.placed:
            return self.placed[draw]
        if draw is not None and draw.rows:
            return self._other_rows(variable, draw)
        if draw is not None and draw.gives_data(variable):
            return self._given_value(name)
        if draw is not None:
            return self._draw(draw, variable)
        if variable.is_named and name in self.model.deterministic:
            definition = self.model.deterministic[name].definition
            return self.evaluate(definition.expr, self.scope(env, {}, definition.bindings))  # type: ignore[union-attr]
        return self._given_value(name)

    def _given_value(self, name: str) -> Field:
        """The data of a variable; where it lacks a value, one of its space."""
        space, value = self.model.spaces[name], self.observed[name]
        if space.optional:
            lacking = value < 0 if space.kind == "category" else value.isnan()
            value = torch.where(lacking, torch.tensor(filling(space.kind)).to(value.dtype), value)
        return Field(value, len(space.shape))

    def is_observed(self, name: str) -> Field:
        """1 for each entry of a variable that the data has, else 0."""
        space, value = self.model.spaces[name], self.observed[name]
        return Field((value >= 0 if space.kind == "category" else ~value.isnan()).double(), len(space.shape))

    def _other_rows(self, variable: Variable, draw: Draw) -> Field:
        """A variable at every row of the batch: the rows lead, and are the same for every row that they meet."""
        own = self.variable(Variable(self.model.rows[variable.name]), draw.env)
        batch = len(self.batch())
        if own.tensor.ndim < own.rank + batch:
            return own
        flat = own.tensor.flatten(own.tensor.ndim - own.rank - batch, own.tensor.ndim - own.rank - 1)
        around = self.lead(draw)[1:]
        rows = flat.movedim(flat.ndim - own.rank - 1, 0)
        shape = (*rows.shape[: rows.ndim - own.rank], *(1 for _ in range(batch)), *rows.shape[rows.ndim - own.rank :])
        spread = rows.reshape(len(rows), *(1 for _ in range(len(around) + 1 - len(shape) + own.rank)), *shape[1:])
        return Field(spread, own.rank)

    def _draw(self, draw: Draw, name: Variable) -> Field:
        """One variable of a draw, the same for every term that speaks of it."""
        key = (draw, name)
        if key not in self.drawn:
            atom = draw.atom_of(name)
            assert atom is not None
            made = distribution(self, atom, draw.inside)
            rank = len(self.model.spaces[atom.factor.targets[0]].shape)
            given = self.noise_of(draw, name)
            value = self._own(draw, name, made) if given is None else self._given(draw, name, made, given)
            if draw.estimator.detached or (name not in draw.relaxed and name in scored_variables(draw)):
                value = value.detach()
            self.drawn[key] = Field(value.double() if value.is_floating_point() else value, rank)
        return self.drawn[key]

    def noise_of(self, draw: Draw, name: Variable) -> tuple[Noise, ...] | None:
        """The given noise of a variable of a draw, or of its partner, if there is any."""
        return self.noise.get((self.partners.get(draw, draw), name))

    def _own(self, draw: Draw, name: Variable, made: D.Distribution) -> Tensor:
        """A draw with torch's own noise."""
        if not is_point(made):
            self.own_draws.add(str(name))
        lead = self.lead(draw)
        # Dimensions that its parents bring along (a nested draw, an earlier variable) are not drawn again.
        shape = torch.Size(lead[: max(len(lead) - len(made.batch_shape), 0)])
        if name in draw.relaxed:
            base = made.base_dist if isinstance(made, D.Independent) else made
            uniform = torch.rand((*shape, *made.batch_shape, *made.event_shape), dtype=torch.float64)
            hard = draw.estimator.relax == "straight_through"
            return relaxed_from_noise(base, Noise("uniform", uniform), draw.estimator.temperature, hard=hard)
        return made.rsample(shape) if made.has_rsample else made.sample(shape)

    def _given(self, draw: Draw, name: Variable, made: D.Distribution, noise: tuple[Noise, ...]) -> Tensor:
        """A draw from given noise."""
        numbers = self._owners(draw)
        placed = [n.placed(numbers, len(self.batch())) for n in noise]
        flow = made if isinstance(made, PushedBack) else None
        made = flow.base if flow is not None else made
        base = made.base_dist if isinstance(made, D.Independent) else made
        if name in draw.relaxed:
            hard = draw.estimator.relax == "straight_through"
            return relaxed_from_noise(base, placed[0], draw.estimator.temperature, hard=hard)
        drawn = draw_from_noise(base, placed)
        self.compared += [(str(name), found, expected) for found, expected in drawn.compared]
        value = drawn.value.expand(*self.lead(draw), *made.event_shape)
        return value if flow is None else flow.back(value)

    def _owners(self, draw: Draw) -> tuple[Draw, ...]:
        """The draws that the leading dimensions of a draw belong to, its own first."""
        return (self.partners.get(draw, draw), *max(map(self._owners, draw.around), key=len, default=()))

    def lead(self, draw: Draw) -> tuple[int, ...]:
        """Leading dimensions of a draw: its samples, those of the draws around it, the replicates, the batch."""
        around = [self.lead(outer) for outer in draw.around]
        return (draw.samples, *max(around, key=len, default=(self.replicates, *self.batch())))

    def batch(self) -> tuple[int, ...]:
        """The batch dimensions of the data."""
        for name, value in self.observed.items():
            return tuple(value.shape[: value.ndim - len(self.model.spaces[name].shape)])
        return ()

    # --- formulas of variables ---

    @cached_property
    def expressions(self) -> Expressions:
        """The interpreter of expressions."""
        return Expressions(self.model, self.modules, self.tensors)

    def scope(
        self,
        env: Env,
        mapping: Mapping[str, Variable],
        bindings: tuple[tree.Binding, ...],
        log_density: Callable[[tree.Expr, Env], Tensor | None] = lambda expr, env: None,
        quantile: Callable[[tree.Call, Field, Env], Field] | None = None,
    ) -> Scope:
        """The meanings of the names of a formula of a factor."""

        def at(name: str, value: Field) -> Scope:
            variable = mapping.get(name) or Variable(name)
            draw = point(data_of((variable,), NOWHERE), self, next(self.points))
            self.placed[draw] = value
            return self.scope(env.extended((variable,), draw), mapping, bindings, log_density, quantile)

        return Scope(
            lambda name: self.variable(mapping.get(name) or Variable(name), env),
            bindings,
            at=at,
            observed=self.is_observed,
            shuffled=self._shuffled,
            quantile=None if quantile is None else lambda call, share: quantile(call, share, env),
            log_density=lambda expr: log_density(expr, env),
        )

    def _shuffled(self, value: Field) -> Field:
        """Each entry of a value at another row of the batch, by orders that no draw of the compiler gives."""
        if value.tensor.ndim - value.rank < len(self.batch()) or not self.batch():
            return value
        self.own_draws.add("rows")
        return shuffled(value)

    def evaluate(self, expr: tree.Expr, scope: Scope) -> Field:
        """An expression over variables."""
        return self.expressions.evaluate(expr, scope)

    def log_density(self, whole: Distribution, env: Env) -> Tensor:
        """log of a product of factors, of a marginal of finite variables, or of a posterior."""
        return log_density(self, whole, env)

    def centre(self, draw: Draw, name: Variable) -> Field:
        """The mean of a variable's factor at the centres of its parents."""
        return centre(self, draw, name)
