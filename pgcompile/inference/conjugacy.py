"""Pairs of factors `p(z) p(c|z)` whose order can be reversed: `p(c) p(z|c)`, with families for both.

Gaussian pairs with affine locations (Bishop 2006, section 2.3.3), and the conjugate pairs of exponential families
(Raiffa & Schlaifer 1961; table in Gelman et al. 2013, chapter 2).
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import prod

from pgcompile.inference.affine import ELEMENTWISE, ROW, Affine, AffineReader
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


def reverse(prior: Side, likelihood: Side, reader: AffineReader, named: Named) -> Reversed:
    """The two factors in the other order.

    Raises:
        NoClosedForm: they are no pair for which that is known.
    """
    pair = _Pair(prior, likelihood, reader, reader.make, named)
    if prior.family in ("Normal", "MultivariateNormal") and likelihood.family in ("Normal", "MultivariateNormal"):
        return pair.gaussian()
    rule = _RULES.get((prior.family, likelihood.family))
    if rule is None:
        raise NoClosedForm(
            f"{prior.label} is {prior.family} and {likelihood.label} is {likelihood.family}, which are not conjugate"
        )
    return rule(pair)


@dataclass(frozen=True)
class _Pair:
    prior: Side
    likelihood: Side
    reader: AffineReader
    make: Maker
    named: Named

    # --- Gaussians ---

    def gaussian(self) -> Reversed:
        like = self.likelihood.parameters
        self._free_of_prior("scale", "covariance_matrix", "precision_matrix", "scale_tril")
        found = self.reader.read(like["loc"])
        if found is None or found.coefficient is None:
            raise NoClosedForm(f"the location of {self.likelihood.label} is not affine in {self._shown}")
        simple = self.prior.family == self.likelihood.family == "Normal"
        alike = self.prior.shape == self.likelihood.shape
        if simple and alike and found.kind == ELEMENTWISE:
            return self._elementwise(found.coefficient, found.offset)
        if simple and not self.prior.shape and found.kind == ELEMENTWISE:
            return self._shared(found.coefficient, found.offset)
        if len(self.prior.shape) == 1 and found.kind == ROW and self.likelihood.family == "Normal":
            return self._row(found.coefficient, found.offset)
        if len(self.prior.shape) == len(self.likelihood.shape) == 1:
            return self._matrix(found)
        raise NoClosedForm(
            f"{self._shown} is {list(self.prior.shape)} and {self.likelihood.shown} is "
            f"{list(self.likelihood.shape)}: the covariance between them is no matrix"
        )

    def _elementwise(self, a: tree.Expr, b: tree.Expr) -> Reversed:
        make, prior, like = self.make, self.prior.parameters, self.likelihood.parameters
        spread = make.add(make.times(make.square(a), make.square(prior["scale"])), make.square(like["scale"]))
        predictive = {
            "loc": make.add(make.times(a, prior["loc"]), b),
            "scale": make.call("sqrt", spread),
        }
        evidence = make.over(make.square(a), make.square(like["scale"]))
        pull = make.over(make.times(a, make.minus(self.likelihood.value, b)), make.square(like["scale"]))
        return self._from_precision(evidence, pull, ("Normal", predictive))

    def _shared(self, a: tree.Expr, b: tree.Expr) -> Reversed:
        """One number behind every entry of a vector."""
        make, like = self.make, self.likelihood.parameters
        evidence = self.total(make.over(make.square(a), make.square(like["scale"])))
        pull = self.total(
            make.over(make.times(a, make.minus(self.likelihood.value, b)), make.square(like["scale"])), whole=True
        )
        return self._from_precision(evidence, pull, None)

    def _from_precision(self, evidence: tree.Expr, pull: tree.Expr, predictive: Made | None) -> Reversed:
        """The posterior of independent entries: precisions add."""
        make, prior = self.make, self.prior.parameters
        own = make.over(ONE, make.square(prior["scale"]))
        precision = self.named(f"precision_{self._shown}", make.add(own, evidence))
        loc = make.over(make.add(make.over(prior["loc"], make.square(prior["scale"])), pull), precision)
        posterior = {"loc": loc, "scale": make.over(ONE, make.call("sqrt", precision))}
        return Reversed(("Normal", posterior), predictive, loc)

    def _row(self, w: tree.Expr, b: tree.Expr) -> Reversed:
        """A scalar that is a weighted sum of a vector."""
        make, prior, like = self.make, self.prior.parameters, self.likelihood.parameters
        variance = make.square(like["scale"])
        w = self.named(f"row_{self._shown}", w)
        if "scale" in prior:
            spread = make.call("sum", make.square(make.times(w, self._full(prior["scale"]))))
        else:
            spread = make.matmul(w, make.matmul(self._covariance(self.prior), w))
        expected = b if prior["loc"] == ZERO else make.add(make.matmul(w, self._full(prior["loc"])), b)
        expected = self.named(f"expected_{self.likelihood.variable}", expected)
        predictive = {"loc": expected, "scale": make.call("sqrt", make.add(spread, variance))}
        precision = make.add(self._precision(self.prior), make.over(make.call("outer", w, w), variance))
        surprise = make.over(make.times(w, make.minus(self.likelihood.value, expected)), variance)
        return self._multivariate(precision, surprise, ("Normal", predictive))

    def _matrix(self, found: Affine) -> Reversed:
        """A vector that is a linear map of a vector, with noise."""
        make, prior = self.make, self.prior.parameters
        assert found.coefficient is not None
        a = found.coefficient
        if found.kind == ELEMENTWISE:
            a = make.call("diag", make.times(a, make.ones(self.prior.shape[0])))
        a = self.named(f"map_{self._shown}", a)
        loc = self._full(prior["loc"])
        shifted = found.offset if prior["loc"] == ZERO else make.add(make.matmul(a, loc), found.offset)
        shifted = self.named(f"expected_{self.likelihood.variable}", shifted)
        transposed = make.call("transpose", a)
        if "scale" not in prior:
            scaled = make.matmul(a, self._covariance(self.prior))
        elif self.reader.rank(prior["scale"]):
            scaled = make.matmul(a, make.call("diag", make.square(prior["scale"])))
        else:
            scaled = make.times(make.square(prior["scale"]), a)
        scaled = self.named(f"scaled_{self._shown}", scaled)
        covariance = make.add(make.matmul(scaled, transposed), self._covariance(self.likelihood))
        weights = self.named(f"weights_{self._shown}", make.matmul(transposed, self._precision(self.likelihood)))
        precision = make.add(self._precision(self.prior), make.matmul(weights, a))
        surprise = make.matmul(weights, make.minus(self.likelihood.value, shifted))
        predictive = {"loc": self._full(shifted, self.likelihood), "covariance_matrix": covariance}
        return self._multivariate(precision, surprise, ("MultivariateNormal", predictive))

    def _multivariate(self, precision: tree.Expr, surprise: tree.Expr, predictive: Made) -> Reversed:
        make = self.make
        precision = self.named(f"precision_{self._shown}", precision)
        moved = make.matmul(make.call("inverse", precision), surprise)
        loc = make.add(self.prior.parameters["loc"], moved)
        return Reversed(("MultivariateNormal", {"loc": loc, "precision_matrix": precision}), predictive, loc)

    def _full(self, expr: tree.Expr, side: Side | None = None) -> tree.Expr:
        """A vector, where a scalar stands for all its entries."""
        shape = (side or self.prior).shape
        return expr if self.reader.rank(expr) else self.make.times(expr, self.make.ones(shape[0]))

    def _covariance(self, side: Side) -> tree.Expr:
        make, p = self.make, side.parameters
        if "scale" in p:
            return make.call("diag", self._full(make.square(p["scale"]), side))
        if "covariance_matrix" in p:
            return p["covariance_matrix"]
        if "scale_tril" in p:
            return make.matmul(p["scale_tril"], make.call("transpose", p["scale_tril"]))
        return make.call("inverse", p["precision_matrix"])

    def _precision(self, side: Side) -> tree.Expr:
        make, p = self.make, side.parameters
        if "scale" in p:
            return make.call("diag", self._full(make.over(ONE, make.square(p["scale"])), side))
        if "precision_matrix" in p:
            return p["precision_matrix"]
        return make.call("inverse", self._covariance(side))

    # --- other families ---

    @property
    def _shown(self) -> str:
        return self.prior.shown

    def _free_of_prior(self, *names: str) -> None:
        for name in names:
            expr = self.likelihood.parameters.get(name)
            if expr is not None and self.reader.depends(expr):
                raise NoClosedForm(f"{name} of {self.likelihood.label} depends on {self._shown}")

    def is_variable(self, name: str) -> None:
        """That a parameter is the variable itself."""
        expr = self.likelihood.parameters.get(name)
        found = None if expr is None else self.reader.read(expr)
        if found is None or (found.coefficient, found.offset) != (ONE, ZERO):
            raise NoClosedForm(f"{name} of {self.likelihood.label} is not {self._shown} itself")

    def multiple(self, name: str) -> tree.Expr:
        """The factor k of a parameter that is k times the variable."""
        found = self.reader.read(self.likelihood.parameters[name])
        if found is None or found.coefficient is None or found.offset != ZERO or found.kind != ELEMENTWISE:
            raise NoClosedForm(f"{name} of {self.likelihood.label} is not a multiple of {self._shown}")
        return found.coefficient

    def free(self, name: str) -> tree.Expr:
        """A parameter that does not depend on the variable."""
        self._free_of_prior(name)
        return self.likelihood.parameters[name]

    def total(self, expr: tree.Expr, *, whole: bool = False) -> tree.Expr:
        """A statistic, summed over the entries of the likelihood's variable where one number stands behind them all.

        Raises:
            NoClosedForm: the shapes differ in another way.
        """
        if self.prior.shape == self.likelihood.shape:
            return expr
        if self.prior.shape:
            raise NoClosedForm(f"{self._shown} and {self.likelihood.shown} differ in shape")
        if whole or self.reader.rank(expr):
            return self.make.call("sum", expr)
        return self.make.times(self.make.number(str(prod(self.likelihood.shape))), expr)

    @property
    def is_alike(self) -> bool:
        """Whether each entry of one has its own entry of the other."""
        return self.prior.shape == self.likelihood.shape

    def beta(self, ones: tree.Expr, zeros: tree.Expr, predictive: Made | None = None) -> Reversed:
        """Counts add to the concentrations of a beta."""
        make = self.make
        a, b = (self.prior.parameters[n] for n in ("concentration1", "concentration0"))
        a, b = make.add(a, self.total(ones)), make.add(b, self.total(zeros))
        at = make.over(a, make.add(a, b))
        return Reversed(("Beta", {"concentration1": a, "concentration0": b}), predictive, at)

    def gamma(self, shape: tree.Expr, rate: tree.Expr, predictive: Made | None = None) -> Reversed:
        """Statistics add to the concentration and the rate of a gamma, or of its inverse."""
        make, p = self.make, self.prior.parameters
        a = make.add(p.get("concentration", ONE), self.total(shape))
        b = make.add(p["rate"], self.total(rate))
        inverse = self.prior.family == "InverseGamma"
        at = make.over(b, make.add(a, ONE)) if inverse else make.over(a, b)
        family = "InverseGamma" if inverse else "Gamma"
        return Reversed((family, {"concentration": a, "rate": b}), predictive if self.is_alike else None, at)

    def dirichlet(self, counts: tree.Expr, predictive: Made | None = None) -> Reversed:
        """Counts add to the concentrations of a Dirichlet."""
        make = self.make
        total = make.add(self.prior.parameters["concentration"], counts)
        at = make.over(total, make.call("sum", total))
        return Reversed(("Dirichlet", {"concentration": total}), predictive, at)


def _beta_bernoulli(pair: _Pair) -> Reversed:
    pair.is_variable("probs")
    make, p, x = pair.make, pair.prior.parameters, pair.likelihood.value
    probs = make.over(p["concentration1"], make.add(p["concentration1"], p["concentration0"]))
    predictive = ("Bernoulli", {"probs": probs}) if pair.is_alike else None
    return pair.beta(x, make.minus(ONE, x), predictive)


def _beta_binomial(pair: _Pair) -> Reversed:
    pair.is_variable("probs")
    x = pair.likelihood.value
    return pair.beta(x, pair.make.minus(pair.free("total_count"), x))


def _beta_geometric(pair: _Pair) -> Reversed:
    pair.is_variable("probs")
    return pair.beta(ONE, pair.likelihood.value)


def _beta_negative_binomial(pair: _Pair) -> Reversed:
    pair.is_variable("probs")
    return pair.beta(pair.likelihood.value, pair.free("total_count"))


def _gamma_poisson(pair: _Pair) -> Reversed:
    k, make, p = pair.multiple("rate"), pair.make, pair.prior.parameters
    probs = make.over(k, make.add(k, p["rate"]))
    predictive = ("NegativeBinomial", {"total_count": p.get("concentration", ONE), "probs": probs})
    return pair.gamma(pair.likelihood.value, k, predictive)


def _gamma_exponential(pair: _Pair) -> Reversed:
    return pair.gamma(ONE, pair.make.times(pair.multiple("rate"), pair.likelihood.value))


def _gamma_gamma(pair: _Pair) -> Reversed:
    rate = pair.make.times(pair.multiple("rate"), pair.likelihood.value)
    return pair.gamma(pair.free("concentration"), rate)


def _normal_scale(pair: _Pair, *, inverse: bool) -> Reversed:
    """A Normal whose precision (or variance, `inverse`) is the variable."""
    make, p = pair.make, pair.prior.parameters
    z = pair.prior.value
    root = make.call("sqrt", z)
    half = tree.Quotient(ONE, tree.Number("2"))
    known: list[tree.Expr] = [root] if inverse else [tree.Quotient(ONE, root)]
    known += [tree.Power(z, half), tree.Power(z, tree.Number("0.5"))] if inverse else []
    known += [] if inverse else [tree.Power(z, tree.Negative(half)), tree.Power(z, tree.Negative(tree.Number("0.5")))]
    scale = pair.likelihood.parameters["scale"]
    while isinstance(scale, tree.Name) and scale.id in pair.reader.inline:
        scale = pair.reader.inline[scale.id]
    if scale not in known:
        what = f"sqrt({pair.prior.shown})" if inverse else f"1/sqrt({pair.prior.shown})"
        raise NoClosedForm(f"scale of {pair.likelihood.label} is not {what}")
    loc, a = pair.free("loc"), p.get("concentration", ONE)
    square = make.over(make.square(make.minus(pair.likelihood.value, loc)), make.number("2"))
    predictive = {
        "df": make.times(make.number("2"), a),
        "loc": loc,
        "scale": make.call("sqrt", make.over(p["rate"], a)),
    }
    return pair.gamma(make.number("0.5"), square, ("StudentT", predictive))


def _dirichlet_categorical(pair: _Pair) -> Reversed:
    pair.is_variable("probs")
    if pair.likelihood.shape:
        raise NoClosedForm(f"{pair.likelihood.shown} has several entries: count them, and use Multinomial")
    return pair.dirichlet(pair.make.call("one_hot", pair.likelihood.value), ("Categorical", _shares(pair)))


def _dirichlet_one_hot(pair: _Pair) -> Reversed:
    pair.is_variable("probs")
    return pair.dirichlet(pair.likelihood.value, ("OneHotCategorical", _shares(pair)))


def _dirichlet_multinomial(pair: _Pair) -> Reversed:
    pair.is_variable("probs")
    return pair.dirichlet(pair.likelihood.value)


def _shares(pair: _Pair) -> Parameters:
    total = pair.prior.parameters["concentration"]
    return {"probs": pair.make.over(total, pair.make.call("sum", total))}


_RULES: dict[tuple[str, str], Callable[[_Pair], Reversed]] = {
    ("Beta", "Bernoulli"): _beta_bernoulli,
    ("Beta", "Binomial"): _beta_binomial,
    ("Beta", "Geometric"): _beta_geometric,
    ("Beta", "NegativeBinomial"): _beta_negative_binomial,
    **{(prior, "Poisson"): _gamma_poisson for prior in ("Gamma", "Exponential")},
    **{(prior, "Exponential"): _gamma_exponential for prior in ("Gamma", "Exponential")},
    **{(prior, "Gamma"): _gamma_gamma for prior in ("Gamma", "Exponential")},
    **{(prior, "Normal"): lambda pair: _normal_scale(pair, inverse=False) for prior in ("Gamma", "Exponential")},
    ("InverseGamma", "Normal"): lambda pair: _normal_scale(pair, inverse=True),
    ("Dirichlet", "Categorical"): _dirichlet_categorical,
    ("Dirichlet", "OneHotCategorical"): _dirichlet_one_hot,
    ("Dirichlet", "Multinomial"): _dirichlet_multinomial,
}
