"""Gradient estimators of expectations: exactly by enumeration, pathwise, or by the score function.

A draw without a plan that has a gradient would train nothing, silently; so every draw gets one, or a report.
"""

from dataclasses import dataclass, replace
from math import prod

from pgcompile.diagnostics import Sink, Span
from pgcompile.inference.elimination import states
from pgcompile.model.dependence import formula_parents
from pgcompile.model.distributions import Distribution
from pgcompile.model.factors import FactorInstance
from pgcompile.model.kinds import flows_of, is_pathwise, is_point_mass, kind_of
from pgcompile.model.learned import learnables_of
from pgcompile.model.model import Model
from pgcompile.model.variable import Variable, shown, variables
from pgcompile.objective.dependence import carried_along
from pgcompile.objective.terms import PATHWISE, Env, Estimator

MAX_STATES = 64  # enumerated unasked up to this many combinations
LARGEST_TABLE = 4096  # enumerated on request without a remark up to this many
LIMIT = 1_000_000
DRAWS = 4  # of a score function, where the program does not say
_RELAXABLE = ("Bernoulli", "OneHotCategorical")


@dataclass(frozen=True)
class Plan:
    """The decisions about one draw; see `terms.Draw`."""

    samples: int
    enumerated: tuple[Variable, ...] = ()
    scored: tuple[Variable, ...] = ()
    relaxed: tuple[Variable, ...] = ()


def plan(
    over: Distribution, estimator: Estimator, samples: int | None, env: Env, model: Model, sink: Sink, span: Span
) -> Plan | None:
    """The gradient plan of a draw, or None after a report.

    Args:
        over: what is drawn from.
        estimator: what the program says.
        samples: how many draws it asks for, None where it does not say.
        env: where the parents come from.
        model: spaces and nets.
        sink: told of estimators that have no gradient, or too many states.
        span: of the expectation.
    """
    if estimator.grad in ("stl", "dreg") and not _stands_alone(over, estimator, env, model, sink, span):
        return None
    if over.evidence:
        return _posterior(over, estimator, samples, model, sink, span)
    if not _can_be_drawn(over, sink, span):
        return None
    enumerated: list[Variable] = []
    scored: list[Variable] = []
    relaxed: list[Variable] = []
    table = 1
    unasked = replace(estimator, detached=False) == PATHWISE
    carried = carried_along(model) if model.indices.lags else set()
    drawn = False
    for atom in over.atoms:
        if is_point_mass(atom.factor) or not (is_pathwise(atom.factor) or atom.factor.family is not None):
            continue
        target, count = atom.targets[0], states(atom, model)
        learned = () if estimator.detached else learned_upstream(atom, over, env, model)
        if is_pathwise(atom.factor):
            drawn = True
            if estimator.grad == "score" and learned:
                scored.append(target)
            continue
        if estimator.relax is not None:
            if _family(atom) not in _RELAXABLE:
                _report_relaxation(atom, sink, span)
                return None
            relaxed.append(target)
        elif estimator.grad in ("pathwise", "through") and learned:
            _report_no_gradient(atom, learned, estimator.grad, sink, span)
            return None
        elif estimator.grad == "enumerate":
            if count is None or table * count > LIMIT:
                _report_too_many(atom, count, table, sink, span)
                return None
            table *= count
            enumerated.append(target)
        elif (
            unasked and samples is None and count is not None and table * count <= MAX_STATES and target not in carried
        ):
            table *= count
            enumerated.append(target)
        elif learned:
            scored.append(target)
    wrong = _without_effect(estimator, samples, enumerated, scored, relaxed, drawn)
    if wrong is not None:
        sink.add("PGC409", span, f"{wrong[0]} over {over.label} has no effect: {wrong[1]}", help="leave it out")
        return None
    _warn_of_cost(estimator, samples, table, enumerated, scored, sink, span)
    if samples is None:
        samples = DRAWS if scored and estimator.baseline is None else 1
    return Plan(samples, tuple(enumerated), tuple(scored), tuple(relaxed))


def _can_be_drawn(over: Distribution, sink: Sink, span: Span) -> bool:
    for atom in over.atoms:
        undrawn = kind_of(atom.factor).undrawn(atom.factor.definition)
        if undrawn is not None:
            why, instead = undrawn
            sink.add("PGC409", span, f"samples of {atom.label} cannot be drawn here: {why}", help=instead)
            return False
    return True


def _warn_of_cost(
    estimator: Estimator,
    samples: int | None,
    table: int,
    enumerated: list[Variable],
    scored: list[Variable],
    sink: Sink,
    span: Span,
) -> None:
    """Remark on tables that are large, and on gradients that are noisy."""
    if table > LARGEST_TABLE:
        sink.add(
            "W127",
            span,
            f"{shown(enumerated)} can take {table:,} values together, and each is evaluated",
            help="leave grad=enumerate out to sample them, or make the space smaller",
        )
    if scored and samples == 1 and estimator.baseline is None:
        sink.add(
            "W126",
            span,
            f"the gradient through {shown(scored)} is a score function without a baseline",
            reasons=["its variance is that of the whole objective, not of what distinguishes the draws"],
            help="write samples=4, which gives each draw the mean of the others, or baseline=b(...)",
        )


def _without_effect(
    estimator: Estimator,
    samples: int | None,
    enumerated: list[Variable],
    scored: list[Variable],
    relaxed: list[Variable],
    drawn: bool,
) -> tuple[str, str] | None:
    """An option that changes nothing, and why; None where each has its effect."""
    if estimator.grad == "enumerate" and not enumerated:
        return "grad=enumerate", "none of its variables takes finitely many values"
    if estimator.relax is not None and not relaxed:
        return f"relax={estimator.relax}", "none of its variables is discrete"
    if estimator.relax is not None and estimator.grad is not None and estimator.grad != "through":
        return f"grad={estimator.grad}", "a relaxed draw is pathwise"
    if estimator.baseline is not None and not scored:
        return "baseline", "no score function carries its gradient"
    if estimator.grad == "enumerate" and samples is not None and not drawn and not scored:
        return f"samples={samples}", "every variable is enumerated"
    return None


def _stands_alone(over: Distribution, estimator: Estimator, env: Env, model: Model, sink: Sink, span: Span) -> bool:
    """True if detaching the parameters of the drawn factors cuts no path but that of what is learned in them."""
    for atom in over.atoms:
        if flows_of(atom.factor):
            sink.add(
                "PGC408",
                span,
                f"grad={estimator.grad} detaches the parameters of {atom.label}, which is a flow",
                reasons=["its weights serve the draw and its log-density together"],
                help=f"leave grad={estimator.grad} out",
            )
            return False
        pending, seen, earlier = list(atom.parents), set[Variable](), ""
        while pending:
            parent = pending.pop()
            if parent in seen:
                continue
            seen.add(parent)
            if (lag := model.indices.lags.get(parent.name)) is not None:
                pending, earlier = [*pending, *variables((lag.of,))], " at another place"
            elif parent in over.targets or env.get(parent) is not None:
                sink.add(
                    "PGC408",
                    span,
                    f"grad={estimator.grad} detaches the parameters of {atom.label}, "
                    f"which depend on the draw of {parent}{earlier}",
                    reasons=["the gradient of that draw would be lost, and the estimate biased"],
                    help=f"leave grad={estimator.grad} out",
                )
                return False
            pending += formula_parents(parent, model) or ()
    return True


def _posterior(
    over: Distribution, estimator: Estimator, samples: int | None, model: Model, sink: Sink, span: Span
) -> Plan | None:
    """The expectation over a posterior: a sum over its finite variables."""
    makers = {t: atom for atom in over.atoms for t in atom.targets}
    counts = [states(makers[t], model) for t in over.targets]
    asked = samples is not None or estimator.grad not in (None, "enumerate") or estimator.relax is not None
    if asked or None in counts or prod(c or 1 for c in counts) > LIMIT:
        sink.add(
            "PGC409",
            span,
            f"an expectation over {over.label} is a sum over its values"
            + ("" if asked else f", and those of {shown(over.targets)} are not finitely many, or too many"),
            help="leave the options out" if asked else "approximate it: define q and use ELBO[p || q]",
        )
        return None
    return Plan(1, over.targets)


def learned_upstream(atom: FactorInstance, over: Distribution, env: Env, model: Model) -> set[str]:
    """The learnables that a variable is drawn with: its factor's nets and params, and those above it."""
    generators = {t: a for a in over.atoms for t in a.targets}
    found: set[str] = set()
    stack: list[tuple[FactorInstance, dict[Variable, FactorInstance], Env]] = [(atom, generators, env)]
    seen: set[FactorInstance] = set()
    while stack:
        current, inside, outside = stack.pop()
        if current in seen:
            continue
        seen.add(current)
        found |= learnables_of(current.factor, model)
        pending = list(current.parents)
        while pending:
            parent = pending.pop()
            draw = outside.get(parent)
            if parent in inside:
                stack.append((inside[parent], inside, outside))
            elif draw is not None and draw.atom_of(parent) is not None:
                makers = {t: a for a in draw.distribution.atoms for t in a.targets}
                stack.append((makers[parent], makers, draw.env))
            elif (above := formula_parents(parent, model)) is not None:
                found |= learnables_of(model.deterministic[parent.name], model)
                pending += above
    return found


def _report_no_gradient(atom: FactorInstance, learned: set[str], grad: str, sink: Sink, span: Span) -> None:
    through = grad == "through"
    sink.add(
        "PGC403",
        span,
        f"{shown(atom.targets)} is drawn from {atom.label}, and {_family(atom)} draws pass no gradient to "
        f"{', '.join(sorted(learned))}",
        reasons=[
            "what compares samples has no other gradient"
            if through
            else "grad=pathwise would train them with a zero gradient"
        ],
        help="write relax=gumbel or relax=straight_through, whose draws are differentiable"
        if through
        else "leave grad=pathwise out: the draws are then enumerated, or carried by a score function",
    )


def _report_relaxation(atom: FactorInstance, sink: Sink, span: Span) -> None:
    one_hot = " ; declare the variable `one_hot[K]`" if _family(atom) == "Categorical" else ""
    sink.add(
        "PGC409",
        span,
        f"{_family(atom)} in {atom.label} has no relaxation",
        help=f"those that have one are {', '.join(_RELAXABLE)}{one_hot.replace(' ;', ';')}",
    )


def _report_too_many(atom: FactorInstance, count: int | None, table: int, sink: Sink, span: Span) -> None:
    why = "its values are not finitely many" if count is None else f"that makes {table * count:.3g} combinations"
    sink.add(
        "PGC409",
        span,
        f"{atom.targets[0]} of {atom.label} cannot be enumerated: {why}",
        help="leave grad=enumerate out: it is then sampled, with a gradient",
    )


def _family(atom: FactorInstance) -> str:
    return atom.factor.family.name if atom.factor.family is not None else atom.label
