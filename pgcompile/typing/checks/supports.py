"""Supports: the values that a family generates and scores, against the space of its variable."""

from dataclasses import replace

from pgcompile.model.literals import evaluate, flatten
from pgcompile.typing.checks.context import FamilyContext
from pgcompile.vocabulary.spaces import KINDS, Space, contains, covers_support, is_countable

_FAMILIES_FOR = {
    "real": "Normal",
    "positive": "Gamma or LogNormal",
    "nonnegative": "Exponential",
    "unit_interval": "Beta",
    "boolean": "Bernoulli",
    "category": "Categorical",
    "one_hot": "OneHotCategorical",
    "simplex": "Dirichlet",
    "nonnegative_integer": "Poisson",
    "positive_definite": "Wishart",
    "corr_cholesky": "LKJCholesky",
}
_EVENTS = {1: "vectors", 2: "matrices"}
_DISCRETE = ("boolean", "nonnegative_integer", "one_hot", "category")
_CONTINUOUS = ("real", "nonnegative", "positive", "unit_interval")


def check_support(context: FamilyContext, space: Space) -> bool:
    """Test whether values of the variable can be scored by the family, and report what cannot or need not be.

    Args:
        context: the factor.
        space: of its variable.

    Returns:
        Whether its parameters can be checked against the space.
    """
    family, subject, support = context.family, context.factor.subject, context.family.support
    if family.event_rank > len(space.shape):
        context.sink.add(
            "PGC304",
            context.factor.span,
            f"{family.name} is a distribution over {_EVENTS[family.event_rank]}, and {subject} is `{space}`",
            related=[(context.declared_at, f"{subject} is declared here")],
            help=f"declare `{subject} : {support}[{', '.join(['3'] * family.event_rank)}]`",
        )
        return False
    if family.event_rank and space.shape[-1] < family.least:
        context.sink.add(
            "PGC304",
            context.factor.span,
            f"{family.name} is a distribution over {family.least} numbers or more, and {subject} is `{space}`",
            related=[(context.declared_at, f"{subject} is declared here")],
            help=f"declare `{subject} : {support}[{family.least}]`",
        )
        return False
    if space.kind == "category" and not contains("nonnegative_integer", support):
        # An index is a number, and no value of a continuous scale.
        _report_misfit(context, space)
        return False
    if contains(support, space.kind):
        _warn_of_draws_outside(context, space)
        return True
    if space.kind == "unit_interval" and support == "boolean":
        context.sink.add(
            "N108",
            context.factor.span,
            f"{family.name} scores 0 and 1, and {subject} is declared `{space}`: its values count as probabilities",
            reasons=["the cross-entropy of values between 0 and 1 is no normalised log-density"],
            help=f"ContinuousBernoulli is one; of values that are 0 or 1, declare {subject} boolean",
        )
        return True
    if contains(space.kind, support) and _can_score(support, space.kind):
        context.sink.add(
            "W103",
            context.factor.span,
            f"{subject} is declared `{space}`, and {family.name} scores only values that are {KINDS[support].what}",
            help=f"declare `{subject} : {_of_kind(space, support)}`",
        )
        return True
    _report_misfit(context, space)
    return False


def _can_score(support: str, kind: str) -> bool:
    """True if a family on a support can score data of a wider kind: not continuous data if the support is discrete."""
    return not (support in _DISCRETE and kind in _CONTINUOUS)


def _of_kind(space: Space, kind: str) -> Space:
    """A space of the same shape and another kind."""
    return replace(space, kind=kind, categories=None)


def _warn_of_draws_outside(context: FamilyContext, space: Space) -> None:
    """Warn of a family that draws values outside the variable's space."""
    family, subject, support = context.family, context.factor.subject, context.family.support
    if contains(space.kind, support) or family.index_valued or family.name == "Delta":
        return
    if covers_support(space.kind, support) and not is_countable(support):
        return  # the end that the space lacks has no mass
    if _bounds_inside(context, space):
        return
    if family.name == "GeneralizedPareto" and contains("nonnegative", space.kind) and _starts_above(context):
        return
    better = _FAMILIES_FOR.get(space.kind)
    declare = f"declare `{subject} : {_of_kind(space, support)}`"
    context.sink.add(
        "W112",
        context.factor.span,
        f"{family.name} draws values that need not be {KINDS[space.kind].what}, and {subject} is `{space}`",
        related=[(context.declared_at, f"{subject} is declared here")],
        help=f"use {better}, or {declare}" if better else declare,
    )


def _bounds_inside(context: FamilyContext, space: Space) -> bool:
    """True if the bounds of a uniform or truncated distribution are numbers inside the variable's space."""
    use, family = context.factor.use, context.family
    if use is None or not (family.truncates or family.name in ("Uniform", "TruncatedNormal")):
        return False
    found = {n: evaluate(e, context.model.constants) for n, e in use.parameters if n in ("low", "high")}
    numbers = {n: flatten(value) for n, value in found.items() if value is not None}
    starts = contains("nonnegative", family.support) or ("low" in numbers and min(numbers["low"]) >= 0)
    ends = contains("unit_interval", family.support) or ("high" in numbers and max(numbers["high"]) <= 1)
    return starts and (ends or (contains("nonnegative", space.kind) and space.kind != "unit_interval"))


def _starts_above(context: FamilyContext) -> bool:
    """True if the end of a generalised Pareto distribution is a number that is not negative, and it has no other."""
    use = context.factor.use
    found = {} if use is None else {n: evaluate(e, context.model.constants) for n, e in use.parameters}
    loc, shape = found.get("loc"), found.get("concentration")
    return loc is not None and min(flatten(loc)) >= 0 and (shape is None or min(flatten(shape)) >= 0)


def _report_misfit(context: FamilyContext, space: Space) -> None:
    """Report a family that generates other values than those of the variable's space."""
    family, subject = context.family, context.factor.subject
    better = _FAMILIES_FOR.get(space.kind)
    context.sink.add(
        "PGC304",
        context.factor.span,
        f"{family.name} generates values that are {KINDS[family.support].what}, and {subject} is `{space}`",
        related=[(context.declared_at, f"{subject} is declared here")],
        help=(f"use {better} for {subject}, or declare" if better else "declare")
        + f" `{subject} : {_as_family_has_it(context, space)}`",
    )


def _as_family_has_it(context: FamilyContext, space: Space) -> Space:
    """The variable's space as the family would have it."""
    support = context.family.support
    if not context.family.index_valued:
        return _of_kind(space, support)
    wide = space.kind in ("one_hot", "simplex")
    categories = space.shape[-1] if wide and space.shape else 2
    return Space(support, space.shape[:-1] if wide else space.shape, categories)
