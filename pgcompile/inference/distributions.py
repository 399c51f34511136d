"""Which distribution a formula names: `q(z|x)`, `p(x,z)`, a bare `p`, a product, a marginal, a renamed factor."""

from collections.abc import Iterable

from pgcompile.diagnostics import Sink, Span, suggest
from pgcompile.inference.algebra import condition, find_cycle, marginalise, multiply, rename
from pgcompile.inference.exact import Exact
from pgcompile.inference.invert import NotInvertible
from pgcompile.model.values import Atom, Data, Distribution, Factor, Model, base_name, factor_label
from pgcompile.model.variable import Variable, variables
from pgcompile.syntax import tree
from pgcompile.vocabulary.families import families


class Resolver:
    """Finds distributions by their spelling; `exact` solves them, once types are known."""

    def __init__(self, model: Model, sink: Sink) -> None:
        self.model = model
        self.sink = sink
        self.pending: dict[str, tuple[tree.Expr, Span]] = {}
        self.exact: Exact | None = None
        self.deferred: set[str] = set()
        """Definitions with a posterior as a factor, which can be resolved once types are known."""
        self._open: list[str] = []
        self._found: dict[str, Distribution | None] = {}
        self._by_label: dict[tuple[str, frozenset[str], frozenset[str]], Factor] = {}
        for factor in model.factors:
            self._by_label.setdefault((factor.name, frozenset(factor.targets), frozenset(factor.parents)), factor)

    def quietly(self) -> "Resolver":
        """The same resolver with a sink of its own, for a look ahead that must not report."""
        other = Resolver(self.model, Sink(self.sink.source))
        other.pending, other._found, other.exact = self.pending, dict(self._found), self.exact
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
            case tree.Product(factors):
                parts = [(self._resolve(factor), factor.span) for factor in factors]
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
            case tree.Integral():
                return self._marginal(expr)
            case tree.Rename(base, pairs):
                return self._rename(expr, base, pairs)
            case tree.Quotient(numerator, denominator):
                return self._posterior(expr, numerator, denominator)
            case _:
                text = self.sink.source.snippet(expr.span)
                self.sink.add(
                    "PGC401",
                    expr.span,
                    f"`{text}` is not a distribution",
                    help="write a factor such as q(z|x), a product of factors, or a marginal",
                )
                return None

    def _marginal(self, expr: tree.Integral) -> Distribution | None:
        """Sums of sums, a thousand of them in a long chain, from the inside out."""
        nested: list[tuple[tree.Name, ...]] = []
        body: tree.Expr = expr
        while isinstance(body, tree.Integral):
            nested.append(body.variables)
            body = body.body
        found = self._resolve(body)
        every = [variable for variables in reversed(nested) for variable in variables]
        names = {Variable(variable.id) for variable in every}
        if found is not None and len(names) == len(every) and names <= {*found.targets}:
            nested = [tuple(every)]  # one pass over the factors, not one a sum
        for group in reversed(nested):
            if found is None or self._stands_behind(found, group):
                return None
            found = marginalise(found, [(Variable(v.id), v.span) for v in group], self.sink)
        return found

    def _stands_behind(self, body: Distribution, variables: tuple[tree.Name, ...]) -> bool:
        """Whether a variable to be integrated out is what a deterministic parent is computed from; that is reported."""
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
                        text = " ".join(self.sink.source.snippet(made.span).split())
                        user = next(atom.label for atom in body.atoms if parent in atom.parents)
                        self.sink.add(
                            "PGC204",
                            variable.span,
                            f"{variable.id} cannot be integrated out: {text} is computed from it, "
                            f"and {user} is conditioned on {parent}",
                            related=[(made.span, f"{text} is defined here")],
                            help=f"condition {user} on {variable.id}, with the formula in its `where {text} = ...`",
                        )
                        return True
        return False

    def _posterior(self, expr: tree.Expr, numerator: tree.Expr, denominator: tree.Expr) -> Distribution | None:
        """`p(x|z) p(z) / p(x)`; a `p(x)` that the program does not define is what the product says it is."""
        joint = self._resolve(numerator)
        if joint is None:
            return None
        head = head_variables(denominator, Sink(self.sink.source)) if isinstance(denominator, tree.Call) else None
        if (
            head is not None
            and not head[1]
            and self.quietly()._resolve(denominator) is None
            and {*variables(head[0])} < {*joint.targets}
        ):
            given = variables(head[0])
            return Distribution(joint.atoms, joint.hidden, tuple(v for v in joint.targets if v in given))
        evidence = self._resolve(denominator)
        written = " ".join(self.sink.source.snippet(denominator.span).split())
        return None if evidence is None else condition(joint, evidence, written, self.sink, expr.span)

    def _rename(
        self, expr: tree.Expr, base: tree.Expr, pairs: tuple[tuple[tree.Name, tree.Name], ...]
    ) -> Distribution | None:
        inner = self._resolve(base)
        if inner is None:
            return None
        mapping: dict[Variable, tuple[Variable, Span]] = {}
        for old, new in pairs:
            variable = Variable(old.id)
            if variable in mapping:
                self.sink.add("PGC206", old.span, f"{old.id} is renamed twice", help="rename it once")
                return None
            known = variable in (*inner.targets, *inner.parents)
            mapping[variable] = (Variable(new.id), new.span if known else old.span)
        return rename(inner, mapping, self.sink)

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
            return Distribution((Atom(Factor("data", targets, (), Data(), call.span)),))
        wanted = label_key(call.name, targets, parents)
        if wanted in self.deferred:
            self.deferred.update(self._open)
        if wanted in self._found or wanted in self.pending:
            return None  # its own fault has been reported
        product = self._assemble(call.name, targets, parents)
        if product is not None:
            return product
        if self.exact is not None and len(targets) == 1 and targets[0] in self.model.deterministic:
            return self._pushforward(call, targets[0], parents)
        self._report_unknown(call, targets, parents)
        return None

    def _declared(
        self, name: str, targets: tuple[str, ...], parents: tuple[str, ...], span: Span
    ) -> Distribution | None:
        factor = self._by_label.get((name, frozenset(targets), frozenset(parents)))
        if factor is not None:
            return Distribution((Atom(factor),))
        key = label_key(name, targets, parents)
        if key in self.pending:
            self.define(key, span)
        found = self._found.get(key)
        if found is not None:
            return found
        # The parameter subscript of a paper's notation, q_phi(z|x) for q(z|x), when that is the only difference.
        loose = [
            f
            for f in self.model.factors
            if base_name(f.name) == base_name(name) and {*f.targets} == {*targets} and {*f.parents} == {*parents}
        ]
        if len(loose) == 1 and (name == base_name(name) or loose[0].name == base_name(name)):
            self.sink.add("N103", span, f"{factor_label(name, targets, parents)} is read as {loose[0].label}")
            return Distribution((Atom(loose[0]),))
        return None

    def resolve_deferred(self) -> dict[str, Distribution]:
        """The definitions that waited for types, by their key."""
        waiting, self.deferred = self.deferred, set()
        for key in waiting:
            self._found.pop(key, None)
        found = {key: self.define(key, self.pending[key][1]) for key in sorted(waiting)}
        return {key: distribution for key, distribution in found.items() if distribution is not None}

    def define(self, key: str, span: Span) -> Distribution | None:
        """Resolve an algebraic definition when it is first needed."""
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

    def _assemble(self, name: str, targets: tuple[str, ...], parents: tuple[str, ...]) -> Distribution | None:
        """The product of declared factors that generates exactly these variables, if there is one."""
        family = self.family(name)
        chosen: list[Atom] = []
        for target in targets:
            makers = [atom for atom in family if Variable(target) in atom.targets]
            if len(makers) != 1:
                return None
            if makers[0] not in chosen:
                chosen.append(makers[0])
        product = Distribution(tuple(sorted(chosen, key=lambda a: family.index(a))))
        same = {*product.targets} == {*variables(targets)} and {*product.parents} == {*variables(parents)}
        return product if same and find_cycle(product) is None else None

    def _pushforward(self, call: tree.Call, target: str, parents: tuple[str, ...]) -> Distribution | None:
        """The density of a deterministic variable, by a change of variables."""
        assert self.exact is not None
        made = self.model.deterministic[target]
        makers = {t: atom for atom in self.family(call.name) for t in atom.targets}
        reasons: list[str] = []
        try:
            factor = self.exact.pushforward(call.name, target, makers, {*variables(parents)})
        except NotInvertible as reason:
            factor = None
            reasons.append(str(reason))
        if factor is not None:
            return Distribution((Atom(factor),))
        drawn = [p for p in variables(made.parents) if p in makers]
        wanted = []
        if drawn and not reasons:
            base = makers[drawn[0]]
            given = tuple(dict.fromkeys((*base.parents, *(p for p in variables(made.parents) if p != drawn[0]))))
            wanted = [factor_label(call.name, (target,), given)]
        self.sink.add(
            "PGC108",
            call.span,
            f"{target} is a deterministic variable, and has no density {factor_label(call.name, (target,), parents)}",
            related=[(made.span, "defined here")],
            reasons=reasons,
            help=f"write {wanted[0]}"
            if wanted
            else "it can be drawn and conditioned on; to score it, give it noise, or an invertible formula such as "
            "2 * x + 1 or exp(x)",
        )
        return None

    def _report_unknown(self, call: tree.Call, targets: tuple[str, ...], parents: tuple[str, ...]) -> None:
        label = factor_label(call.name, targets, parents)
        known = list(dict.fromkeys([f.label for f in self.model.factors] + list(self.pending) + list(self._found)))
        declared = {v for f in self.model.factors for v in (*f.targets, *f.parents)} | set(self.model.variables)
        for argument in (*call.args, *(call.given or ())):
            if isinstance(argument.value, tree.Name) and argument.value.id not in declared:
                name = argument.value.id
                self.sink.add(
                    "PGC101",
                    argument.span,
                    f"{name} is not a variable of the model",
                    **suggest(
                        name, argument.span, declared, f"its variables are {', '.join(sorted(declared)) or 'none'}"
                    ),
                )
                return
        close = self._nearest_factor(call.name, targets, parents)
        listed = ", ".join(known[:8]) + (", ..." if len(known) > 8 else "")
        hint = (
            f"did you mean {close}?"
            if close
            else f"define it: `{label} = Normal(...)`; the program has {listed or 'none'}"
        )
        made = [t for t in targets if t in self.model.deterministic]
        if made:
            self.sink.add(
                "PGC108",
                call.span,
                f"{made[0]} is a deterministic variable, and has no density",
                related=[(self.model.deterministic[made[0]].span, "defined here")],
                help="give it noise instead: a factor of a family with a width, such as Normal",
            )
            return
        both = [
            f.label
            for f in self.model.factors
            if {*f.targets, *f.parents} == {*targets, *parents} and f.targets and f.parents and parents
        ]
        if close is None and len(both) == 2:
            hint = f"did you mean {both[0]} or {both[1]}?"
        wider = [f for f in self.model.factors if {*f.targets} == {*targets} and {*parents} < {*f.parents}]
        if close is None and len(wider) == 1:
            gone = [p for p in wider[0].parents if p not in parents]
            joint = " ".join([wider[0].label, *(f.label for f in self.model.factors if {*f.targets} & {*gone})][:2])
            hint = (
                f"{label} is a marginal: name it, `{label} = ∫ {joint} {' '.join('d' + g for g in gone)}`, "
                f"or use a bound, `ELBO[{joint} || q]`"
            )
        missing = [t for t in targets if not any(t in f.targets for f in self.model.factors)]
        reasons = [f"no factor generates {', '.join(missing)}"] if missing else []
        # Another factor is another formula: that is for the user to decide, not an edit.
        self.sink.add("PGC108", call.span, f"there is no factor {label}", reasons=reasons, help=hint)

    def _nearest_factor(self, name: str, targets: tuple[str, ...], parents: tuple[str, ...]) -> str | None:
        """The factor of another name over the same variables, or the one of this name turned round."""
        same = [f for f in self.model.factors if {*f.targets} == {*targets} and {*f.parents} == {*parents}]
        turned = [
            f
            for f in self.model.factors
            if {*f.targets} == {*parents} and {*f.parents} == {*targets} and base_name(f.name) == base_name(name)
        ]
        half = [
            f
            for f in self.model.factors
            if {*f.targets} == {*targets} and base_name(f.name) == base_name(name) and {*f.parents} < {*parents}
        ]
        if same and turned:
            return None
        for candidates in (same, turned, half):
            if len(candidates) == 1:
                return candidates[0].label
        return None

    # --- bare names ---

    def family(self, name: str) -> list[Atom]:
        """Every primitive factor that a bare `name` can mean: those of that name, or of that base name."""
        if name == "p" and self.model.structure is not None:
            return list(self.model.structure.atoms)
        exact = [Atom(f) for f in self.model.factors if f.name == name]
        renamed = [
            a
            for n in self.model.named
            if n.name == name and self._is_rename(n.distribution)
            for a in n.distribution.atoms
        ]
        loose = [Atom(f) for f in self.model.factors if base_name(f.name) == name and f.name != name]
        if not exact and not loose and name != base_name(name):
            return []
        everything = [*exact, *renamed, *loose]
        targets = [t for atom in everything for t in atom.targets]
        return everything if len(set(targets)) == len(targets) else [*exact, *renamed] or loose

    def _is_rename(self, distribution: Distribution) -> bool:
        return not distribution.hidden and len(distribution.atoms) == 1 and bool(distribution.atoms[0].renaming)

    def bare(self, name: str, span: Span) -> Distribution | None:
        """`q`: the product of the factors of that name; more than one reading is an error that lists them."""
        atoms = self.family(name)
        if not atoms:
            names = sorted({f.name for f in self.model.factors} | {base_name(f.name) for f in self.model.factors})
            defined = f"the program defines {', '.join(f.label for f in self.model.factors) or 'no factors'}"
            if name in families():
                defined = f"{name} needs its parameters: {name}({', '.join(_needed(name))})"
            elif name == "sum":
                defined = "a sum over a variable is written `sum_k p(x|k) p(k)`"
            self.sink.add(
                "PGC108",
                span,
                f"{name} is a family without its parameters"
                if name in families()
                else f"there is no distribution called {name}",
                **suggest(name, span, () if name in families() else names, defined),
            )
            return None
        product = Distribution(tuple(atoms))
        if len(set(product.targets)) < len(product.targets) or find_cycle(product) is not None:
            self.sink.add(
                "PGC109",
                span,
                f"{name} could be any of {', '.join(a.label for a in atoms)}",
                reasons=["together they are no product: they generate a variable twice or condition on each other"],
                help=f"write the one you mean, such as {atoms[0].label}",
            )
            return None
        return product


def _needed(family: str) -> list[str]:
    """Parameters that a family must be given."""
    found = families()[family]
    return [p.name for p in found.parameters if p.default is None and p.name not in found.one_of[:-1]]


def label_key(name: str, targets: Iterable[str], parents: Iterable[str]) -> str:
    """A factor's label with its variables in a canonical order."""
    return factor_label(name, tuple(sorted(targets)), tuple(sorted(parents)))


def head_variables(call: tree.Call, sink: Sink) -> tuple[tuple[str, ...], tuple[str, ...]] | None:
    """Targets and parents of `p(x|z)` as names, or None after a report."""
    if call.name in families() and call.given is None:
        text = " ".join(sink.source.snippet(call.span).split())
        sink.add(
            "PGC212",
            call.name_span,
            f"{call.name} is a family, and no factor of a product",
            help=f"give it a factor of its own: `p(x) = {text}`; a definition has `=` before its family",
        )
        return None
    targets = _variables(call.args, sink)
    parents = _variables(call.given or (), sink)
    if targets is None or parents is None:
        return None
    if not targets:
        sink.add("PGC212", call.span, f"{call.name}() names no variable", help=f"write {call.name}(x), say")
        return None
    both = [*targets, *parents]
    for name in both:
        if both.count(name) > 1:
            sink.add(
                "PGC201",
                call.span,
                f"{name} stands twice in {factor_label(call.name, targets, parents)}",
                help="name each variable once",
            )
            return None
    return targets, parents


def _variables(arguments: tuple[tree.Argument, ...], sink: Sink) -> tuple[str, ...] | None:
    names = []
    for argument in arguments:
        if argument.name is not None or not isinstance(argument.value, tree.Name):
            text = sink.source.snippet(argument.span)
            sink.add(
                "PGC212", argument.span, f"a factor is written over variables, `{text}` is not one", help="as in p(x|z)"
            )
            return None
        names.append(argument.value.id)
    return tuple(names)
