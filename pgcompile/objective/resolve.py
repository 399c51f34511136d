"""Objectives resolved against the model: which distribution each name means, which draw each variable comes from."""

from collections.abc import Hashable
from dataclasses import replace
from fractions import Fraction

from pgcompile.diagnostics import InternalError, Sink, Span, nearest
from pgcompile.inference.distributions import Resolver
from pgcompile.model.factors import base_name
from pgcompile.model.literals import evaluate
from pgcompile.model.model import Model
from pgcompile.model.nets import Net
from pgcompile.model.typed import Typed
from pgcompile.model.variable import Variable
from pgcompile.objective import terms
from pgcompile.objective.arithmetic import call, product, quotient
from pgcompile.objective.context import Context
from pgcompile.objective.densities import density, is_density, log
from pgcompile.objective.derivatives import densities_in, outside_derivatives
from pgcompile.objective.draws import baselines_apart, expectation, is_inside_rows
from pgcompile.objective.functionals import Functionals
from pgcompile.objective.places import over_index, over_places
from pgcompile.objective.readings import averages, context_of, note_readings
from pgcompile.objective.terms import OBSERVED, Draw, Env, Term
from pgcompile.syntax import tree
from pgcompile.syntax.format import format_expr
from pgcompile.syntax.rows import primed
from pgcompile.syntax.tree import names_in
from pgcompile.typing.expressions import Scope, Typer
from pgcompile.typing.factors import space_of
from pgcompile.vocabulary.functionals import functionals, synonyms
from pgcompile.vocabulary.functions import FUNCTIONS
from pgcompile.vocabulary.layers import show
from pgcompile.vocabulary.synonyms import FORMULAS

MAX_DEPTH = 50
"""The most levels of objectives that name each other."""


def resolve_objectives(model: Model, resolver: Resolver, sink: Sink) -> dict[str, Term]:
    """Every objective of the model as a term; those with faults are reported and left out."""
    return Objectives(model, resolver, sink).all()


class Objectives:
    """Resolves objectives in any order; a ring of references is reported."""

    def __init__(self, model: Model, resolver: Resolver, sink: Sink) -> None:
        self.model = model
        self.resolver = resolver
        self.sink = sink
        self.typer = Typer(model, sink)
        self.open: list[str] = []
        self.readings: dict[Span, str] = {}
        self.reasons: list[str] = []
        self.functionals = Functionals(self)
        self.contexts: dict[str, Context] = {}
        self.pool: dict[Draw, Draw] = {}
        self.referred: dict[tuple[str, Env, tuple[Hashable, ...]], Term | None] = {}

    def all(self) -> dict[str, Term]:
        found: dict[str, Term] = {}
        self._size_layers()
        for name, objective in self.model.objectives.items():
            self.open = [name]
            self.readings, self.reasons = {}, []
            term = self.term(objective.expr, OBSERVED, context_of(self, name))
            term = None if term is None else over_places(self, term, objective.expr.span)
            if term is not None and baselines_apart(self, term):
                found[name] = term
                note_readings(self, name, objective.expr)
            elif not self.sink.has_errors:
                raise InternalError(f"the objective {name} was left out without a report")
        return found

    def _size_layers(self) -> None:
        """Size the nets whose tensors a formula asks for, as `weight(f)` does, by a call that may come later."""
        calls = [c for objective in self.model.objectives.values() for c in tree.calls_in(objective.expr)]
        asked = {name for c in calls if c.name in ("weight", "bias") for name in names_in(c)}
        for node in calls:
            net = self.model.nets.get(node.name)
            if node.name in asked and isinstance(net, Net) and net.segments is None:
                Typer(self.model, self.sink.quiet()).typed(node, self._scope(node))

    # --- terms ---

    def term(self, expr: tree.Expr, env: Env, context: Context) -> Term | None:
        """A formula as a term, None after a report."""
        if self.is_plain(expr):
            return self.plain(expr, env)
        match expr:
            case tree.Name(id) if id in self.model.objectives:
                return self._reference(expr, env, context)
            case tree.Name() | tree.Call(given=tuple()) | tree.Integral() | tree.Rename() | tree.Whole():
                return density(self, expr, env, context)
            case tree.Negative(operand):
                inner = self.term(operand, env, context)
                return inner and terms.Add(((-1, inner),))
            case tree.Sum(items):
                found = [(sign, self.term(item, env, context)) for sign, item in items]
                return (
                    None
                    if any(t is None for _, t in found)
                    else terms.Add(tuple((s, t) for s, t in found if t is not None))
                )
            case tree.Product(factors):
                return product(self, factors, env, context)
            case tree.Quotient(numerator, denominator):
                return quotient(self, expr, numerator, denominator, env, context)
            case tree.Power(base, tree.Number(text)) if text in ("2", "3", "4") and averages(self, base):
                # A power of an estimate is biased; a product of independent estimates is not.
                return product(self, (base,) * int(text), env, context)
            case tree.Power(base, exponent):
                low, high = self.term(base, env, context), self.term(exponent, env, context)
                return None if low is None or high is None else terms.Raise(low, high)
            case tree.OverIndex():
                return over_index(self, expr, env, context)
            case tree.Log(tree.OverIndex("prod", index, inner)):
                total = tree.OverIndex("sum", index, tree.Log(inner, span=expr.span), span=expr.span)
                return over_index(self, total, env, context)
            case tree.Log(operand):
                return log(self, expr, operand, env, context)
            case tree.Expectation():
                return expectation(self, expr, env, context)
            case tree.Functional():
                return self.functionals.term(expr, env, context)
            case tree.Call():
                return call(self, expr, env, context)
            case _:
                text = self.text(expr)
                self.sink.add(
                    "PGC401",
                    expr.span,
                    f"`{text}` has no meaning in an objective",
                    help=_functional_help(expr),
                )
                return None

    def text(self, expr: tree.Node) -> str:
        return " ".join(self.sink.source.snippet(expr.span).split())

    def is_plain(self, expr: tree.Expr) -> bool:
        """True if an expression speaks of variables and nets only."""
        for node in outside_derivatives(self, expr):
            match node:
                case tree.Expectation() | tree.Functional() | tree.Integral() | tree.Rename():
                    return False
                case tree.OverIndex() | tree.Whole():
                    return False
                case tree.Call(name=name, given=given):
                    if name in ("mean", "sum") and self._is_per_example(node):
                        return False
                    if given is not None or (
                        name not in self.model.nets and name not in FUNCTIONS and self.is_distribution(name)
                    ):
                        return False
                case tree.Name(id):
                    if id in self.model.objectives:
                        return False
                    known = id in self.model.variables or id in self.model.tensors or id in self.model.constants
                    if not known and self.is_distribution(id):
                        return False
                case _:
                    pass
        return True

    def _is_per_example(self, call: tree.Call) -> bool:
        """True if `mean(f)` is over the batch: f is one number a data point already."""
        if len(call.args) != 1 or evaluate(call.args[0].value, self.model.constants) is not None:
            return False
        quiet = Typer(self.model, self.sink.quiet())
        names = names_in(call.args[0].value)
        known = {*self.model.variables, *self.model.rows}
        scope = Scope("the objective", {v: self.space(v) for v in names if v in known}, in_objective=True)
        typed = quiet.typed(call.args[0].value, scope)
        return typed is not None and not typed.shape

    def is_distribution(self, name: str) -> bool:
        if name == "data":
            return True
        names = {f.name for f in self.model.factors} | {n.name for n in self.model.named}
        return name in names or name in {base_name(n) for n in names} or base_name(name) in names

    def plain(self, expr: tree.Expr, env: Env) -> Term | None:
        value = evaluate(expr, self.model.constants)
        if isinstance(value, Fraction):
            return terms.Constant(value)
        unbound = next((n for n in names_in(expr) if n in self.model.rows and env.get(Variable(n)) is None), None)
        if unbound is not None:
            self.sink.add(
                "PGC101",
                expr.span,
                f"{primed(unbound)} ranges over no rows here",
                help=f"put brackets around what is meant: mean_{{{primed(unbound)}}} (...)",
            )
            return None
        shuffled = next((call for call in tree.calls_in(expr) if call.name == "shuffle"), None)
        if shuffled is not None and is_inside_rows(self, "shuffle", env, shuffled.span):
            return None
        scope = self._scope(expr)
        typed = self.typer.typed(expr, scope)
        if typed is None:
            return None
        densities = densities_in(self, expr, env)
        if densities is None:
            return None
        if typed.shape == (1,):
            # A net that ends in `Linear(1)` gives one number too.
            expr = tree.Index(expr, (tree.Number("0", span=expr.span),), span=expr.span)
        elif typed.shape:
            self.sink.add(
                "PGC402",
                expr.span,
                f"`{self.text(expr)}` is {show(typed.shape)}: an objective is one number a data point",
                help=f"write sum({self.text(expr)}) or mean({self.text(expr)})",
            )
            return None
        return terms.Pointwise(expr, env, self.text(expr) or format_expr(expr), densities)

    def _scope(self, expr: tree.Expr) -> Scope:
        named = {*self.model.variables, *self.model.rows}
        known = {v: self.space(v) for v in names_in(expr) if v in named}
        return Scope("the objective", known, density=lambda e: is_density(self, e), in_objective=True)

    def shape_of(self, expr: tree.Expr) -> tuple[int, ...] | None:
        """The event shape of an expression, None where it has faults: they are reported where it is used."""
        typed = Typer(self.model, self.sink.quiet()).typed(expr, self._scope(expr))
        return None if typed is None else typed.shape

    def space(self, variable: str) -> Typed | None:
        variable = self.model.rows.get(variable, variable)
        known = self.model.spaces.get(variable)
        if known is not None:
            return Typed(known)
        holder = self.model.deterministic.get(variable) or next(
            (f for f in self.model.factors if variable in (*f.targets, *f.parents)), None
        )
        return space_of(variable, self.typer, holder) if holder is not None else None

    def _reference(self, expr: tree.Name, env: Env, context: Context) -> Term | None:
        if expr.id in self.open:
            ring = [*self.open[self.open.index(expr.id) :], expr.id]
            self.sink.add("PGC406", expr.span, f"{expr.id} is defined in terms of itself", reasons=[" -> ".join(ring)])
            return None
        if len(self.open) > MAX_DEPTH:
            self.sink.add(
                "PGC406",
                expr.span,
                f"objectives name each other more than {MAX_DEPTH} deep",
                help="write some of them out",
            )
            return None
        key = (expr.id, env, context.repetition)
        if key not in self.referred:
            self.open.append(expr.id)
            own = replace(context_of(self, expr.id), repetition=context.repetition)
            self.referred[key] = self.term(self.model.objectives[expr.id].expr, env, own)
            self.open.pop()
        inner = self.referred[key]
        return inner and terms.Reference(expr.id, inner)

    # --- densities ---

    # --- expectations ---

    # --- arithmetic ---


def _functional_help(expr: tree.Expr) -> str:
    """The word of the language for `Entropy[q]`, where a name before square brackets is known."""
    words = functionals()
    known = f"divergences and bounds are {', '.join(f.usage for f in words.values() if not f.takes_net)}"
    if isinstance(expr, tree.Index) and isinstance(expr.base, tree.Name):
        name = expr.base.id
        called = synonyms().get(name) or FORMULAS.get(name)
        if called:
            return f"{name} is {'' if ' ' in called else 'called '}{called}"
        close = nearest(name, {*words, *synonyms()})
        if name in words:
            return f"{name} is the declared one here; call it something else if {words[name].usage} is meant"
        if close is not None:
            return f"did you mean {words[synonyms().get(close, close)].usage}?"
    return known
