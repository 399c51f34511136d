"""Gaussian pairs with affine locations (Bishop 2006, section 2.3.3)."""

from pgcompile.inference.affine import ELEMENTWISE, ROW, Affine
from pgcompile.inference.expression_maker import ONE, ZERO
from pgcompile.inference.pairs import Made, NoClosedForm, Pair, Reversed, Side
from pgcompile.syntax import tree

GAUSSIAN = frozenset(("Normal", "MultivariateNormal"))


def reverse_gaussians(pair: Pair) -> Reversed:
    """The reversal of a pair whose likelihood has a location that is affine in the variable of the prior.

    Args:
        pair: factors of Normal or MultivariateNormal.

    Raises:
        NoClosedForm: the location is not affine, or the covariance between the variables is no matrix.
    """
    like = pair.likelihood.parameters
    pair.check_free_of_prior("scale", "covariance_matrix", "precision_matrix", "scale_tril")
    found = pair.reader.read(like["loc"])
    if found is None or found.coefficient is None:
        raise NoClosedForm(f"the location of {pair.likelihood.label} is not affine in {pair.shown}")
    simple = pair.prior.family == pair.likelihood.family == "Normal"
    alike = pair.prior.shape == pair.likelihood.shape
    if simple and alike and found.kind == ELEMENTWISE:
        return _elementwise(pair, found.coefficient, found.offset)
    if simple and not pair.prior.shape and found.kind == ELEMENTWISE:
        return _shared(pair, found.coefficient, found.offset)
    if len(pair.prior.shape) == 1 and found.kind == ROW and pair.likelihood.family == "Normal":
        return _row(pair, found.coefficient, found.offset)
    if len(pair.prior.shape) == len(pair.likelihood.shape) == 1:
        return _matrix(pair, found)
    raise NoClosedForm(
        f"{pair.shown} is {list(pair.prior.shape)} and {pair.likelihood.shown} is "
        f"{list(pair.likelihood.shape)}: the covariance between them is no matrix"
    )


def _elementwise(pair: Pair, a: tree.Expr, b: tree.Expr) -> Reversed:
    make, prior, like = pair.make, pair.prior.parameters, pair.likelihood.parameters
    spread = make.add(make.times(make.square(a), make.square(prior["scale"])), make.square(like["scale"]))
    predictive = {
        "loc": make.add(make.times(a, prior["loc"]), b),
        "scale": make.call("sqrt", spread),
    }
    evidence = make.over(make.square(a), make.square(like["scale"]))
    pull = make.over(make.times(a, make.minus(pair.likelihood.value, b)), make.square(like["scale"]))
    return _from_precision(pair, evidence, pull, ("Normal", predictive))


def _shared(pair: Pair, a: tree.Expr, b: tree.Expr) -> Reversed:
    """One number behind every entry of a vector."""
    make, like = pair.make, pair.likelihood.parameters
    evidence = pair.total(make.over(make.square(a), make.square(like["scale"])))
    pull = pair.total(
        make.over(make.times(a, make.minus(pair.likelihood.value, b)), make.square(like["scale"])), whole=True
    )
    return _from_precision(pair, evidence, pull, None)


def _from_precision(pair: Pair, evidence: tree.Expr, pull: tree.Expr, predictive: Made | None) -> Reversed:
    """The posterior of independent entries: precisions add."""
    make, prior = pair.make, pair.prior.parameters
    own = make.over(ONE, make.square(prior["scale"]))
    precision = pair.named(f"precision_{pair.shown}", make.add(own, evidence))
    loc = make.over(make.add(make.over(prior["loc"], make.square(prior["scale"])), pull), precision)
    posterior = {"loc": loc, "scale": make.over(ONE, make.call("sqrt", precision))}
    return Reversed(("Normal", posterior), predictive, loc)


def _row(pair: Pair, w: tree.Expr, b: tree.Expr) -> Reversed:
    """A scalar that is a weighted sum of a vector."""
    make, prior, like = pair.make, pair.prior.parameters, pair.likelihood.parameters
    variance = make.square(like["scale"])
    w = pair.named(f"row_{pair.shown}", w)
    if "scale" in prior:
        spread = make.call("sum", make.square(make.times(w, _full(pair, prior["scale"]))))
    else:
        spread = make.matmul(w, make.matmul(_covariance(pair, pair.prior), w))
    expected = b if prior["loc"] == ZERO else make.add(make.matmul(w, _full(pair, prior["loc"])), b)
    expected = pair.named(f"expected_{pair.likelihood.variable}", expected)
    predictive = {"loc": expected, "scale": make.call("sqrt", make.add(spread, variance))}
    precision = make.add(_precision(pair, pair.prior), make.over(make.call("outer", w, w), variance))
    surprise = make.over(make.times(w, make.minus(pair.likelihood.value, expected)), variance)
    return _multivariate(pair, precision, surprise, ("Normal", predictive))


def _matrix(pair: Pair, found: Affine) -> Reversed:
    """A vector that is a linear map of a vector, with noise."""
    make, prior = pair.make, pair.prior.parameters
    assert found.coefficient is not None
    a = found.coefficient
    if found.kind == ELEMENTWISE:
        a = make.call("diag", make.times(a, make.ones(pair.prior.shape[0])))
    a = pair.named(f"map_{pair.shown}", a)
    loc = _full(pair, prior["loc"])
    shifted = found.offset if prior["loc"] == ZERO else make.add(make.matmul(a, loc), found.offset)
    shifted = pair.named(f"expected_{pair.likelihood.variable}", shifted)
    transposed = make.call("transpose", a)
    if "scale" not in prior:
        scaled = make.matmul(a, _covariance(pair, pair.prior))
    elif pair.reader.rank(prior["scale"]):
        scaled = make.matmul(a, make.call("diag", make.square(prior["scale"])))
    else:
        scaled = make.times(make.square(prior["scale"]), a)
    scaled = pair.named(f"scaled_{pair.shown}", scaled)
    covariance = make.add(make.matmul(scaled, transposed), _covariance(pair, pair.likelihood))
    weights = pair.named(f"weights_{pair.shown}", make.matmul(transposed, _precision(pair, pair.likelihood)))
    precision = make.add(_precision(pair, pair.prior), make.matmul(weights, a))
    surprise = make.matmul(weights, make.minus(pair.likelihood.value, shifted))
    predictive = {"loc": _full(pair, shifted, pair.likelihood), "covariance_matrix": covariance}
    return _multivariate(pair, precision, surprise, ("MultivariateNormal", predictive))


def _multivariate(pair: Pair, precision: tree.Expr, surprise: tree.Expr, predictive: Made) -> Reversed:
    make = pair.make
    precision = pair.named(f"precision_{pair.shown}", precision)
    moved = make.matmul(make.call("inverse", precision), surprise)
    loc = make.add(pair.prior.parameters["loc"], moved)
    return Reversed(("MultivariateNormal", {"loc": loc, "precision_matrix": precision}), predictive, loc)


def _full(pair: Pair, expr: tree.Expr, side: Side | None = None) -> tree.Expr:
    """A vector, where a scalar stands for all its entries."""
    shape = (side or pair.prior).shape
    return expr if pair.reader.rank(expr) else pair.make.times(expr, pair.make.ones(shape[0]))


def _covariance(pair: Pair, side: Side) -> tree.Expr:
    make, p = pair.make, side.parameters
    if "scale" in p:
        return make.call("diag", _full(pair, make.square(p["scale"]), side))
    if "covariance_matrix" in p:
        return p["covariance_matrix"]
    if "scale_tril" in p:
        return make.matmul(p["scale_tril"], make.call("transpose", p["scale_tril"]))
    return make.call("inverse", p["precision_matrix"])


def _precision(pair: Pair, side: Side) -> tree.Expr:
    make, p = pair.make, side.parameters
    if "scale" in p:
        return make.call("diag", _full(pair, make.over(ONE, make.square(p["scale"])), side))
    if "precision_matrix" in p:
        return p["precision_matrix"]
    return make.call("inverse", _covariance(pair, side))
