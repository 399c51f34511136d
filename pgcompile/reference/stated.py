"""A functional that the judge has no definition of, as its file states it.

The judge then confirms how the functional is computed, and takes the definition on trust. No functional of the compiler
is read so: a test demands a definition of each in `functionals.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from pgcompile.diagnostics import InternalError
from pgcompile.model.distributions import Distribution
from pgcompile.objective.terms import Env
from pgcompile.syntax import tree
from pgcompile.vocabulary.definition import LEFT, RIGHT, Add, Density, Divide, Formula, Log, Mean, Number, Option, Raise
from pgcompile.vocabulary.functionals import functionals

if TYPE_CHECKING:
    from pgcompile.reference.formulas import Formulas


def stated(formulas: Formulas, node: tree.Functional, env: Env) -> Tensor:
    """The value of a functional by the definition that its file states.

    Raises:
        InternalError: it states none.
    """
    functional = functionals().get(node.kind)
    if functional is None or functional.definition is None:
        raise InternalError(f"the reference does not know {node.kind}")
    left = formulas.readings.drawn(node.left)
    sides = {LEFT: left}
    if node.right is not None:
        sides[RIGHT] = formulas.readings.opposite(node.right, left)
    return _Stated(formulas, node, sides).value(functional.definition, env)


class _Stated:
    def __init__(self, formulas: Formulas, node: tree.Functional, sides: dict[Density, Distribution]) -> None:
        self.formulas = formulas
        self.options = formulas.readings.options(node.options)
        self.node = node
        self.sides = sides

    def value(self, formula: Formula, env: Env) -> Tensor:
        match formula:
            case Number(number):
                return torch.tensor(float(number), dtype=torch.float64)
            case Option(name):
                chosen = self.options.number(name, self.formulas.model, float("nan"))
                return torch.tensor(chosen, dtype=torch.float64)
            case Add(terms):
                return torch.stack(torch.broadcast_tensors(*(sign * self.value(t, env) for sign, t in terms))).sum(0)
            case Log(operand):
                return self.logarithm(operand, env)
            case Mean(over, body):
                return self.formulas.average(
                    self.sides[over], self.options, env, self.node.span, lambda at: self.value(body, at)
                )
            case _ if _is_positive(formula):
                return self.logarithm(formula, env).exp()
            case Divide(numerator, denominator):
                return self.value(numerator, env) / self.value(denominator, env)
            case Raise(base, exponent):
                return self.value(base, env) ** self.value(exponent, env)
            case _:
                raise InternalError(f"the reference does not know {formula}")

    def logarithm(self, formula: Formula, env: Env) -> Tensor:
        """Of densities without their values, which may be too small for a number."""
        match formula:
            case Density():
                return self.formulas.log_prob(self.sides[formula], env)
            case Divide(numerator, denominator):
                return self.logarithm(numerator, env) - self.logarithm(denominator, env)
            case Raise(base, exponent):
                return self.value(exponent, env) * self.logarithm(base, env)
            case Mean(over, body) if _is_positive(body):
                averages = self.formulas.averages
                draw = averages.draw(self.sides[over], self.options, env, self.node.span)
                return averages.log_mean(draw, lambda at: self.logarithm(body, at))
            case _:
                return self.value(formula, env).log()


def _is_positive(formula: Formula) -> bool:
    """True if it is made of densities by division and powers alone."""
    match formula:
        case Density():
            return True
        case Divide(numerator, denominator):
            return _is_positive(numerator) and _is_positive(denominator)
        case Raise(base, _):
            return _is_positive(base)
        case _:
            return False
