"""Exact marginals and posteriors of continuous variables: arcs of the graph are reversed until none is in the way.

Reversing `z -> c` turns `p(z) p(c|z)` into `p(c) p(z|c)` (Shachter 1986). A hidden variable whose arcs are all reversed
generates nothing that others need, and is dropped; a variable is inferred when no evidence descends from it. Finite
variables stay as they are: they are summed out when the density is computed.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from math import prod

import networkx as nx

from pgcompile.diagnostics import Sink, Source
from pgcompile.inference.affine import AffineReader
from pgcompile.inference.algebra import drop_barren
from pgcompile.inference.conjugacy import reverse
from pgcompile.inference.elimination import states
from pgcompile.inference.expression_maker import Maker, renamed
from pgcompile.inference.invert import NotInvertible, invert
from pgcompile.inference.pairs import Made, NoClosedForm, Side
from pgcompile.model.kinds import kind_of
from pgcompile.model.values import (
    Atom,
    Deterministic,
    Distribution,
    Evidence,
    Factor,
    FamilyUse,
    Model,
    Pushforward,
    Typed,
)
from pgcompile.model.variable import Variable
from pgcompile.syntax import tree
from pgcompile.syntax.tree import names_in
from pgcompile.typing.expressions import Scope, Typer
from pgcompile.typing.factors import check_factor
from pgcompile.vocabulary.families import families


@dataclass
class Exact:
    """Solves distributions with hidden or given variables; the same one gives the same factors.

    Args:
        model: spaces, nets and deterministic variables, checked already.
        source: of the program.
    """

    model: Model
    source: Source
    known: dict[Distribution, Distribution] = field(default_factory=dict)
    pushed: dict[tuple[str, str, str], Factor] = field(default_factory=dict)
    obstacles: dict[Distribution, str] = field(default_factory=dict)
    """Why a distribution was left as it is."""

    def solve(self, distribution: Distribution) -> Distribution:
        """The distribution with its continuous variables integrated out or inferred, where that is known."""
        if not distribution.hidden and not distribution.evidence:
            return distribution
        if distribution not in self.known:
            try:
                self.known[distribution] = _Graph(self, drop_barren(distribution)).solved(distribution)
            except NoClosedForm as reason:
                self.known[distribution] = distribution
                self.obstacles[distribution] = str(reason)
        return self.known[distribution]

    def pushforward(
        self, name: str, target: str, makers: Mapping[Variable, Atom], parents: set[Variable]
    ) -> Factor | None:
        """The density of a deterministic variable; None where other variables than `parents` would be given.

        Raises:
            NotInvertible: its formula has no inverse that is known.
        """
        factor = self.model.deterministic[target]
        definition = factor.definition
        assert isinstance(definition, Deterministic)
        if definition.bindings:
            raise NotInvertible("its formula has a `where`")
        for variable in factor.parents:
            base = makers.get(Variable(variable))
            rest = [Variable(p) for p in factor.parents if p != variable]
            if base is None or {*base.parents, *rest} != parents or len(base.targets) != 1:
                continue
            key = (name, target, variable)
            if key not in self.pushed:
                self.pushed[key] = self._pushed(name, factor, definition.expr, variable, base)
            return self.pushed[key]
        return None

    def _pushed(self, name: str, factor: Factor, expr: tree.Expr, variable: str, base: Atom) -> Factor:
        make = Maker(factor.span)
        target = factor.targets[0]
        shape = self.model.spaces[target].shape
        if self.model.spaces[variable].shape != shape:
            raise NotInvertible(f"{variable} and {target} differ in shape")
        found = invert(expr, variable, tree.Name(target, span=factor.span), lambda e: variable in names_in(e), make)
        typer = Typer(self.model, Sink(self.source))
        scope = Scope("", {n: Typed(space) for n, space in self.model.spaces.items()})
        terms: list[tree.Expr] = []
        for term in found.log_slope:
            typed = typer.typed(term, scope)
            if typed is None:
                raise NotInvertible("a formula of its inverse has no shape")
            wide = make.call("sum", term) if typed.shape else make.times(make.number(str(prod(shape))), term)
            terms.append(wide)
        others = (p for p in factor.parents if p != variable)
        parents = tuple(dict.fromkeys((*(p.name for p in base.parents), *others)))
        definition = Pushforward(variable, base, expr, found.value, make.add(*terms))
        return Factor(name, (target,), parents, definition, factor.span)


class _Graph:
    """One distribution on its way."""

    def __init__(self, exact: Exact, distribution: Distribution) -> None:
        self.model = exact.model
        self.typer = Typer(exact.model, Sink(exact.source))
        self.distribution = distribution
        self.atoms = {t: atom for atom in distribution.atoms for t in atom.targets}
        self.reasons: list[str] = []
        self.uses: dict[Atom, FamilyUse] = {}
        # Intermediate values of all factors, each under a name of its own, and what names stand for.
        self.bindings: dict[str, tree.Binding] = {}
        self.inline: dict[str, tree.Expr] = {}
        for name, factor in self.model.deterministic.items():
            if isinstance(factor.definition, Deterministic) and not factor.definition.bindings:
                self.inline[name] = factor.definition.expr
        model = self.model
        self.taken = {*model.variables, *model.spaces, *model.tensors, *model.nets, *model.constants}
        self.names: dict[Variable, str] = {}
        for atom in distribution.atoms:
            for name in (*atom.factor.targets, *atom.factor.parents):
                self._settle_name(atom.variable(name), name)
        self.scope = Scope("", {name: Typed(space) for name, space in self.model.spaces.items()})

    def solved(self, origin: Distribution) -> Distribution:
        """The result.

        Raises:
            NoClosedForm: a pair of factors cannot be reversed.
        """
        start = self.distribution
        hidden = [v for v in start.hidden if self._is_continuous(v)]
        inferred = [v for v in start.targets if self._is_continuous(v)] if start.evidence else []
        if not hidden and not inferred:
            return origin
        for variable in sorted(hidden, key=lambda v: len(self._children(v))):
            while children := self._children(variable):
                self._reverse(variable, children[0], keep=len(children) > 1)
            del self.atoms[variable]
        for variable in [v for v in reversed(self._order()) if v in inferred]:
            while children := [c for c in self._children(variable) if c in start.evidence]:
                self._reverse(variable, children[0], keep=True)
        if not self.reasons:
            return origin
        atoms = tuple(dict.fromkeys(self.atoms.values()))
        kept = tuple(h for h in start.hidden if h in self.atoms)
        evidence = start.evidence
        if evidence and not self._above(evidence) & {*start.targets, *kept}:
            atoms = tuple(a for a in atoms if not {*a.targets} & {*evidence})
            evidence = ()
        why = "; ".join(dict.fromkeys(self.reasons))
        return Distribution(atoms, kept, evidence, origin=origin, why=why)

    # --- the graph ---

    def _is_continuous(self, variable: Variable) -> bool:
        return states(self.atoms[variable], self.model) is None

    def _graph(self) -> nx.DiGraph:
        graph = nx.DiGraph()
        graph.add_nodes_from(self.atoms)
        for target, atom in self.atoms.items():
            graph.add_edges_from((parent, target) for parent in atom.parents)
        return graph

    def _order(self) -> list[Variable]:
        return list(nx.lexicographical_topological_sort(self._graph()))

    def _children(self, variable: Variable) -> list[Variable]:
        """Children in topological order: the first has no other path from the variable to it."""
        return [v for v in self._order() if v in self.atoms and variable in self.atoms[v].parents]

    def _above(self, variables: Iterable[Variable]) -> set[Variable]:
        graph = self._graph()
        return {a for v in variables if v in graph for a in nx.ancestors(graph, v)}

    # --- names ---

    def _settle_name(self, variable: Variable, known: str) -> None:
        """Give a variable a name that stands for it alone in the formulas of this graph, and the space of `known`."""
        if variable in self.names:
            return
        spaces, space = self.model.spaces, self.model.spaces.get(known)
        name = variable.name
        if name in self.names.values() or (name in spaces and spaces[name] != space):
            number = 2
            while (name := f"{variable.name}_{number}") in {*self.taken, *self.names.values()}:
                number += 1
        self.names[variable] = name
        if space is not None:
            spaces.setdefault(name, space)

    def _atom(self, factor: Factor) -> Atom:
        """A factor over names of this graph, with the variables that they stand for."""
        inside = {*factor.targets, *factor.parents}
        return Atom(factor, tuple(sorted((n, v) for v, n in self.names.items() if n in inside and v != Variable(n))))

    def _over_names(self, atom: Atom) -> Atom:
        """An atom with its variables replaced by the names that this graph has for them."""
        return atom.renamed({v: Variable(n) for v, n in self.names.items()})

    def _free_name(self, hint: str) -> str:
        name, number = hint, 2
        while name in self.bindings or name in self.taken:
            name, number = f"{hint}_{number}", number + 1
        return name

    def _bind(self, binding: tree.Binding) -> None:
        """A binding of its own names; part of a tuple is only known to depend on it."""
        for position, bound in enumerate(binding.names):
            whole = len(binding.names) == 1
            self.bindings[bound.id] = binding
            self.scope.bindings[bound.id] = (binding, position)
            self.inline[bound.id] = binding.value if whole else tree.TupleLiteral((binding.value,))

    def _named(self, hint: str, expr: tree.Expr) -> tree.Expr:
        """A name for a formula, so that formulas made of it do not grow with it."""
        if isinstance(expr, tree.Name | tree.Number | tree.ListLiteral):
            return expr
        name = tree.Name(self._free_name(hint), span=expr.span)
        self._bind(tree.Binding((name,), expr, span=expr.span))
        return name

    def _rank(self, expr: tree.Expr) -> int:
        typed = self.typer.typed(expr, self.scope)
        if typed is None:
            raise NoClosedForm("a formula of it has no shape")
        return len(typed.shape)

    # --- one arc ---

    def _reverse(self, parent: Variable, child: Variable, *, keep: bool) -> None:
        """Turn one arc round; without `keep`, what becomes of the parent is not needed."""
        prior, likelihood = self.atoms[parent], self.atoms[child]
        first, second = self._use(prior), self._use(likelihood)
        above = dict.fromkeys((*prior.parents, *(p for p in likelihood.parents if p != parent)))
        parents = tuple(self.names[v] for v in above)
        make = Maker(likelihood.factor.span)
        known, given = self.names[parent], self.names[child]
        shape, wide = self.model.spaces[known].shape, self.model.spaces[given].shape
        size = shape[0] if len(shape) == 1 else None
        reader = AffineReader(self.model, known, self.inline, size, self._rank, make)
        found = reverse(
            Side(prior.label, known, first.family.name, dict(first.parameters), shape, str(parent)),
            Side(likelihood.label, given, second.family.name, dict(second.parameters), wide, str(child)),
            reader,
            self._named,
        )
        if found.predictive is None or keep:
            posterior = self._atom(self._factor(prior, parent, (given, *parents), found.posterior, reader))
            self.atoms[parent] = posterior
        if found.predictive is not None:
            predictive = self._factor(likelihood, child, parents, found.predictive, reader)
        else:
            at = make.call("detach", found.at)
            evidence = Evidence(
                Variable(known), at, self._reachable((at,)), *map(self._over_names, (prior, likelihood, posterior))
            )
            predictive = Factor(likelihood.factor.name, (given,), parents, evidence, likelihood.factor.span)
        self.atoms[child] = self._atom(predictive)
        self.reasons.append(_reason(first.family.name, second.family.name))

    def _use(self, atom: Atom) -> FamilyUse:
        """A factor's family in the names of the distribution; a uniform one is a beta."""
        if atom in self.uses:
            return self.uses[atom]
        use = atom.factor.use
        if use is None or len(atom.targets) != 1:
            raise NoClosedForm(f"{atom.label} {kind_of(atom.factor).no_family}")
        inside = (*atom.factor.targets, *atom.factor.parents)
        names = {n: self.names[atom.variable(n)] for n in inside if n != self.names[atom.variable(n)]}
        bound = [n.id for b in use.bindings for n in b.names]
        fresh = {} if self._is_bound(use) else {n: self._free_name(n) for n in bound}
        names.update({old: new for old, new in fresh.items() if old != new})
        bindings: tuple[tree.Binding, ...] = use.bindings
        if names:
            parameters = tuple((n, renamed(e, names)) for n, e in use.parameters)
            bindings = renamed(use.bindings, names)
            use = replace(use, parameters=parameters, bindings=bindings)
        for binding in bindings:
            if binding.names[0].id not in self.bindings:
                self._bind(binding)
        if use.family.name == "Uniform" and [e for _, e in use.parameters] == [tree.Number("0"), tree.Number("1")]:
            one = tree.Number("1")
            both = (("concentration1", one), ("concentration0", one))
            use = replace(use, family=families()["Beta"], parameters=both)
        self.uses[atom] = use
        return use

    def _is_bound(self, use: FamilyUse) -> bool:
        """Whether the bindings of a factor are those of this graph already: it was made here."""
        return all(self.bindings.get(n.id) is b for b in use.bindings for n in b.names)

    def _factor(
        self, like: Atom, variable: Variable, parents: tuple[str, ...], made: Made, reader: AffineReader
    ) -> Factor:
        name, parameters = made
        target = self.names[variable]
        family = families()[name]
        order = [p.name for p in family.parameters]
        given = {
            n: e if family.parameter(n).literal else self._named(f"{n}_{target}", e) for n, e in parameters.items()
        }
        kept = tuple((n, given[n]) for n in order if n in given)
        used = self._reachable([e for _, e in kept])
        formulas = (*(e for _, e in kept), *(b.value for b in used))
        if target != reader.variable and any(reader.depends(e) for e in formulas):
            raise NoClosedForm(f"{like.label} depends on {self._shown(reader.variable)} in more than one place")
        use = FamilyUse(family, kept, used, {})
        factor = Factor(like.factor.name, (target,), parents, use, like.factor.span)
        check_factor(factor, self.typer)
        if len(use.types) < len(kept):
            raise NoClosedForm(f"the shapes of {like.label} do not fit")
        return factor

    def _shown(self, name: str) -> str:
        """The variable that a name of this graph stands for, for messages."""
        return next(str(variable) for variable, known in self.names.items() if known == name)

    def _reachable(self, exprs: Iterable[tree.Expr]) -> tuple[tree.Binding, ...]:
        """The bindings that some expressions need, in the order in which they were made."""
        pending = [name for e in exprs for name in names_in(e)]
        used: set[str] = set()
        while pending:
            name = pending.pop()
            if name in self.bindings and name not in used:
                used.add(name)
                pending += names_in(self.bindings[name].value)
        return tuple(dict.fromkeys(b for n, b in self.bindings.items() if n in used))


def _reason(prior: str, likelihood: str) -> str:
    gaussian = {prior, likelihood} <= {"Normal", "MultivariateNormal"}
    return "Gaussian with an affine location" if gaussian else f"{prior} is conjugate to {likelihood}"
