"""Pairs of factors `p(z) p(c|z)`, and what their reversal `p(c) p(z|c)` is read from and made of."""

from collections.abc import Callable
from dataclasses import dataclass
from math import prod

from pgcompile.inference.affine import ELEMENTWISE, AffineReader
from pgcompile.inference.expression_maker import ONE, ZERO, Maker
from pgcompile.syntax import tree

Parameters = dict[str, tree.Expr]
Made = tuple[str, Parameters]
"""The name of a family, and its parameters."""


class NoClosedForm(Exception):
    """The order of two factors cannot be reversed; the message says why."""


@dataclass(frozen=True)
class Side:
    """One of the two factors.

    Args:
        label: for people.
        variable: what it generates.
        family: name of its family.
        parameters: over the names of the distribution.
        shape: event shape of the variable.
        shown: the variable, for people.
    """

    label: str
    variable: str
    family: str
    parameters: Parameters
    shape: tuple[int, ...]
    shown: str

    @property
    def value(self) -> tree.Expr:
        """The variable as an expression."""
        return tree.Name(self.variable)


@dataclass(frozen=True)
class Reversed:
    """`p(z|c)`, and `p(c)` where it is in a family; `at` is a point of `p(z|c)` at which its density is finite."""

    posterior: Made
    predictive: Made | None
    at: tree.Expr


Named = Callable[[str, tree.Expr], tree.Expr]
"""Gives a formula a name, with a hint for it: what is made of the formula then stays small."""


@dataclass(frozen=True)
class Pair:
    """Two factors whose order is to be reversed.

    Args:
        prior: `p(z)`.
        likelihood: `p(c|z)`.
        reader: reads parameters of the likelihood as affine maps of z.
        named: gives formulas names.
    """

    prior: Side
    likelihood: Side
    reader: AffineReader
    named: Named

    @property
    def make(self) -> Maker:
        """Makes expressions."""
        return self.reader.make

    @property
    def shown(self) -> str:
        """The variable of the prior, for people."""
        return self.prior.shown

    def check_free_of_prior(self, *names: str) -> None:
        """Check that parameters of the likelihood do not depend on the variable of the prior.

        Raises:
            NoClosedForm: one of them does.
        """
        for name in names:
            expr = self.likelihood.parameters.get(name)
            if expr is not None and self.reader.depends(expr):
                raise NoClosedForm(f"{name} of {self.likelihood.label} depends on {self.shown}")

    def check_is_variable(self, name: str) -> None:
        """Check that a parameter of the likelihood is the variable of the prior itself.

        Raises:
            NoClosedForm: it is not.
        """
        expr = self.likelihood.parameters.get(name)
        found = None if expr is None else self.reader.read(expr)
        if found is None or (found.coefficient, found.offset) != (ONE, ZERO):
            raise NoClosedForm(f"{name} of {self.likelihood.label} is not {self.shown} itself")

    def multiple(self, name: str) -> tree.Expr:
        """The factor k of a parameter that is k times the variable.

        Raises:
            NoClosedForm: it is no multiple of the variable.
        """
        found = self.reader.read(self.likelihood.parameters[name])
        if found is None or found.coefficient is None or found.offset != ZERO or found.kind != ELEMENTWISE:
            raise NoClosedForm(f"{name} of {self.likelihood.label} is not a multiple of {self.shown}")
        return found.coefficient

    def free(self, name: str) -> tree.Expr:
        """A parameter that does not depend on the variable.

        Raises:
            NoClosedForm: it does.
        """
        self.check_free_of_prior(name)
        return self.likelihood.parameters[name]

    def total(self, expr: tree.Expr, *, whole: bool = False) -> tree.Expr:
        """A statistic, summed over the entries of the likelihood's variable where one number stands behind them all.

        Raises:
            NoClosedForm: the shapes differ in another way.
        """
        if self.prior.shape == self.likelihood.shape:
            return expr
        if self.prior.shape:
            raise NoClosedForm(f"{self.shown} and {self.likelihood.shown} differ in shape")
        if whole or self.reader.rank(expr):
            return self.make.call("sum", expr)
        return self.make.times(self.make.number(str(prod(self.likelihood.shape))), expr)

    @property
    def is_alike(self) -> bool:
        """True if each entry of one has its own entry of the other."""
        return self.prior.shape == self.likelihood.shape
