"""Resolution of formulas to distributions: `q(z|x)`, `p(x,z)`, a bare `p`, a product, a marginal, a renamed factor."""

from pgcompile.diagnostics import Sink, Span
from pgcompile.inference.algebra import condition, marginalise, multiply, rename
from pgcompile.inference.declared_factors import DeclaredFactors, is_sound
from pgcompile.inference.exact import Exact
from pgcompile.inference.heads import head_variables, label_key
from pgcompile.inference.invert import NotInvertible
from pgcompile.inference.unresolved import (
    report_ambiguous_name,
    report_computed_from,
    report_no_density,
    report_unknown_factor,
    report_unknown_index,
    report_unknown_name,
)
from pgcompile.model.distributions import Distribution
from pgcompile.model.factors import Data, Factor, FactorInstance, factor_label
from pgcompile.model.model import Model
from pgcompile.model.variable import Variable, variables
from pgcompile.syntax import tree


class Resolver:
    """Finds distributions by their spelling; `exact` solves them, once types are known.

    Args:
        model: its factors are those at this time.
        sink: where faults go.
    """

    def __init__(self, model: Model, sink: Sink) -> None:
        self.model = model
        self.sink = sink
        self.factors = DeclaredFactors(model)
        self.pending: dict[str, tuple[tree.Expr, Span]] = {}
        """Algebraic definitions, by their key."""
        self.exact: Exact | None = None
        self.deferred: set[str] = set()
        """Definitions with a posterior as a factor, which can be resolved once types are known."""
        self._open: list[str] = []
        self._found: dict[str, Distribution | None] = {}

    def quietly(self) -> "Resolver":
        """The same resolver with a sink of its own, for a look ahead that must not report."""
        other = Resolver(self.model, self.sink.quiet())
        other.pending, other._found, other.exact = self.pending, dict(self._found), self.exact
        return other

    def renewed(self) -> "Resolver":
        """A resolver of the same definitions that knows the factors declared since."""
        other = Resolver(self.model, self.sink)
        other.pending = self.pending
        return other

    # --- expressions of distributions ---

    def resolve(self, expr: tree.Expr) -> Distribution | None:
        """The distribution an expression stands for, solved where that is known, or None after a report."""
        found = self._resolve(expr)
        return found if found is None or self.exact is None else self.exact.solve(found)

    def _resolve(self, expr: tree.Expr) -> Distribution | None:
        match expr:
            case tree.Call():
                return self.call(expr)
            case tree.Name(id):
                return self.bare(id, expr.span)
            case tree.Product():
                return self._product(expr)
            case tree.Integral():
                return self._marginal(expr)
            case tree.Rename():
                return self._rename(expr)
            case tree.Whole():
                return self._whole(expr)
            case tree.Quotient():
                return self._posterior(expr)
            case _:
                text = self.sink.source.snippet(expr.span)
                self.sink.add(
                    "PGC401",
                    expr.span,
                    f"`{text}` is not a distribution",
                    help="write a factor such as q(z|x), a product of factors, or a marginal",
                )
                return None

    def _product(self, expr: tree.Product) -> Distribution | None:
        """A product; one with a posterior in it waits until that can be solved."""
        parts = [(self._resolve(factor), factor.span) for factor in expr.factors]
        known = [(part, span) for part, span in parts if part is not None]
        if len(known) < len(parts):
            return None
        if any(part.evidence for part, _ in known):
            if self.exact is None and self._open:
                self.deferred.update(self._open)
                return None
            if self.exact is not None:
                known = [(self.exact.solve(part), span) for part, span in known]
        return multiply(known, self.sink, expr.span)

    def _marginal(self, expr: tree.Integral) -> Distribution | None:
        """Sums of sums, a thousand of them in a long chain, from the inside out."""
        nested: list[tuple[tree.Name, ...]] = []
        body: tree.Expr = expr
        while isinstance(body, tree.Integral):
            nested.append(body.variables)
            body = body.body
        if report_unknown_index(expr, self.model, self.sink):
            return None
        found = self._resolve(body)
        every = [variable for variables in reversed(nested) for variable in variables]
        names = {Variable(variable.id) for variable in every}
        if found is not None and len(names) == len(every) and names <= {*found.targets}:
            nested = [tuple(every)]  # one pass over the factors, not one a sum
        for group in reversed(nested):
            if found is None or self._is_computed_from(found, group):
                return None
            found = marginalise(found, [(Variable(v.id), v.span) for v in group], self.sink)
        return found

    def _is_computed_from(self, body: Distribution, variables: tuple[tree.Name, ...]) -> bool:
        """True if a deterministic parent is computed from a variable to be integrated out; that is reported."""
        for variable in variables:
            for parent in body.parents:
                pending, seen = [parent.name] if parent.is_named else [], set()
                while pending:
                    name = pending.pop()
                    made = self.model.deterministic.get(name)
                    if made is None or name in seen:
                        continue
                    seen.add(name)
                    pending += made.parents
                    if variable.id in made.parents and Variable(variable.id) in body.targets:
                        user = next(atom for atom in body.atoms if parent in atom.parents)
                        report_computed_from(variable, made, parent, user, self.sink)
                        return True
        return False

    def _posterior(self, expr: tree.Quotient) -> Distribution | None:
        """`p(x|z) p(z) / p(x)`; a `p(x)` that the program does not define is what the product says it is."""
        below = expr.denominator
        joint = self._resolve(expr.numerator)
        if joint is None:
            return None
        head = head_variables(below, self.sink.quiet()) if isinstance(below, tree.Call) else None
        if (
            head is not None
            and not head[1]
            and self.quietly()._resolve(below) is None
            and {*variables(head[0])} < {*joint.targets}
        ):
            given = variables(head[0])
            return Distribution(joint.atoms, joint.hidden, tuple(v for v in joint.targets if v in given))
        evidence = self._resolve(below)
        written = " ".join(self.sink.source.snippet(below.span).split())
        return None if evidence is None else condition(joint, evidence, written, self.sink, expr.span)

    def _rename(self, expr: tree.Rename) -> Distribution | None:
        """`p(x|z)[x -> y]`."""
        inner = self._resolve(expr.base)
        if inner is None:
            return None
        mapping: dict[Variable, tuple[Variable, Span]] = {}
        for old, new in expr.pairs:
            variable = Variable(old.id)
            if variable in mapping:
                self.sink.add("PGC206", old.span, f"{old.id} is renamed twice", help="rename it once")
                return None
            known = variable in (*inner.targets, *inner.parents)
            mapping[variable] = (Variable(new.id), new.span if known else old.span)
        return rename(inner, mapping, self.sink)

    def _whole(self, expr: tree.Whole) -> Distribution | None:
        """`q(z_{1:T}|x_{1:T})`: the factors of one place, which stand for those of all.

        What they condition on at other places, and what is computed on the way, need not be named.
        """
        head = head_variables(expr.call, self.sink)
        if head is None:
            return None
        targets, parents = head
        direct = self._declared(expr.call.name, targets, parents, expr.span)
        if direct is not None:
            return direct
        wanted = {*variables(targets)}
        atoms = [atom for atom in self.factors.called(expr.call.name) if wanted & {*atom.targets}]
        found = Distribution(tuple(atoms))
        outside = {v for v in found.parents if v.name not in self.model.indices.lags}
        outside = {v for v in outside if v.name not in self.model.deterministic}
        if {t for atom in atoms for t in atom.targets} == wanted and outside <= {*variables(parents)}:
            return found
        report_unknown_factor(expr.call, targets, parents, [*self.pending, *self._found], self.model, self.sink)
        return None

    # --- factors ---

    def call(self, call: tree.Call) -> Distribution | None:
        """`p(x|z)`: a declared factor, a named marginal, or a product of declared factors with these variables."""
        head = head_variables(call, self.sink)
        if head is None:
            return None
        targets, parents = head
        direct = self._declared(call.name, targets, parents, call.span)
        if direct is not None:
            return direct
        if call.name == "data" and not parents:
            return Distribution((FactorInstance(Factor("data", targets, (), Data(), call.span)),))
        wanted = label_key(call.name, targets, parents)
        if wanted in self.deferred:
            self.deferred.update(self._open)
        if wanted in self._found or wanted in self.pending:
            return None  # its own fault has been reported
        product = self.factors.product_over(call.name, targets, parents)
        if product is not None:
            return product
        if self.exact is not None and len(targets) == 1 and targets[0] in self.model.deterministic:
            return self._pushforward(call, targets[0], parents, self.exact)
        report_unknown_factor(call, targets, parents, [*self.pending, *self._found], self.model, self.sink)
        return None

    def _declared(
        self, name: str, targets: tuple[str, ...], parents: tuple[str, ...], span: Span
    ) -> Distribution | None:
        factor = self.factors.labelled(name, targets, parents)
        if factor is not None:
            return Distribution((FactorInstance(factor),))
        key = label_key(name, targets, parents)
        if key in self.pending:
            self.define(key, span)
        found = self._found.get(key)
        if found is not None:
            return found
        factor = self.factors.labelled_but_for_subscript(name, targets, parents)
        if factor is None:
            return None
        self.sink.add("N103", span, f"{factor_label(name, targets, parents)} is read as {factor.label}")
        return Distribution((FactorInstance(factor),))

    def _pushforward(self, call: tree.Call, target: str, parents: tuple[str, ...], exact: Exact) -> Distribution | None:
        """The density of a deterministic variable, by a change of variables."""
        makers = {t: atom for atom in self.factors.called(call.name) for t in atom.targets}
        reasons: list[str] = []
        try:
            factor = exact.pushforward(call.name, target, makers, {*variables(parents)})
        except NotInvertible as reason:
            factor = None
            reasons.append(str(reason))
        if factor is not None:
            return Distribution((FactorInstance(factor),))
        report_no_density(call, self.model.deterministic[target], parents, makers, reasons, self.sink)
        return None

    def bare(self, name: str, span: Span) -> Distribution | None:
        """`q`: the product of the factors of that name; more than one reading is an error that lists them."""
        atoms = self.factors.called(name)
        if not atoms:
            report_unknown_name(name, span, self.model, self.sink)
            return None
        product = Distribution(tuple(atoms))
        if not is_sound(product):
            report_ambiguous_name(name, span, atoms, self.sink)
            return None
        return product

    # --- algebraic definitions ---

    def define(self, key: str, span: Span) -> Distribution | None:
        """Resolve an algebraic definition when it is first needed.

        Args:
            key: of the definition.
            span: where it is needed.

        Returns:
            The distribution; None after a report, and where it waits for types.
        """
        if key in self._open:
            ring = [*self._open[self._open.index(key) :], key]
            self.sink.add("PGC209", span, f"{key} is defined in terms of itself", reasons=[" -> ".join(ring)])
            return None
        if key not in self._found:
            expr, _ = self.pending[key]
            self._open.append(key)
            self._found[key] = self._resolve(expr)
            self._open.pop()
        return self._found[key]

    def resolve_deferred(self) -> dict[str, Distribution]:
        """The definitions that waited for types, by their key."""
        waiting, self.deferred = self.deferred, set()
        for key in waiting:
            self._found.pop(key, None)
        found = {key: self.define(key, self.pending[key][1]) for key in sorted(waiting)}
        return {key: distribution for key, distribution in found.items() if distribution is not None}
