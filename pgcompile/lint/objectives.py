"""Remarks on objectives: signs, unsampled latents, densities without a logarithm."""

from collections.abc import Iterator, Mapping
from itertools import islice

from pgcompile.diagnostics import NOWHERE, Sink
from pgcompile.lint.adversarial import remark_players
from pgcompile.lint.models import check_declarations
from pgcompile.model.dependence import formula_parents
from pgcompile.model.factors import FactorInstance, base_name
from pgcompile.model.learned import learnables_of
from pgcompile.model.model import Model
from pgcompile.model.training import OptimiseLine
from pgcompile.model.variable import Variable
from pgcompile.objective import terms
from pgcompile.objective.dependence import closure, mentioned
from pgcompile.objective.terms import Term, atoms_in, signed, walk
from pgcompile.syntax import tree
from pgcompile.syntax.tree import calls_in, names_in
from pgcompile.vocabulary.functions import COMPARISONS, FUNCTIONS, STEPS_WHY

MANY_TERMS = 10_000
"""As many summands of an objective are looked at: names that are doubled again and again stand for more."""

_STEPS = frozenset(function.name for function in FUNCTIONS.values() if not function.differentiable)


def remark(program: tree.Program, model: Model, objectives: Mapping[str, Term], sink: Sink) -> None:
    """Warnings about the objectives of a program, and about declarations that nothing uses.

    Args:
        program: the tree.
        model: what it declares.
        objectives: its objectives, resolved.
        sink: where warnings go.
    """
    for line in model.optimise:
        term = objectives.get(line.objective)
        if term is None:
            continue
        _signs(line, term, sink)
        _unsampled(line, term, model, sink)
        _nothing_learned(line, term, model, sink)
        _steps(line, term, model, sink)
    for name, term in objectives.items():
        _divergences(term, sink)
        _counted_twice(term, sink)
        _densities(name, term, model, sink)
    remark_players(model, sink)
    if objectives:
        check_declarations(program, model, sink)


def parts(term: Term, sign: int = 1) -> Iterator[tuple[int, Term]]:
    """The summands of an objective with their signs, those of its expectations too."""
    for s, inner in islice(signed(term, sign), MANY_TERMS):
        if isinstance(inner, terms.Expectation):
            yield from parts(inner.body, s)
        else:
            yield s, inner


def _signs(line: OptimiseLine, term: Term, sink: Sink) -> None:
    """A divergence or a log-likelihood that the line pushes the wrong way."""
    up = 1 if line.direction == "maximize" else -1
    other = "minimize" if up > 0 else "maximize"
    wrong: list[tuple[str, str]] = []
    right = 0
    for sign, inner in parts(term):
        if isinstance(inner, terms.Divergence) and inner.kind == "KL":
            what = f"makes {inner.label} {'larger' if up > 0 else 'smaller than any bound'}"
            bad, label = sign * up > 0, inner.label
        elif isinstance(inner, terms.LogDensity) and _is_likelihood(inner):
            what = f"makes {inner.distribution.spelled} smaller: the data become less likely"
            bad, label = sign * up < 0, f"log {inner.distribution.spelled}"
        else:
            continue
        if bad:
            wrong.append((what, label))
        else:
            right += 1
    if wrong:
        what, label = wrong[0]
        # Turning the line round would turn what is right.
        hint = f"change the sign before {label}" if right else f"did you mean {other}?"
        sink.add("W110", line.span, f"{line.direction} {line.objective} {what}", help=hint)


def _is_likelihood(term: terms.LogDensity) -> bool:
    """True if it is a log-density of the model at data."""
    atoms = term.distribution.atoms
    observed = any(term.env.get(t) is None for atom in atoms for t in atom.targets)
    return observed and all(base_name(atom.factor.name) == "p" for atom in atoms)


def _unsampled(line: OptimiseLine, term: Term, model: Model, sink: Sink) -> None:
    """A variable that p generates and conditions on, that no q draws and none is given: it would be taken for data."""
    drawn: set[Variable] = set()
    conditions: set[Variable] = set()
    scored: list[tuple[FactorInstance, terms.LogDensity | terms.Divergence]] = []
    for draw in terms.draws_of(term):
        drawn |= set(draw.variables)
        conditions |= set(draw.distribution.parents)
    for inner in walk(term):
        if isinstance(inner, terms.LogDensity):
            scored += [(atom, inner) for atom in inner.distribution.atoms]
    if not drawn:
        return
    parents = {p for atom, _ in scored for p in atom.parents}
    for atom, _ in scored:
        for target in atom.targets:
            made = base_name(atom.factor.name) == "p" and not atom.factor.is_data
            if made and target.is_named and target in parents and target not in drawn | conditions:
                sink.add(
                    "W113",
                    atom.factor.span,
                    f"{line.objective} scores {atom.label}, and nothing samples {target}: it is taken from the data",
                    help=f"write a q that generates {target}, or condition on it: `q(...|{target})` if it is data",
                )


def _nothing_learned(line: OptimiseLine, term: Term, model: Model, sink: Sink) -> None:
    found: set[str] = set()
    for atom in atoms_in(term):
        found |= learnables_of(atom.factor, model)
    for inner in walk(term):
        if isinstance(inner, terms.Pointwise):
            found |= {c.name for c in calls_in(inner.expr) if c.name in model.nets}
            found |= {n for n in names_in(inner.expr) if n in model.tensors and model.tensors[n].kind == "param"}
    spoken = [p for atom in atoms_in(term) for p in atom.parents]
    spoken += [v for inner in walk(term) for v, _ in mentioned(inner, model)]
    for variable in closure(spoken, model):
        if formula_parents(variable, model) is not None:
            found |= learnables_of(model.deterministic[variable.name], model)
    if not found:
        sink.add(
            "W119",
            line.span,
            f"{line.direction} {line.objective} has nothing to learn: no net or param is in it",
            help="use one in a factor of the objective, or leave the line out",
        )


def _steps(line: OptimiseLine, term: Term, model: Model, sink: Sink) -> None:
    """A step function of a drawn variable in the objective itself: its gradient is zero everywhere."""
    for inner in walk(term):
        if not isinstance(inner, terms.Pointwise):
            continue
        for call in calls_in(inner.expr):
            names = {n for a in call.args for n in names_in(a.value)}
            drawn = sorted(n for n in names if inner.env.get(Variable(n)) is not None)
            if call.name in _STEPS and drawn:
                sink.add(
                    "W111",
                    call.span,
                    f"no gradient passes through {COMPARISONS.get(call.name, call.name)} to what makes "
                    f"{', '.join(drawn)}",
                    reasons=[STEPS_WHY],
                    help="use a smooth function, or leave the step out",
                )


def _divergences(term: Term, sink: Sink) -> None:
    over_q = any(
        base_name(a.factor.name) == "q"
        for inner in walk(term)
        if isinstance(inner, terms.Expectation)
        for a in inner.draw.distribution.atoms
    )
    for inner in walk(term):
        if not isinstance(inner, terms.Divergence) or inner.kind != "KL" or inner.right is None:
            continue
        if set(inner.left.atoms) == set(inner.right.atoms):
            sink.add(
                "W117",
                inner.span,
                f"{inner.label} is zero: both sides are the same distribution",
                help="compare it with another, such as KL[q(z|x) || p(z)]",
            )
        left = {base_name(a.factor.name) for a in inner.left.atoms}
        right = {base_name(a.factor.name) for a in inner.right.atoms}
        if over_q and left == {"p"} and right == {"q"} and inner.right.parents:
            sink.add(
                "W118",
                inner.span,
                f"{inner.label} averages over {inner.left.label}; the bound has the posterior first",
                help=f"write KL[{inner.right.label} || {inner.left.label}], unless the other divergence is meant",
            )


def _counted_twice(term: Term, sink: Sink) -> None:
    """`E_q[log p(x,z)] - KL[q || p(z)]`: the KL has log p(z) in it already."""
    signs = list(parts(term))
    scored = {
        (sign, atom): inner
        for sign, inner in signs
        if isinstance(inner, terms.LogDensity)
        for atom in inner.distribution.atoms
    }
    for sign, inner in signs:
        if not isinstance(inner, terms.Divergence) or inner.kind != "KL" or inner.right is None:
            continue
        for atom in inner.right.atoms:
            other = scored.get((-sign, atom))
            if other is not None and len(other.distribution.atoms) > 1:
                rest = " ".join(a.label for a in other.distribution.atoms if a not in inner.right.atoms)
                sink.add(
                    "W124",
                    other.span,
                    f"log {atom.label} is counted twice: here and in {inner.label}",
                    related=[(inner.span, "counted here too")],
                    help=f"write log {rest} here" if rest else f"leave {inner.label} out",
                )


def _densities(name: str, term: Term, model: Model, sink: Sink) -> None:
    """A density as a summand: a bound has its logarithm."""
    for _, inner in parts(term):
        if isinstance(inner, terms.Apply) and inner.function == "exp":
            (argument,) = inner.arguments
            if isinstance(argument, terms.LogDensity) and _is_likelihood(argument):
                label = argument.distribution.spelled
                span = model.objectives[name].span if name in model.objectives else NOWHERE
                sink.add(
                    "W116",
                    argument.span if argument.span != NOWHERE else span,
                    f"{name} adds the density {label}, not its logarithm",
                    help=f"write log {label}, unless the density itself is meant",
                )
