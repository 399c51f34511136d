"""Scores of single entries in objectives: `log p(observed(x)|z)`, `cdf(p(t|x))` and `survival(p(t|x))`."""

from dataclasses import replace
from typing import TYPE_CHECKING

from pgcompile.inference.mixtures import weights_of
from pgcompile.model.factors import FactorInstance, Mixture
from pgcompile.objective import terms
from pgcompile.objective.context import Context
from pgcompile.objective.terms import Env, Term
from pgcompile.syntax import tree

if TYPE_CHECKING:
    from pgcompile.objective.resolve import Objectives

TAILS = ("cdf", "survival")


def of_observed(expr: tree.Expr) -> tree.Call | None:
    """`p(x|z)` for `p(observed(x)|z)`; None for anything else."""
    if not isinstance(expr, tree.Call) or expr.name in ("observed", *TAILS):
        return None
    inside = [_observed(a.value) for a in expr.args]
    if not any(inside):
        return None
    args = tuple(a if v is None else replace(a, value=v) for a, v in zip(expr.args, inside, strict=True))
    return replace(expr, args=args)


def _observed(value: tree.Expr) -> tree.Name | None:
    match value:
        case tree.Call("observed", (tree.Argument(None, tree.Name() as name),), None):
            return name
        case _:
            return None


def observed_entries(whole: "Objectives", expr: tree.Call, factor: tree.Call, env: Env) -> Term | None:
    """The log-density of the entries that the data has; None after a report."""
    atom = _atom(whole, expr, factor, of_data=True)
    if atom is None:
        return None
    drawn = next((t for t in atom.targets if env.get(t) is not None), None)
    if drawn is not None:
        whole.sink.add(
            "PGC401",
            expr.span,
            f"{drawn} is drawn here, and no data that could be missing",
            help=f"write {drawn} alone",
        )
        return None
    return terms.Entries("observed", atom, env, f"log {whole.text(expr)}", expr.span)


def tail(whole: "Objectives", expr: tree.Call, env: Env, context: Context) -> Term | None:
    """The logarithm of a factor's probability of smaller or larger values; None after a report."""
    factor = expr.args[0].value if len(expr.args) == 1 else None
    mixed = None if factor is None else _of_mixture(whole, expr, factor)
    if mixed is not None:
        return whole.term(tree.Log(mixed, span=expr.span), env, context)
    atom = atom_with(whole, expr, factor)
    return None if atom is None else terms.Entries(expr.name, atom, env, f"log {whole.text(expr)}", expr.span)


def _of_mixture(whole: "Objectives", expr: tree.Call, factor: tree.Expr) -> tree.Expr | None:
    """The weighted sum of the tails of a mixture of numbers; None of any other factor."""
    if not isinstance(factor, tree.Call) or not whole.is_distribution(factor.name):
        return None
    found = whole.resolver.resolve(factor)
    atom = found.atoms[0] if found is not None and len(found.atoms) == 1 else None
    definition = None if atom is None else atom.factor.definition
    if atom is None or not isinstance(definition, Mixture) or atom.renaming or len(atom.targets) > 1:
        return None
    if whole.model.spaces[atom.factor.targets[0]].shape:
        return None
    parts: list[tuple[int, tree.Expr]] = []
    for weight, part in zip(weights_of(definition, whole.model), definition.components, strict=True):
        args, given = (
            tuple(tree.Argument(None, tree.Name(name, span=expr.span), span=expr.span) for name in names)
            for names in (part.targets, part.parents)
        )
        one = tree.Call(part.name, args, given or None, span=expr.span, name_span=expr.span)
        share = replace(expr, args=(tree.Argument(None, one, span=expr.span),))
        parts.append((1, tree.Product((weight, share), span=expr.span)))
    return tree.Sum(tuple(parts), span=expr.span)


def atom_with(whole: "Objectives", expr: tree.Call, factor: tree.Expr | None) -> FactorInstance | None:
    """The factor whose tail or quantile is meant, if its family has a formula of that; None after a report."""
    if not isinstance(factor, tree.Call) or not whole.is_distribution(factor.name):
        hint = f"write `{expr.name}(p(t|x){', 0.9' if expr.name == 'quantile' else ''})`"
        whole.sink.add("PGC311", expr.span, f"{expr.name} takes a factor", help=hint)
        return None
    atom = _atom(whole, expr, factor)
    family = None if atom is None else atom.factor.family
    if atom is None or family is None:
        return None
    if expr.name not in family.tails:
        from pgcompile.vocabulary.families import families

        known = ", ".join(sorted(f.name for f in families().values() if expr.name in f.tails))
        whole.sink.add(
            "PGC210",
            expr.span,
            f"the {expr.name} of {atom.label} has no formula",
            reasons=[f"{expr.name} is known of {known}"],
            help="use one of these families",
        )
        return None
    return atom


def _atom(whole: "Objectives", expr: tree.Call, factor: tree.Call, *, of_data: bool = False) -> FactorInstance | None:
    """The one factor that is meant, if its entries are independent; None after a report.

    Data that lack a vector of one category, of shares or of counts lack it whole, so that those families are taken too;
    a real vector may lack some of its entries, and what is left of it would need a density of its own.
    """
    found = whole.resolver.resolve(factor)
    if found is None:
        return None
    atom = found.atoms[0] if len(found.atoms) == 1 and not found.hidden else None
    family = None if atom is None else atom.factor.family
    whole_events = of_data and family is not None and family.support != "real"
    if atom is None or family is None or len(atom.targets) > 1 or (family.event_rank and not whole_events):
        whole.sink.add(
            "PGC210",
            expr.span,
            f"the entries of {found.label} are not scored one by one",
            reasons=["that takes a factor of a family whose entries are independent, such as Normal or Bernoulli"],
            help=f"write {expr.name} of each part, as in `E_{{p(k)}}[{expr.name}(p(t|k))]`"
            if expr.name in TAILS and found.hidden
            else f"write log {found.label} where all is observed",
        )
        return None
    return atom
