"""Conjugate pairs of exponential families (Raiffa & Schlaifer 1961; table in Gelman et al. 2013, chapter 2)."""

from collections.abc import Callable

from pgcompile.inference.expression_maker import ONE
from pgcompile.inference.pairs import Made, NoClosedForm, Pair, Parameters, Reversed
from pgcompile.syntax import tree


def _beta(pair: Pair, ones: tree.Expr, zeros: tree.Expr, predictive: Made | None = None) -> Reversed:
    """Counts add to the concentrations of a beta."""
    make = pair.make
    a, b = (pair.prior.parameters[n] for n in ("concentration1", "concentration0"))
    a, b = make.add(a, pair.total(ones)), make.add(b, pair.total(zeros))
    at = make.over(a, make.add(a, b))
    return Reversed(("Beta", {"concentration1": a, "concentration0": b}), predictive, at)


def _gamma(pair: Pair, shape: tree.Expr, rate: tree.Expr, predictive: Made | None = None) -> Reversed:
    """Statistics add to the concentration and the rate of a gamma, or of its inverse."""
    make, p = pair.make, pair.prior.parameters
    a = make.add(p.get("concentration", ONE), pair.total(shape))
    b = make.add(p["rate"], pair.total(rate))
    inverse = pair.prior.family == "InverseGamma"
    at = make.over(b, make.add(a, ONE)) if inverse else make.over(a, b)
    family = "InverseGamma" if inverse else "Gamma"
    return Reversed((family, {"concentration": a, "rate": b}), predictive if pair.is_alike else None, at)


def _dirichlet(pair: Pair, counts: tree.Expr, predictive: Made | None = None) -> Reversed:
    """Counts add to the concentrations of a Dirichlet."""
    make = pair.make
    total = make.add(pair.prior.parameters["concentration"], counts)
    at = make.over(total, make.call("sum", total))
    return Reversed(("Dirichlet", {"concentration": total}), predictive, at)


def _beta_bernoulli(pair: Pair) -> Reversed:
    pair.check_is_variable("probs")
    make, p, x = pair.make, pair.prior.parameters, pair.likelihood.value
    probs = make.over(p["concentration1"], make.add(p["concentration1"], p["concentration0"]))
    predictive = ("Bernoulli", {"probs": probs}) if pair.is_alike else None
    return _beta(pair, x, make.minus(ONE, x), predictive)


def _beta_binomial(pair: Pair) -> Reversed:
    pair.check_is_variable("probs")
    x = pair.likelihood.value
    return _beta(pair, x, pair.make.minus(pair.free("total_count"), x))


def _beta_geometric(pair: Pair) -> Reversed:
    pair.check_is_variable("probs")
    return _beta(pair, ONE, pair.likelihood.value)


def _beta_negative_binomial(pair: Pair) -> Reversed:
    pair.check_is_variable("probs")
    return _beta(pair, pair.likelihood.value, pair.free("total_count"))


def _gamma_poisson(pair: Pair) -> Reversed:
    k, make, p = pair.multiple("rate"), pair.make, pair.prior.parameters
    probs = make.over(k, make.add(k, p["rate"]))
    predictive = ("NegativeBinomial", {"total_count": p.get("concentration", ONE), "probs": probs})
    return _gamma(pair, pair.likelihood.value, k, predictive)


def _gamma_exponential(pair: Pair) -> Reversed:
    return _gamma(pair, ONE, pair.make.times(pair.multiple("rate"), pair.likelihood.value))


def _gamma_gamma(pair: Pair) -> Reversed:
    rate = pair.make.times(pair.multiple("rate"), pair.likelihood.value)
    return _gamma(pair, pair.free("concentration"), rate)


def _normal_scale(pair: Pair, *, inverse: bool) -> Reversed:
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
    return _gamma(pair, make.number("0.5"), square, ("StudentT", predictive))


def _dirichlet_categorical(pair: Pair) -> Reversed:
    pair.check_is_variable("probs")
    if pair.likelihood.shape:
        raise NoClosedForm(f"{pair.likelihood.shown} has several entries: count them, and use Multinomial")
    return _dirichlet(pair, pair.make.call("one_hot", pair.likelihood.value), ("Categorical", _shares(pair)))


def _dirichlet_one_hot(pair: Pair) -> Reversed:
    pair.check_is_variable("probs")
    return _dirichlet(pair, pair.likelihood.value, ("OneHotCategorical", _shares(pair)))


def _dirichlet_multinomial(pair: Pair) -> Reversed:
    pair.check_is_variable("probs")
    return _dirichlet(pair, pair.likelihood.value)


def _shares(pair: Pair) -> Parameters:
    total = pair.prior.parameters["concentration"]
    return {"probs": pair.make.over(total, pair.make.call("sum", total))}


CONJUGATE: dict[tuple[str, str], Callable[[Pair], Reversed]] = {
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
"""The rule of each pair, by the families of its prior and its likelihood."""
