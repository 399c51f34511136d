"""Objectives evaluated from the tree of the program, for every replicate and data point."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import torch
import torch.distributions as D
from torch import Tensor

from pgcompile.diagnostics import InternalError, Span
from pgcompile.inference.distributions import Resolver
from pgcompile.model.distributions import Distribution
from pgcompile.model.factors import FactorInstance, Pushforward, data_of
from pgcompile.model.literals import evaluate
from pgcompile.model.model import Model
from pgcompile.model.rows import rows_of
from pgcompile.model.variable import variables
from pgcompile.objective.terms import OBSERVED, Draw, Env, Term, point
from pgcompile.reference.averages import Averages, Body
from pgcompile.reference.factors import distribution, parameters_of
from pgcompile.reference.fields import Field
from pgcompile.reference.functionals import functional
from pgcompile.reference.interpreter import Reference
from pgcompile.reference.pairing import Pairing, draws_by_place
from pgcompile.reference.readings import Options, Readings, detached
from pgcompile.reference.scopes import Scope, elementwise
from pgcompile.reference.tails import log_tail
from pgcompile.syntax import tree
from pgcompile.syntax.rows import is_total


class Formulas:
    """Evaluates the objectives of one model.

    Args:
        world: the interpreter of the factors.
        resolver: which factors a label means.
        term: what the compiler made of the objective; only the places of its draws are read.
    """

    def __init__(self, world: Reference, resolver: Resolver, term: Term | None = None) -> None:
        self.world = world
        self.model: Model = world.model
        self.readings = Readings(world.model, resolver.quietly())
        places = {} if term is None else draws_by_place(term)
        self.averages = Averages(world, Pairing(places, world.partners))
        self.name = ""

    @property
    def differences(self) -> list[str]:
        """Where the compiler does not draw what the formula says."""
        return self.averages.pairing.differences

    def whole(self, name: str) -> Tensor:
        """An objective, with the gradient of its baselines."""
        return self.objective(name, OBSERVED) + self.averages.baselines()

    def objective(self, name: str, env: Env) -> Tensor:
        """An objective, as a part of this or another formula."""
        before, self.name = self.name, name
        found = self.value(self.model.objectives[name].expr, env)
        self.name = before
        return found

    def value(self, expr: tree.Expr, env: Env) -> Tensor:
        """A formula."""
        if self._is_plain(expr, env):
            return self.plain(expr, env)
        if (scored := self._entries(expr, env)) is not None:
            return scored.exp()
        if self.readings.is_density(expr) and not isinstance(expr, tree.Product):
            return self.log_density(expr, env).exp()
        match expr:
            case tree.Name(name):
                return self.objective(name, env)
            case tree.Negative(operand):
                return -self.value(operand, env)
            case tree.Sum(items):
                return sum((sign * self.value(item, env) for sign, item in items), _zero())
            case tree.Product(factors):
                return self._product(factors, env)
            case tree.Power(base, tree.Number("2" | "3" | "4" as count)) if self.readings.averages(base):
                return self._product((base,) * int(count), env)
            case tree.Power(base, exponent):
                return self.averages.nonlinear(lambda: self.value(base, env) ** self.value(exponent, env))
            case tree.Quotient(top, bottom):
                return self.averages.nonlinear(lambda: self._quotient(top, bottom, env))
            case tree.Log(operand):
                return self.log(operand, env)
            case tree.Expectation():
                return self._expectation(expr, env, self.average, lambda inner: self.value(expr.body, inner))
            case tree.Functional():
                return functional(self, expr, env)
            case tree.Call(name, arguments):
                return self._call(name, [a.value for a in arguments], env)
            case _:
                raise InternalError(f"the reference cannot interpret {type(expr).__name__} in an objective")

    def log(self, expr: tree.Expr, env: Env) -> Tensor:
        """The logarithm of a formula; of densities and their means without leaving logarithms."""
        if (scored := self._entries(expr, env)) is not None:
            return scored
        if self.readings.is_density(expr):
            return self.log_density(expr, env)
        match expr:
            case tree.Quotient(top, bottom) if self.readings.is_density(top) and self.readings.is_density(bottom):
                return self.log_density(top, env) - self.log_density(bottom, env)
            case tree.Call("exp", (argument,)):
                return self.value(argument.value, env)
            case tree.Expectation():
                return self._expectation(expr, env, self._log_average, lambda inner: self.log(expr.body, inner))
            case _:
                return self.averages.nonlinear(lambda: self.value(expr, env).log())

    # --- densities ---

    def _entries(self, expr: tree.Expr, env: Env) -> Tensor | None:
        """log of the entries that are observed, or of the tails of a factor; None of any other formula."""
        match expr:
            case tree.Call("cdf" | "survival", (tree.Argument(None, tree.Call() as factor),), None):
                return self._tail(expr.name, factor, env)
            case tree.Call() if (names := _observed_in(expr)) is not None:
                atom = self.readings.distribution(replace(expr, args=names)).atoms[0]
                variable = atom.targets[0]
                scores = self._each(atom, env).log_prob(self.world.variable(variable, env).tensor)
                mask = self.world.is_observed(variable.name)
                seen, rank = mask.tensor, mask.rank
                for _ in range(seen.ndim - scores.ndim):  # an event counts where all of it is there
                    seen, rank = seen.amin(-1), rank - 1
                return _summed(scores * seen, rank)
            case _:
                return None

    def _tail(self, name: str, factor: tree.Call, env: Env) -> Tensor:
        """log of a distribution function, or of one minus it."""
        whole = self.readings.distribution(factor)
        parts = self.readings.components(whole)
        if parts:
            total = _zero()
            for weight, weights, one in parts:
                share = self.plain(weight, env) / sum((self.plain(w, env) for w in weights), _zero())
                total = total + share * self._tail_of(name, one.atoms[0], env).exp()
            return total.log()
        return self._tail_of(name, whole.atoms[0], env)

    def _tail_of(self, name: str, atom: FactorInstance, env: Env) -> Tensor:
        """The same of one factor of a family."""
        value, use = self.world.variable(atom.targets[0], env), atom.factor.use
        assert use is not None
        given = parameters_of(self.world, use, atom, env)
        each = log_tail(name, use.family.name, self._each(atom, env), given, value.tensor)
        return _summed(each, value.rank)

    def _each(self, atom: FactorInstance, env: Env) -> D.Distribution:
        """The distribution of each entry."""
        made = distribution(self.world, atom, env)
        return made.base_dist if isinstance(made, D.Independent) else made

    def log_density(self, expr: tree.Expr, env: Env) -> Tensor:
        """log of a distribution; that of a product is the sum of those of its factors."""
        if not isinstance(expr, tree.Product):
            return self.log_prob(self.readings.scored(expr, self.name), env)
        total = _zero()
        for factor in expr.factors:
            entries = self._entries(factor, env)
            total = total + (self.log_prob(self.readings.distribution(factor), env) if entries is None else entries)
        return total

    def log_prob(self, distribution: Distribution, env: Env) -> Tensor:
        """log of a distribution; a deterministic variable that is scored is data, unless it is made of draws."""
        for atom in distribution.atoms:
            definition = atom.factor.definition
            if isinstance(definition, Pushforward) and env.get(definition.base.targets[0]) is None:
                env = env.extended(atom.targets, point(data_of(atom.targets, atom.factor.span)))
        return self.world.log_density(distribution, env)

    # --- expectations ---

    def _expectation(self, expr: tree.Expectation, env: Env, averaged: Callable[..., Tensor], body: Body) -> Tensor:
        assert expr.over is not None
        if (names := rows_of(expr, self.model)) is not None:
            atom = FactorInstance(data_of(variables(names), expr.span).factor)
            count = math.prod(self.world.batch())
            draw = Draw(Distribution((atom,)), count, env, rows="sum" if is_total(expr.options) else "mean")
            partner = self.averages.pairing.take(expr.span, draw.distribution)
            if partner is not None:
                self.averages.pairing.partners[draw] = partner
            inside_log = averaged == self._log_average
            return (self.averages.log_mean if inside_log else self.averages.mean)(draw, body)
        fixed = detached(expr.over)
        over = self.readings.drawn(expr.over if fixed is None else fixed)
        options = self.readings.options(expr.options, detached=fixed is not None)
        return averaged(over, options, env, expr.span, body)

    def average(self, over: Distribution, options: Options, env: Env, span: Span, body: Body) -> Tensor:
        """The mean of a body; over a mixture the weighted sum of those over its components."""
        parts = self.readings.components(over)
        if not parts:
            return self.averages.mean(self.averages.draw(over, options, env, span), body)
        total = _zero()
        for weight, weights, one in parts:
            share = self.plain(weight, env) / sum((self.plain(w, env) for w in weights), _zero())
            share = share.detach() if options.estimator.detached else share
            total = total + share * self.average(one, options, env, span, body)
        return total

    def _log_average(self, over: Distribution, options: Options, env: Env, span: Span, log_body: Body) -> Tensor:
        """The logarithm of the mean of `exp` of a body."""
        if self.readings.components(over):
            return self.averages.nonlinear(
                lambda: self.average(over, options, env, span, lambda inner: log_body(inner).exp()).log()
            )
        return self.averages.log_mean(self.averages.draw(over, options, env, span), log_body)

    # --- arithmetic ---

    def _product(self, factors: tuple[tree.Expr, ...], env: Env) -> Tensor:
        """A product, whose factors draw independently of one another."""
        total = torch.ones((), dtype=torch.float64)
        with self._paths() as earlier:
            for factor in factors:
                with self.averages.apart_from(earlier):
                    total = total * self.value(factor, env)
                earlier |= self.averages.paths
        return total

    def _quotient(self, top: tree.Expr, bottom: tree.Expr, env: Env) -> Tensor:
        """A quotient, whose sides draw independently."""
        with self._paths() as earlier:
            numerator = self.value(top, env)
            earlier |= self.averages.paths
            with self.averages.apart_from(earlier):
                return numerator / self.value(bottom, env)

    @contextmanager
    def _paths(self) -> Iterator[set[tuple[int, ...]]]:
        """Inside, the paths of the draws are those that are made there."""
        outside, self.averages.paths = self.averages.paths, set()
        yield set()
        self.averages.paths |= outside

    def _call(self, name: str, arguments: list[tree.Expr], env: Env) -> Tensor:
        """A function of terms; `mean` and `sum` are over the batch."""
        first = arguments[0]
        batch = tuple(range(-len(self.world.batch()), 0))
        match name:
            case "mean" | "sum":
                value = self.value(first, env)
                if not batch or value.ndim < len(batch):
                    return value
                return value.mean(batch, keepdim=True) if name == "mean" else value.sum(batch, keepdim=True)
            case "detach":
                return self.value(first, env).detach()
            case "min" | "max":
                chosen = torch.minimum if name == "min" else torch.maximum
                return self.averages.nonlinear(
                    lambda: chosen(*torch.broadcast_tensors(*(self.value(a, env) for a in arguments)))
                )
            case _:
                return self.averages.nonlinear(lambda: elementwise(name)(self.value(first, env)))

    # --- expressions of variables ---

    def plain(self, expr: tree.Expr, env: Env) -> Tensor:
        """An expression of variables, nets and params; a vector of one number is that number."""
        found = self.world.evaluate(expr, self._scope(env))
        return found.tensor.squeeze(-1) if found.rank == 1 else found.tensor

    def _scope(self, env: Env) -> Scope:
        return self.world.scope(env, {}, (), self._differentiated, self._quantile)

    def _quantile(self, call: tree.Call, share: Field, env: Env) -> Field:
        """The value below which a share of a factor's draws lies."""
        atom = self.readings.distribution(call.args[0].value).atoms[0]
        rank = len(self.model.spaces[atom.factor.targets[0]].shape)
        u = share.tensor[(..., *(None for _ in range(rank - share.rank)))]
        return Field(self._each(atom, env).icdf(u), rank)

    def _differentiated(self, expr: tree.Expr, env: Env) -> Tensor | None:
        """log of a density inside a derivative."""
        return self.log_prob(self.readings.distribution(expr), env) if self.readings.is_density(expr) else None

    def _is_plain(self, expr: tree.Expr, env: Env) -> bool:
        """True if an expression is one of variables only: no `mean` or `sum` in it is over the batch."""
        return self.readings.is_pointwise(expr) and not any(
            self._is_over_batch(node, env) for node in tree.walk(expr) if isinstance(node, tree.Call)
        )

    def _is_over_batch(self, call: tree.Call, env: Env) -> bool:
        """True if a `mean` or `sum` is of what is one number a data point already."""
        if call.name not in ("mean", "sum") or len(call.args) != 1:
            return False
        inside = call.args[0].value
        if evaluate(inside, self.model.constants) is not None:
            return False
        if not self._is_plain(inside, env):
            return True
        return self.world.evaluate(inside, self._scope(env)).rank == 0


def _observed_in(call: tree.Call) -> tuple[tree.Argument, ...] | None:
    """The arguments of `p(observed(x)|z)` without the word; None where it is not there."""
    if call.name in ("observed", "cdf", "survival"):
        return None
    inside = [
        a.value.args[0] if isinstance(a.value, tree.Call) and a.value.name == "observed" else a for a in call.args
    ]
    return None if all(a is b for a, b in zip(inside, call.args, strict=True)) else tuple(inside)


def _summed(values: Tensor, rank: int) -> Tensor:
    return values.sum(tuple(range(-rank, 0))) if rank else values


def _zero() -> Tensor:
    return torch.zeros((), dtype=torch.float64)
