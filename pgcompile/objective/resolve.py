"""Objectives resolved against the model: which distribution each name means, which draw each variable comes from."""

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction

from pgcompile.diagnostics import Edit, Sink, Span, nearest, suggest
from pgcompile.inference.algebra import drop_barren
from pgcompile.inference.distributions import Resolver
from pgcompile.inference.elimination import evidence_of, tables
from pgcompile.inference.mixtures import components
from pgcompile.model.kinds import kind_of
from pgcompile.model.learned import learnables_of, learned_in
from pgcompile.model.literals import evaluate
from pgcompile.model.values import Distribution, Model, Pushforward, Typed, base_name, data_of
from pgcompile.model.variable import Variable, shown
from pgcompile.objective import terms
from pgcompile.objective.context import Context
from pgcompile.objective.dependence import closure, speaks_of, variables_in
from pgcompile.objective.estimators import LARGEST_TABLE, LIMIT, plan
from pgcompile.objective.functionals import Functionals
from pgcompile.objective.options import read_options
from pgcompile.objective.terms import OBSERVED, Draw, Env, Estimator, Term, point
from pgcompile.syntax import tree
from pgcompile.syntax.format import format_expr
from pgcompile.syntax.tree import names_in
from pgcompile.typing.expressions import Scope, Typer
from pgcompile.typing.factors import space_of
from pgcompile.vocabulary.functionals import functionals, synonyms
from pgcompile.vocabulary.functions import FUNCTIONS, OF_TERMS
from pgcompile.vocabulary.layers import show
from pgcompile.vocabulary.synonyms import FORMULAS


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

    def all(self) -> dict[str, Term]:
        found: dict[str, Term] = {}
        for name, objective in self.model.objectives.items():
            self.open = [name]
            self.readings, self.reasons = {}, []
            term = self.term(objective.expr, OBSERVED, self._context(name))
            if term is not None and self._baselines_apart(term):
                found[name] = term
                self._note_readings(name, objective.expr)
        return found

    def _baselines_apart(self, term: Term) -> bool:
        """Whether learned baselines share nothing with what they stand for: fitting them would train it."""
        inside = {n for t in terms.walk(term) if isinstance(t, terms.Plain) for n in learned_in(t.expr, self.model)}
        return all(
            self._is_apart(draw.estimator.baseline, inside)
            for draw in terms.draws_of(term)
            if draw.estimator.baseline is not None
        )

    def _is_apart(self, baseline: tree.Expr, used: set[str]) -> bool:
        shared = used & learned_in(baseline, self.model)
        if not shared:
            return True
        self.sink.add(
            "PGC408",
            baseline.span,
            f"the baseline is computed with {', '.join(sorted(shared))}, which the model uses too",
            reasons=["a baseline is fitted to what it stands for, and that gradient would train the model"],
            help="give the baseline a net of its own, or detach what it shares: `b(detach(h))`",
        )
        return False

    def _note_readings(self, name: str, expr: tree.Expr) -> None:
        """How the bare names of a formula were read, as one note with the full spelling."""
        inside = sorted(
            (s, text) for s, text in self.readings.items() if expr.span.start <= s.start and s.end <= expr.span.end
        )
        if not inside:
            return
        pieces, at = [], expr.span.start
        for span, text in inside:
            before = self.sink.source.text[at : span.start]
            pieces += [before, f"{{{text}}}" if before.endswith("_") else text]
            at = span.end
        pieces.append(self.sink.source.text[at : expr.span.end])
        spelled = " ".join("".join(pieces).split())
        self.sink.add("N101", expr.span, f"{name} is read as {spelled}", reasons=self.reasons)

    # --- what the whole formula says about its bare names ---

    def _context(self, name: str) -> Context:
        """What the formulas that an objective is a part of say about it, so that it is the same in each of them."""
        if name not in self.contexts:
            own = self.model.objectives[name].expr
            whole = [o.expr for o in self.model.objectives.values() if own in self._expanded(o.expr)]
            counted = dict.fromkeys(pair for expr in whole for pair in self._counted(expr))
            options = [found for expr in whole for found in self._options(expr)]
            self.contexts[name] = Context(tuple(counted), tuple(options))
        return self.contexts[name]

    def _counted(self, expr: tree.Expr) -> list[tuple[str, tuple[Variable, ...]]]:
        """`(p, targets of q)` for every `KL[q || p]` of the formula, so that a bare `log p` is the rest of p."""
        found = []
        for node in tree.walk(self._expanded(expr)):
            if isinstance(node, tree.Functional) and node.kind == "KL" and node.right is not None:
                left = self._quiet(node.left)
                right = _dist_name(node.right)
                if left is not None and right is not None:
                    found.append((base_name(right), left.targets))
        return found

    def _options(self, expr: tree.Expr) -> list[tuple[Distribution, int | None, Estimator]]:
        """Options of the expectations of the formula, which divergences over the same draw share."""
        found = []
        for node in tree.walk(self._expanded(expr)):
            if isinstance(node, tree.Expectation) and node.over is not None:
                over = self._quiet(node.over)
                read = read_options(node.options, self.model.constants, Sink(self.sink.source))
                if over is not None and read is not None and read[1].relax is None:
                    found.append((over, *read))
        return found

    def _expanded(self, expr: tree.Expr) -> tuple[tree.Expr, ...]:
        """The formula and those it names."""
        seen: dict[str, tree.Expr] = {}
        stack = [expr]
        result = [expr]
        while stack:
            for name in names_in(stack.pop()):
                objective = self.model.objectives.get(name)
                if objective is not None and name not in seen:
                    seen[name] = objective.expr
                    stack.append(objective.expr)
                    result.append(objective.expr)
        return tuple(result)

    def _samples(self, expr: tree.Expr) -> bool:
        """Whether a formula averages over draws, itself or in an objective that it names."""
        return any(isinstance(n, tree.Expectation | tree.Functional) for n in tree.walk(self._expanded(expr)))

    def _quiet(self, expr: tree.Expr) -> Distribution | None:
        """Resolve without reporting: the formula itself reports later."""
        return self.resolver.quietly().resolve(expr)

    # --- terms ---

    def term(self, expr: tree.Expr, env: Env, context: Context) -> Term | None:
        """A formula as a term, None after a report."""
        if self._is_plain(expr):
            return self._plain(expr, env)
        match expr:
            case tree.Name(id) if id in self.model.objectives:
                return self._reference(expr, env, context)
            case tree.Name() | tree.Call(given=tuple()) | tree.Integral() | tree.Rename():
                return self._density(expr, env, context)
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
                return self._product(factors, env, context)
            case tree.Quotient(numerator, denominator):
                return self._quotient(expr, numerator, denominator, env, context)
            case tree.Power(base, tree.Number(text)) if text in ("2", "3", "4") and self._samples(base):
                # A power of an estimate is biased; a product of independent estimates is not.
                return self._product((base,) * int(text), env, context)
            case tree.Power(base, exponent):
                low, high = self.term(base, env, context), self.term(exponent, env, context)
                return None if low is None or high is None else terms.Raise(low, high)
            case tree.Log(operand):
                return self._log(expr, operand, env, context)
            case tree.Expectation():
                return self._expectation(expr, env, context)
            case tree.Functional():
                return self.functionals.term(expr, env, context)
            case tree.Call():
                return self._call(expr, env, context)
            case _:
                text = self._text(expr)
                self.sink.add(
                    "PGC401",
                    expr.span,
                    f"`{text}` has no meaning in an objective",
                    help=_functional_help(expr),
                )
                return None

    def _text(self, expr: tree.Node) -> str:
        return " ".join(self.sink.source.snippet(expr.span).split())

    def _is_plain(self, expr: tree.Expr) -> bool:
        """Whether an expression speaks of variables and nets only."""
        for node in tree.walk(expr):
            match node:
                case tree.Expectation() | tree.Functional() | tree.Integral() | tree.Rename():
                    return False
                case tree.Call(name=name, given=given):
                    if name in ("mean", "sum") and self._is_per_example(node):
                        return False
                    if given is not None or (
                        name not in self.model.nets and name not in FUNCTIONS and self._is_distribution(name)
                    ):
                        return False
                case tree.Name(id):
                    if id in self.model.objectives:
                        return False
                    known = id in self.model.variables or id in self.model.tensors or id in self.model.constants
                    if not known and self._is_distribution(id):
                        return False
                case _:
                    pass
        return True

    def _is_per_example(self, call: tree.Call) -> bool:
        """Whether `mean(f)` is over the batch: f is one number a data point already."""
        if len(call.args) != 1 or evaluate(call.args[0].value, self.model.constants) is not None:
            return False
        quiet = Typer(self.model, Sink(self.sink.source))
        names = names_in(call.args[0].value)
        scope = Scope("the objective", {v: self._space(v) for v in names if v in self.model.variables})
        typed = quiet.typed(call.args[0].value, scope)
        return typed is not None and not typed.shape

    def _is_distribution(self, name: str) -> bool:
        if name == "data":
            return True
        names = {f.name for f in self.model.factors} | {n.name for n in self.model.named}
        return name in names or name in {base_name(n) for n in names} or base_name(name) in names

    def _plain(self, expr: tree.Expr, env: Env) -> Term | None:
        value = evaluate(expr, self.model.constants)
        if isinstance(value, Fraction):
            return terms.Constant(value)
        scope = Scope("the objective", {v: self._space(v) for v in names_in(expr) if v in self.model.variables})
        typed = self.typer.typed(expr, scope)
        if typed is None:
            return None
        if typed.shape:
            self.sink.add(
                "PGC402",
                expr.span,
                f"`{self._text(expr)}` is {show(typed.shape)}: an objective is one number a data point",
                help=f"write sum({self._text(expr)}) or mean({self._text(expr)})",
            )
            return None
        return terms.Plain(expr, env, self._text(expr) or format_expr(expr))

    def shape_of(self, expr: tree.Expr) -> tuple[int, ...] | None:
        """The event shape of an expression, None where it has faults: they are reported where it is used."""
        scope = Scope("the objective", {v: self._space(v) for v in names_in(expr) if v in self.model.variables})
        typed = Typer(self.model, Sink(self.sink.source)).typed(expr, scope)
        return None if typed is None else typed.shape

    def _space(self, variable: str) -> Typed | None:
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
        self.open.append(expr.id)
        own = replace(self._context(expr.id), repetition=context.repetition)
        inner = self.term(self.model.objectives[expr.id].expr, env, own)
        self.open.pop()
        return inner and terms.Reference(expr.id, inner)

    # --- densities ---

    def _density(self, expr: tree.Expr, env: Env, context: Context) -> Term | None:
        log = self._log_density(expr, env, context)
        return log and terms.Apply("exp", (log,))

    def _log(self, expr: tree.Log, operand: tree.Expr, env: Env, context: Context) -> Term | None:
        if (
            isinstance(operand, tree.Quotient)
            and self._is_density(operand.numerator)
            and self._is_density(operand.denominator)
        ):
            top = self._log_density(operand.numerator, env, context)
            bottom = self._log_density(operand.denominator, env, context)
            return None if top is None or bottom is None else terms.Add(((1, top), (-1, bottom)))
        if self._is_density(operand):
            return self._log_density(operand, env, context)
        inner = self.term(operand, env, context)
        if isinstance(inner, terms.Expectation) and inner.draw.unasked and not inner.draw.enumerated:
            count = f"{inner.draw.samples} draws" if inner.draw.samples > 1 else "one draw"
            self.sink.add(
                "W128",
                expr.span,
                f"this is the logarithm of an average of {count}: its mean is below the logarithm of the expectation",
                help="say how many draws: `log E_{q; samples=50}[...]`; the bound is tighter the more there are",
            )
        return inner and terms.Apply("log", (inner,))

    def _is_density(self, expr: tree.Expr) -> bool:
        match expr:
            case tree.Call(name=name, given=given):
                return given is not None or (name not in FUNCTIONS and name not in self.model.nets)
            case tree.Name(id):
                return (
                    id not in self.model.variables and id not in self.model.tensors and id not in self.model.objectives
                )
            case tree.Integral():
                return True
            case tree.Rename(base):
                return self._is_density(base)
            case tree.Product(factors):
                return all(self._is_density(f) for f in factors)
            case _:
                return False

    def _log_density(self, expr: tree.Expr, env: Env, context: Context) -> Term | None:
        distribution = self._distribution(expr, env, context)
        if distribution is None or not self.scorable(distribution, expr.span):
            return None
        return terms.LogDensity(drop_barren(distribution), self._observing(distribution, env), expr.span)

    def _observing(self, distribution: Distribution, env: Env) -> Env:
        """A deterministic variable that is scored is data, unless what it is made from is drawn."""
        for atom in distribution.atoms:
            definition = atom.factor.definition
            if isinstance(definition, Pushforward) and env.get(definition.base.targets[0]) is None:
                env = env.extended(atom.targets, point(data_of(atom.targets, atom.factor.span)))
        return env

    def _distribution(self, expr: tree.Expr, env: Env, context: Context) -> Distribution | None:
        """A distribution; a bare name inside an expectation means what the rest of the formula leaves of it."""
        found = self.resolver.resolve(expr)
        if found is None or not isinstance(expr, tree.Name):
            return found
        counted = {t for name, targets in context.counted if name == expr.id for t in targets}
        rest = tuple(atom for atom in found.atoms if not counted & {*atom.targets})
        if rest and len(rest) < len(found.atoms):
            left = Distribution(rest, found.hidden)
            kept = Distribution(tuple(atom for atom in found.atoms if atom not in rest))
            self.readings[expr.span] = left.spelled
            self.reasons.append(f"log {expr.id} leaves out {kept.spelled}, which the KL counts already")
            return left
        self.readings[expr.span] = found.spelled
        return found

    def scorable(self, distribution: Distribution, span: Span) -> bool:
        """Whether the log-density is exact: no hidden variable is left that a factor conditions on."""
        left = drop_barren(distribution)
        for atom in left.atoms:
            unscored = kind_of(atom.factor).unscored(atom.factor.definition)
            if unscored is not None:
                why, instead = unscored
                self.sink.add("PGC210", span, f"{atom.label} has no log-density: {why}", help=instead)
                return False
        parts = [left, evidence_of(left)] if left.evidence else [left]
        tables = [self._table(part) for part in parts]
        known = [table for table in tables if table is not None]
        if len(known) == len(tables):
            return all(self._fits(part, table, span) for part, table in zip(parts, known, strict=True))
        left = parts[tables.index(None)]
        names = shown(left.hidden)
        joint = " ".join(atom.label for atom in left.atoms)
        exact = self.resolver.exact
        obstacle = None if exact is None else exact.obstacles.get(distribution)
        self.sink.add(
            "PGC210",
            span,
            f"there is no exact log-density of {distribution.label}: "
            f"{names} would have to be integrated out of {joint}",
            reasons=[] if obstacle is None else [obstacle],
            help=f"use a bound: ELBO[{joint} || q({names}|{','.join(map(str, left.targets))})]",
        )
        return False

    def _table(self, distribution: Distribution) -> int | None:
        """Entries of the largest table on the way to a marginal; None where a hidden variable is not finite."""
        found = tables(distribution, self.model)
        return None if found is None else found.largest

    def _fits(self, distribution: Distribution, largest: int, span: Span) -> bool:
        """Whether a marginal's table is small enough; large ones are reported."""
        what = f"the log-density of {distribution.label} needs a table of {largest:,} entries"
        if largest > LIMIT:
            self.sink.add(
                "PGC214",
                span,
                what,
                reasons=[f"{shown(distribution.hidden[:6])} are summed out together"],
                help="use a bound: ELBO[p || q]",
            )
            return False
        if largest > LARGEST_TABLE:
            self.sink.add("W127", span, what, help="use a bound, or make the spaces smaller, if that is too slow")
        return True

    # --- expectations ---

    def _expectation(self, expr: tree.Expectation, env: Env, context: Context) -> Term | None:
        if expr.over is None:
            self.sink.add("PGC407", expr.span, "this expectation does not say over what", help="write E_{q(z|x)}[...]")
            return None
        options = read_options(expr.options, self.model.constants, self.sink)
        fixed = _detached(expr.over)
        over = self.over(expr.over if fixed is None else fixed)
        if over is None or options is None:
            return None
        samples, estimator = options
        if fixed is not None:
            estimator = replace(estimator, detached=True)
        return self.average(
            over, samples, estimator, env, context, expr.span, lambda inner: self._body(expr, over, inner, context)
        )

    def average(
        self,
        over: Distribution,
        samples: int | None,
        estimator: Estimator,
        env: Env,
        context: Context,
        span: Span,
        body: Callable[[Env], Term | None],
    ) -> Term | None:
        """The expectation of a body, that over a mixture as the weighted sum of those over its components."""
        parts = components(over, self.model)
        if parts is None:
            drawn = self.draw(over, samples, estimator, env, context, span)
            inside = None if drawn is None else body(drawn[1])
            return None if drawn is None or inside is None else terms.Expectation(drawn[0], inside, span)
        found: list[tuple[int, Term]] = []
        for weight, part in parts:
            share = self._plain(weight, env)
            inner = self.average(part, samples, estimator, env, context, span, body)
            if share is None or inner is None:
                return None
            found.append((1, terms.Multiply((share, inner))))
        return terms.Add(tuple(found))

    def _body(self, expr: tree.Expectation, over: Distribution, inner: Env, context: Context) -> Term | None:
        """What is averaged; a warning where it does not depend on what is drawn."""
        body = self.term(expr.body, inner, context)
        if body is None:
            return None
        draws = {inner.get(v) for v in over.targets}
        draw = next(iter(draws)) if len(draws) == 1 else None
        drawn = {v for v in over.targets if inner.get(v) is draw}
        if draw is not None and drawn and not speaks_of(body, draw, drawn, self.model):
            self.sink.add(
                "W106",
                expr.span,
                f"the body of this expectation does not depend on {shown(sorted(drawn))}",
                help="leave the expectation out",
            )
        return body

    def over(self, expr: tree.Expr) -> Distribution | None:
        found = self.resolver.resolve(expr)
        if found is None:
            return None
        if found.origin is not None and any(a.factor.family is None for a in found.atoms):
            found = found.origin  # drawn as it was written, one factor after another
        if isinstance(expr, tree.Name) and found.spelled != expr.id:
            self.readings[expr.span] = found.spelled
        return found

    def draw(
        self,
        over: Distribution,
        samples: int | None,
        estimator: Estimator,
        env: Env,
        context: Context,
        span: Span,
    ) -> tuple[Draw, Env] | None:
        """The draw of a distribution in this context, shared with other terms of the same sum; None after a report."""
        decided = plan(over, estimator, samples, env, self.model, self.sink, span)
        if decided is None or not self._is_baseline(estimator.baseline, over, env):
            return None
        draw = Draw(
            over,
            decided.samples,
            env,
            estimator,
            decided.enumerated,
            decided.scored,
            decided.relaxed,
            context.repetition,
            order=len(self.pool) + 1,
            unasked=samples is None,
        )
        draw = self.pool.setdefault(draw, draw)
        return draw, env.extended(draw.variables, draw)

    def _is_baseline(self, expr: tree.Expr | None, over: Distribution, env: Env) -> bool:
        """Whether a baseline is one number a data point that does not depend on what is drawn."""
        if expr is None:
            return True
        inside = closure(variables_in(expr, self.model), self.model) & {*over.targets}
        if inside:
            self.sink.add(
                "PGC408",
                expr.span,
                f"the baseline depends on {shown(sorted(inside))}, which is drawn",
                reasons=["what depends on the draw cannot be subtracted without changing the gradient"],
                help="use what the draw is conditioned on",
            )
            return False
        if not self._is_apart(expr, {n for factor in self.model.factors for n in learnables_of(factor, self.model)}):
            return False
        quiet = Typer(self.model, Sink(self.sink.source))
        scope = Scope("", {v: self._space(v) for v in names_in(expr) if v in self.model.variables})
        typed = quiet.typed(expr, scope)
        if typed is not None and typed.shape:
            self.sink.add(
                "PGC408",
                expr.span,
                f"the baseline `{self._text(expr)}` is {show(typed.shape)}, and it is one number a data point",
                help=f"write `{self._text(expr)}[0]`" if typed.shape == (1,) else f"write `sum({self._text(expr)})`",
            )
            return False
        return self._plain(expr, env) is not None

    # --- arithmetic ---

    def _quotient(
        self, expr: tree.Quotient, top: tree.Expr, bottom: tree.Expr, env: Env, context: Context
    ) -> Term | None:
        if isinstance(top, tree.Log) and self._is_density(top.operand) and self._is_density(bottom):
            inside = f"log({self._text(top.operand)} / {self._text(bottom)})"
            self.sink.add(
                "W105",
                expr.span,
                f"this divides the logarithm by {self._text(bottom)}",
                reasons=["`log` takes the juxtaposed product to its right, and `/` ends it"],
                help=f"if the logarithm of the ratio is meant, write {inside}",
                edits=[Edit(expr.span, inside)],
            )
        numerator = self.term(top, env, context)
        denominator = self.term(bottom, env, context.apart_from([numerator] if numerator is not None else []))
        return None if numerator is None or denominator is None else terms.Divide(numerator, denominator)

    def _product(self, factors: tuple[tree.Expr, ...], env: Env, context: Context) -> Term | None:
        """Factors that sample draw independently of one another."""
        found: list[Term] = []
        for factor in factors:
            term = self.term(factor, env, context.apart_from(found))
            if term is None:
                return None
            found.append(term)
        return terms.Multiply(tuple(found))

    def _call(self, expr: tree.Call, env: Env, context: Context) -> Term | None:
        if self._is_distribution(expr.name) and expr.name not in FUNCTIONS and expr.name not in self.model.nets:
            return self._density(expr, env, context)
        if expr.name not in OF_TERMS:
            known = {*OF_TERMS, "log", *(f.name for f in self.model.factors)}
            also = {**synonyms(), **FORMULAS}
            known |= {*also.values()}
            self.sink.add(
                "PGC103",
                expr.name_span,
                f"{expr.name} cannot be applied to a term of an objective",
                **suggest(expr.name, expr.name_span, known, f"functions of terms are {', '.join(OF_TERMS)}", also),
            )
            return None
        wanted = FUNCTIONS[expr.name].arguments
        if len(expr.args) != wanted or any(a.name for a in expr.args):
            self.sink.add(
                "PGC311",
                expr.span,
                f"{expr.name} takes {wanted} argument{'s' * (wanted > 1)}, not {len(expr.args)}",
                help=f"write `{expr.name}({', '.join('ab'[:wanted])})`",
            )
            return None
        inner = [self.term(a.value, env, context) for a in expr.args]
        return None if None in inner else terms.Apply(expr.name, tuple(t for t in inner if t is not None))


def _functional_help(expr: tree.Expr) -> str:
    """What `Entropy[q]` is called here, where a name before square brackets is known."""
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


def _detached(over: tree.Expr) -> tree.Expr | None:
    """The distribution of `detach p(k|x)` or `detach(p(k|x))`; None for any other."""
    match over:
        case tree.Product((tree.Name("detach"), *rest)):
            return rest[0] if len(rest) == 1 else replace(over, factors=tuple(rest))
        case tree.Call(name="detach", args=(argument,), given=None):
            return argument.value
        case _:
            return None


def _dist_name(expr: tree.Expr) -> str | None:
    match expr:
        case tree.Name(id):
            return id
        case tree.Call(name):
            return name
        case tree.Product(factors):
            return _dist_name(factors[0])
        case _:
            return None
