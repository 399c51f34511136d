"""Products, quotients and functions of terms."""

from typing import TYPE_CHECKING

from pgcompile.diagnostics import Edit, suggest
from pgcompile.diagnostics.spelling import Suggestion
from pgcompile.objective import terms
from pgcompile.objective.context import Context
from pgcompile.objective.densities import density, is_density
from pgcompile.objective.draws import is_inside_rows
from pgcompile.objective.entries import TAILS, tail
from pgcompile.objective.terms import Env, Term
from pgcompile.syntax import tree
from pgcompile.vocabulary.functionals import in_brackets, synonyms
from pgcompile.vocabulary.functions import FUNCTIONS, OF_TERMS
from pgcompile.vocabulary.synonyms import FORMULAS

if TYPE_CHECKING:
    from pgcompile.objective.resolve import Objectives


def quotient(
    whole: "Objectives", expr: tree.Quotient, top: tree.Expr, bottom: tree.Expr, env: Env, context: Context
) -> Term | None:
    if isinstance(top, tree.Log) and is_density(whole, top.operand) and is_density(whole, bottom):
        inside = f"log({whole.text(top.operand)} / {whole.text(bottom)})"
        whole.sink.add(
            "W105",
            expr.span,
            f"this divides the logarithm by {whole.text(bottom)}",
            reasons=["`log` takes the juxtaposed product to its right, and `/` ends it"],
            help=f"if the logarithm of the ratio is meant, write {inside}",
            edits=[Edit(expr.span, inside)],
        )
    numerator = whole.term(top, env, context)
    denominator = whole.term(bottom, env, context.apart_from([numerator] if numerator is not None else []))
    return None if numerator is None or denominator is None else terms.Divide(numerator, denominator)


def product(whole: "Objectives", factors: tuple[tree.Expr, ...], env: Env, context: Context) -> Term | None:
    """Factors that sample draw independently of one another."""
    found: list[Term] = []
    for factor in factors:
        term = whole.term(factor, env, context.apart_from(found))
        if term is None:
            return None
        found.append(term)
    return terms.Multiply(tuple(found))


def call(whole: "Objectives", expr: tree.Call, env: Env, context: Context) -> Term | None:
    if expr.name in TAILS:
        log = tail(whole, expr, env, context)
        return log and terms.Apply("exp", (log,))
    if whole.is_distribution(expr.name) and expr.name not in FUNCTIONS and expr.name not in whole.model.nets:
        return density(whole, expr, env, context)
    if expr.name == "where":
        condition = whole.text(expr.args[0].value) if expr.args else "c"
        hint = f"multiply: `{condition} * (...) + (1 - {condition}) * (...)`"
        whole.sink.add("PGC103", expr.name_span, "where cannot choose between terms of an objective", help=hint)
        return None
    if expr.name not in OF_TERMS:
        known = {*OF_TERMS, "log", *(f.name for f in whole.model.factors)}
        also = {**synonyms(), **FORMULAS}
        known |= {*also.values()}
        whole.sink.add(
            "PGC103",
            expr.name_span,
            f"{expr.name} cannot be applied to a term of an objective",
            **(
                Suggestion(help=functional, edits=())
                if (functional := in_brackets(expr.name)) is not None
                else suggest(expr.name, expr.name_span, known, f"functions of terms are {', '.join(OF_TERMS)}", also)
            ),
        )
        return None
    wanted = FUNCTIONS[expr.name].arguments
    if len(expr.args) != wanted or any(a.name for a in expr.args):
        whole.sink.add(
            "PGC311",
            expr.span,
            f"{expr.name} takes {wanted} argument{'s' * (wanted > 1)}, not {len(expr.args)}",
            help=f"write `{expr.name}({', '.join('ab'[:wanted])})`",
        )
        return None
    if expr.name in ("mean", "sum") and is_inside_rows(whole, expr.name, env, expr.span):
        return None
    inner = [whole.term(a.value, env, context) for a in expr.args]
    return None if None in inner else terms.Apply(expr.name, tuple(t for t in inner if t is not None))
