"""Reversal of arcs in the graph of a distribution, until no continuous variable is in the way (Shachter 1986).

Reversing `z -> c` turns `p(z) p(c|z)` into `p(c) p(z|c)`. A hidden variable whose arcs are all reversed generates
nothing that others need, and is dropped; a variable is inferred when no evidence descends from it. Finite variables
stay as they are: they are summed out when the density is computed.
"""

from collections.abc import Iterable
from dataclasses import replace

import networkx as nx

from pgcompile.diagnostics import Sink, Source
from pgcompile.inference.affine import AffineReader
from pgcompile.inference.conjugacy import reverse
from pgcompile.inference.elimination import states
from pgcompile.inference.expression_maker import Maker, renamed
from pgcompile.inference.formula_names import FormulaNames
from pgcompile.inference.gaussian_pairs import GAUSSIAN
from pgcompile.inference.pairs import Made, NoClosedForm, Side
from pgcompile.model.distributions import Distribution
from pgcompile.model.factors import Evidence, Factor, FactorInstance, FamilyUse
from pgcompile.model.kinds import kind_of
from pgcompile.model.model import Model
from pgcompile.model.variable import Variable
from pgcompile.syntax import tree
from pgcompile.typing.expressions import Typer
from pgcompile.typing.factors import check_factor
from pgcompile.vocabulary.families import families


class ArcReversal:
    """One distribution whose continuous variables are integrated out or inferred.

    Args:
        distribution: without variables that integrate to one.
        model: spaces, nets and deterministic variables, checked already.
        source: of the program.
    """

    def __init__(self, distribution: Distribution, model: Model, source: Source) -> None:
        self.model = model
        self.typer = Typer(model, Sink(source))
        self.distribution = distribution
        self.atoms = {t: atom for atom in distribution.atoms for t in atom.targets}
        self.reasons: list[str] = []
        self.uses: dict[FactorInstance, FamilyUse] = {}
        self.names = FormulaNames(model, distribution.atoms)

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

    def _rank(self, expr: tree.Expr) -> int:
        typed = self.typer.typed(expr, self.names.scope)
        if typed is None:
            raise NoClosedForm("a formula of it has no shape")
        return len(typed.shape)

    # --- one arc ---

    def _reverse(self, parent: Variable, child: Variable, *, keep: bool) -> None:
        """Turn one arc round; without `keep`, what becomes of the parent is not needed."""
        prior, likelihood = self.atoms[parent], self.atoms[child]
        first, second = self._use(prior), self._use(likelihood)
        above = dict.fromkeys((*prior.parents, *(p for p in likelihood.parents if p != parent)))
        parents = tuple(map(self.names.name_of, above))
        make = Maker(likelihood.factor.span)
        known, given = self.names.name_of(parent), self.names.name_of(child)
        shape, wide = self.model.spaces[known].shape, self.model.spaces[given].shape
        size = shape[0] if len(shape) == 1 else None
        reader = AffineReader(self.model, known, self.names.inline, size, self._rank, make)
        found = reverse(
            Side(prior.label, known, first.family.name, dict(first.parameters), shape, str(parent)),
            Side(likelihood.label, given, second.family.name, dict(second.parameters), wide, str(child)),
            reader,
            self.names.named,
        )
        if found.predictive is None or keep:
            posterior = self.names.atom(self._factor(prior, parent, (given, *parents), found.posterior, reader))
            self.atoms[parent] = posterior
        if found.predictive is not None:
            predictive = self._factor(likelihood, child, parents, found.predictive, reader)
        else:
            at = make.call("detach", found.at)
            evidence = Evidence(
                Variable(known),
                at,
                self.names.reachable((at,)),
                *map(self.names.over_names, (prior, likelihood, posterior)),
            )
            predictive = Factor(likelihood.factor.name, (given,), parents, evidence, likelihood.factor.span)
        self.atoms[child] = self.names.atom(predictive)
        self.reasons.append(_reason(first.family.name, second.family.name))

    def _use(self, atom: FactorInstance) -> FamilyUse:
        """A factor's family in the names of the distribution; a uniform one is a beta."""
        if atom in self.uses:
            return self.uses[atom]
        use = atom.factor.use
        if use is None or len(atom.targets) != 1:
            raise NoClosedForm(f"{atom.label} {kind_of(atom.factor).no_family}")
        names = self.names.renaming(atom)
        bound = [n.id for b in use.bindings for n in b.names]
        fresh = {} if self.names.is_bound(use) else {n: self.names.free_name(n) for n in bound}
        names.update({old: new for old, new in fresh.items() if old != new})
        bindings: tuple[tree.Binding, ...] = use.bindings
        if names:
            parameters = tuple((n, renamed(e, names)) for n, e in use.parameters)
            bindings = renamed(use.bindings, names)
            use = replace(use, parameters=parameters, bindings=bindings)
        for binding in bindings:
            if binding.names[0].id not in self.names.bindings:
                self.names.bind(binding)
        if use.family.name == "Uniform" and [e for _, e in use.parameters] == [tree.Number("0"), tree.Number("1")]:
            one = tree.Number("1")
            both = (("concentration1", one), ("concentration0", one))
            use = replace(use, family=families()["Beta"], parameters=both)
        self.uses[atom] = use
        return use

    def _factor(
        self, like: FactorInstance, variable: Variable, parents: tuple[str, ...], made: Made, reader: AffineReader
    ) -> Factor:
        name, parameters = made
        target = self.names.name_of(variable)
        family = families()[name]
        order = [p.name for p in family.parameters]
        given = {
            n: e if family.parameter(n).literal else self.names.named(f"{n}_{target}", e) for n, e in parameters.items()
        }
        kept = tuple((n, given[n]) for n in order if n in given)
        used = self.names.reachable([e for _, e in kept])
        formulas = (*(e for _, e in kept), *(b.value for b in used))
        if target != reader.variable and any(reader.depends(e) for e in formulas):
            raise NoClosedForm(f"{like.label} depends on {self.names.shown(reader.variable)} in more than one place")
        use = FamilyUse(family, kept, used, {})
        factor = Factor(like.factor.name, (target,), parents, use, like.factor.span)
        check_factor(factor, self.typer)
        if len(use.types) < len(kept):
            raise NoClosedForm(f"the shapes of {like.label} do not fit")
        return factor


def _reason(prior: str, likelihood: str) -> str:
    gaussian = {prior, likelihood} <= GAUSSIAN
    return "Gaussian with an affine location" if gaussian else f"{prior} is conjugate to {likelihood}"
