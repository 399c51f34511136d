"""Products of experts: `q(z|x,y) ∝ q_1(z|x) q_2(z|y) p(z)`, normalised where the family is closed under products.

The product is a factor of the same family, whose parameters are expressions of the experts' parameters: it is drawn
from, scored and compared in closed form as any other (Hinton 2002; for Gaussians Cao & Fleet 2014).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from pgcompile.diagnostics import Span
from pgcompile.inference.expression_maker import Maker, renamed
from pgcompile.model.factors import Factor, FamilyUse
from pgcompile.syntax import tree

Parameters = Mapping[str, tree.Expr]


@dataclass(frozen=True)
class Expert:
    """One factor of a product, with the power that it is raised to."""

    factor: Factor
    power: tree.Expr | None


class NotClosed(Exception):
    """The product is in no family of the language; the message says why."""


def product(experts: list[Expert], span: Span) -> FamilyUse:
    """The normalised product of experts over one variable.

    Raises:
        NotClosed: it is in no family of the language.
    """
    uses: list[FamilyUse] = []
    for expert in experts:
        if expert.factor.use is None:
            raise NotClosed(f"{expert.factor.label} has no family of its own")
        uses.append(expert.factor.use)
    names = list(dict.fromkeys(use.family.name for use in uses))
    if {*names} == {"Normal", "MultivariateNormal"}:
        raise NotClosed("one is Normal and another MultivariateNormal: write each as a MultivariateNormal")
    if len(names) > 1:
        raise NotClosed(f"its factors are {' and '.join(names)}, whose product is in neither family")
    rule = _RULES.get(names[0])
    if rule is None:
        raise NotClosed(f"{names[0]} is not closed under products; {', '.join(_RULES)} are")
    bindings: list[tree.Binding] = []
    parts: list[dict[str, tree.Expr]] = []
    for number, use in enumerate(uses, 1):
        fresh = {n.id: f"{n.id}_expert{number}" for b in use.bindings for n in b.names}
        bindings += [renamed(b, fresh) for b in use.bindings]
        parts.append({name: renamed(expr, fresh) for name, expr in use.parameters})
    make = Maker(span)
    values = rule(make, parts, [expert.power for expert in experts])
    order = [p.name for p in uses[0].family.parameters]
    return FamilyUse(uses[0].family, tuple((n, values[n]) for n in order if n in values), tuple(bindings))


Rule = Callable[[Maker, list[dict[str, tree.Expr]], list[tree.Expr | None]], dict[str, tree.Expr]]


def _weighed(make: Maker, weight: tree.Expr | None, value: tree.Expr) -> tree.Expr:
    """`weight * value`; an expert without a power counts once."""
    return value if weight is None else make.times(weight, value)


def _normal(make: Maker, parts: list[dict[str, tree.Expr]], powers: list[tree.Expr | None]) -> dict[str, tree.Expr]:
    """Precisions add, and the mean is weighed by them."""
    precisions = [
        _weighed(make, w, make.over(make.number("1"), make.call("square", p["scale"])))
        for p, w in zip(parts, powers, strict=True)
    ]
    total = make.add(*precisions)
    pulls = [
        make.over(_weighed(make, w, p["loc"]), make.call("square", p["scale"]))
        for p, w in zip(parts, powers, strict=True)
    ]
    one = make.number("1")
    return {"loc": make.over(make.add(*pulls), total), "scale": make.over(one, make.call("sqrt", total))}


def _logits(make: Maker, parts: list[dict[str, tree.Expr]], powers: list[tree.Expr | None]) -> dict[str, tree.Expr]:
    """Log-odds add."""
    found = [p["logits"] if "logits" in p else make.call("logit", p["probs"]) for p in parts]
    return {"logits": make.add(*(_weighed(make, w, v) for w, v in zip(powers, found, strict=True)))}


def _categories(make: Maker, parts: list[dict[str, tree.Expr]], powers: list[tree.Expr | None]) -> dict[str, tree.Expr]:
    """Log-probabilities add, up to a constant."""
    found = [p["logits"] if "logits" in p else tree.Log(p["probs"], span=make.span) for p in parts]
    return {"logits": make.add(*(_weighed(make, w, v) for w, v in zip(powers, found, strict=True)))}


def _exponents(*names: str, rates: tuple[str, ...] = ()) -> Rule:
    """`x^(a-1)` terms: what is above one adds; rates add."""

    def rule(make: Maker, parts: list[dict[str, tree.Expr]], powers: list[tree.Expr | None]) -> dict[str, tree.Expr]:
        one = make.number("1")
        found: dict[str, tree.Expr] = {}
        for name in names:
            above = [_weighed(make, w, make.minus(p[name], one)) for w, p in zip(powers, parts, strict=True)]
            found[name] = make.add(one, *above)
        for name in rates:
            found[name] = make.add(*(_weighed(make, w, p[name]) for w, p in zip(powers, parts, strict=True)))
        return found

    return rule


def _gaussian(make: Maker, parts: list[dict[str, tree.Expr]], powers: list[tree.Expr | None]) -> dict[str, tree.Expr]:
    """Precision matrices add, and the mean is weighed by them."""
    matrices = []
    for part, power in zip(parts, powers, strict=True):
        if "precision_matrix" in part:
            matrix = part["precision_matrix"]
        elif "covariance_matrix" in part:
            matrix = make.call("inverse", part["covariance_matrix"])
        else:
            root = part["scale_tril"]
            matrix = make.call("inverse", make.matmul(root, make.call("transpose", root)))
        matrices.append(_weighed(make, power, matrix))
    total = make.add(*matrices)
    pulls = [make.matmul(m, p["loc"]) for m, p in zip(matrices, parts, strict=True)]
    return {"loc": make.matmul(make.call("inverse", total), make.add(*pulls)), "precision_matrix": total}


_RULES: dict[str, Rule] = {
    "MultivariateNormal": _gaussian,
    "Normal": _normal,
    "Bernoulli": _logits,
    "Categorical": _categories,
    "OneHotCategorical": _categories,
    "Gamma": _exponents("concentration", rates=("rate",)),
    "Exponential": _exponents(rates=("rate",)),
    "Beta": _exponents("concentration1", "concentration0"),
    "Dirichlet": _exponents("concentration"),
}
