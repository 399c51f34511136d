"""Meanings of the names of an objective: distributions, bare names, options. By the rules of the language, not the
compiler's reading of a formula.
"""

from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field, replace
from fractions import Fraction

from pgcompile.inference.distributions import Resolver
from pgcompile.model.distributions import Distribution
from pgcompile.model.factors import FactorInstance, FamilyUse, Mixture, base_name, data_of
from pgcompile.model.literals import evaluate
from pgcompile.model.model import Model
from pgcompile.model.variable import Variable
from pgcompile.objective.terms import PATHWISE, Estimator
from pgcompile.reference.pairing import identity
from pgcompile.syntax import tree
from pgcompile.vocabulary.functions import FUNCTIONS


@dataclass(frozen=True)
class Options:
    """The options of an expectation or functional.

    Args:
        samples: how many draws, None where it is not said.
        estimator: of the gradient.
        own: options of one functional only, by name.
    """

    samples: int | None = None
    estimator: Estimator = PATHWISE
    own: dict[str, tree.Expr] = field(default_factory=dict)

    def number(self, name: str, model: Model, default: float) -> float:
        """An option that is a number."""
        value = evaluate(self.own[name], model.constants) if name in self.own else None
        return float(value) if isinstance(value, Fraction) else default

    def without_gradient_of(self, side: Distribution) -> "Options":
        """The same for what compares samples: the gradient can only go through them."""
        definitions = [atom.factor.definition for atom in side.atoms]
        rough = any(isinstance(d, FamilyUse) and not d.family.pathwise for d in definitions)
        if self.estimator.relax is not None or not rough:
            return self
        return replace(self, estimator=replace(self.estimator, grad="through"))

    def word(self, name: str, default: str) -> str:
        """An option that is a word."""
        value = self.own.get(name)
        return value.id if isinstance(value, tree.Name) else default


@dataclass(frozen=True, eq=False)
class Readings:
    """Reads the formulas of one model.

    Args:
        model: the model.
        resolver: which factors a label means.
    """

    model: Model
    resolver: Resolver

    # --- kinds of expressions ---

    def names_distribution(self, name: str) -> bool:
        """True if some factor or named model has a name, with or without its subscript."""
        if name == "data":
            return True
        names = {factor.name for factor in self.model.factors} | {named.name for named in self.model.named}
        return name in names or base_name(name) in names or name in {base_name(n) for n in names}

    def is_density(self, expr: tree.Expr) -> bool:
        """True if an expression is a distribution, and stands for its density."""
        match expr:
            case tree.Call(name, _, given):
                function = name in FUNCTIONS or name in self.model.nets
                return given is not None or (not function and self.names_distribution(name))
            case tree.Name(name):
                known = (self.model.variables, self.model.tensors, self.model.objectives, self.model.constants)
                return not any(name in table for table in known) and self.names_distribution(name)
            case tree.Integral():
                return True
            case tree.Rename(base):
                return self.is_density(base)
            case tree.Product(factors):
                return all(map(self.is_density, factors))
            case _:
                return False

    def is_pointwise(self, expr: tree.Expr) -> bool:
        """True if no distribution and no other objective stands in an expression, outside its derivatives."""
        return not any(
            isinstance(node, tree.Expectation | tree.Functional | tree.Integral | tree.Rename)
            or (isinstance(node, tree.Name) and (node.id in self.model.objectives or self.is_density(node)))
            or (isinstance(node, tree.Call) and self.is_density(node))
            for node in self._outside_derivatives(expr)
        )

    def _outside_derivatives(self, expr: tree.Node, *, inside: bool = False) -> Iterator[tree.Node]:
        """Every node but the logarithms of densities that `grad` and `jacobian` differentiate."""
        if inside and isinstance(expr, tree.Log) and self.is_density(expr.operand):
            return
        yield expr
        if isinstance(expr, tree.Call) and expr.name == "quantile" and expr.given is None:
            for argument in expr.args[1:]:
                yield from self._outside_derivatives(argument.value, inside=inside)
            return
        inside = inside or (isinstance(expr, tree.Call) and expr.name in ("grad", "jacobian") and expr.given is None)
        for child in tree.children(expr):
            yield from self._outside_derivatives(child, inside=inside)

    def averages(self, expr: tree.Expr) -> bool:
        """True if draws are averaged in a formula, or in one that it names."""
        return any(
            isinstance(node, tree.Expectation | tree.Functional)
            for formula in self._with_named(expr)
            for node in tree.walk(formula)
        )

    # --- distributions ---

    def distribution(self, expr: tree.Expr) -> Distribution:
        """The distribution that an expression names."""
        found = self.resolver.resolve(expr)
        if found is None:
            raise LookupError(f"no distribution at {expr.span}")
        return found

    def drawn(self, expr: tree.Expr) -> Distribution:
        """A distribution to draw from; one that was solved into what is no family is drawn as it was written."""
        found = self.distribution(expr)
        solved = all(isinstance(atom.factor.definition, FamilyUse) for atom in found.atoms)
        return found if found.origin is None or solved else found.origin

    def opposite(self, expr: tree.Expr, left: Distribution) -> Distribution:
        """The right side of a functional: a bare name is the part of it over the left side's variables."""
        if isinstance(expr, tree.Name) and expr.id == "data":
            return Distribution((data_of(left.targets, expr.span),))
        found = self.distribution(expr)
        if not isinstance(expr, tree.Name):
            return found
        part = tuple(atom for atom in found.atoms if set(atom.targets) & set(left.targets))
        return Distribution(part) if part else found

    def scored(self, expr: tree.Expr, objective: str) -> Distribution:
        """The density that `log` scores: a bare name leaves out what a KL of the whole formula counts already."""
        found = self.distribution(expr)
        if not isinstance(expr, tree.Name):
            return found
        counted = {v for name, variables in self._counted(objective) if name == expr.id for v in variables}
        left = tuple(atom for atom in found.atoms if not counted & set(atom.targets))
        return Distribution(left, found.hidden) if left else found

    def components(self, over: Distribution) -> list[tuple[tree.Expr, tuple[tree.Expr, ...], Distribution]]:
        """A product with a mixture in it as products without: weight, all weights, product; empty without a mixture."""
        for place, atom in enumerate(over.atoms):
            definition = atom.factor.definition
            if isinstance(definition, Mixture) and not definition.by_entry:
                found = []
                for weight, factor in zip(definition.weights, definition.components, strict=True):
                    inside = {*factor.targets, *factor.parents}
                    one = FactorInstance(factor, tuple((old, new) for old, new in atom.renaming if old in inside))
                    atoms = (*over.atoms[:place], one, *over.atoms[place + 1 :])
                    found.append((weight, definition.weights, Distribution(atoms, over.hidden, over.evidence)))
                return found
        return []

    # --- what a whole formula says ---

    def _with_named(self, expr: tree.Expr) -> list[tree.Expr]:
        """A formula and those of the objectives that it names."""
        found, pending = [expr], [expr]
        while pending:
            for node in tree.walk(pending.pop()):
                objective = self.model.objectives.get(node.id) if isinstance(node, tree.Name) else None
                if objective is not None and not any(objective.expr is known for known in found):
                    found.append(objective.expr)
                    pending.append(objective.expr)
        return found

    def _around(self, objective: str) -> Iterator[tree.Node]:
        """Every node of the formulas that an objective is a part of."""
        own = self.model.objectives[objective].expr
        for other in self.model.objectives.values():
            whole = self._with_named(other.expr)
            if any(own is formula for formula in whole):
                yield from tree.walk(tuple(whole))

    def _counted(self, objective: str) -> list[tuple[str, tuple[Variable, ...]]]:
        """`(p, variables of q)` for every `KL[q || p]`."""
        found = []
        for node in self._around(objective):
            if isinstance(node, tree.Functional) and node.kind == "KL" and node.right is not None:
                right = node.right
                while isinstance(right, tree.Product):
                    right = right.factors[0]
                if isinstance(right, tree.Name | tree.Call):
                    name = right.id if isinstance(right, tree.Name) else right.name
                    found.append((base_name(name), self.distribution(node.left).targets))
        return found

    def shared_options(self, objective: str, over: Distribution) -> list[Options]:
        """The options of the expectations over the same factors, which a functional without its own takes over."""
        found = []
        for node in self._around(objective):
            if isinstance(node, tree.Expectation) and node.over is not None and detached(node.over) is None:
                known: Hashable = identity(self.distribution(node.over))
                options = self.options(node.options)
                if known == identity(over) and options.estimator.relax is None:
                    found.append(options)
        return found

    def options(self, written: tuple[tree.Option, ...], *, detached: bool = False) -> Options:
        """The options after a semicolon."""
        samples: int | None = None
        own: dict[str, tree.Expr] = {}
        estimator = Estimator(detached=detached)
        for option in written:
            value = option.value
            match option.name:
                case "samples":
                    count = evaluate(value, self.model.constants)
                    assert isinstance(count, Fraction)
                    samples = int(count)
                case "grad":
                    assert isinstance(value, tree.Name)
                    estimator = replace(estimator, grad=value.id)
                case "baseline":
                    estimator = replace(estimator, baseline=value)
                case "relax" if isinstance(value, tree.Call) and value.args:
                    temperature = evaluate(value.args[0].value, self.model.constants)
                    assert isinstance(temperature, Fraction)
                    estimator = replace(estimator, relax=value.name, temperature=float(temperature))
                case "relax":
                    name = value.id if isinstance(value, tree.Name) else getattr(value, "name", "")
                    estimator = replace(estimator, relax=name, temperature=0.5)
                case name:
                    own[name] = value
        return Options(samples, estimator, own)


def detached(over: tree.Expr) -> tree.Expr | None:
    """The distribution of `detach p(k|x)` or `detach(p(k|x))`; None for any other."""
    match over:
        case tree.Product((tree.Name("detach"), only)):
            return only
        case tree.Product((tree.Name("detach"), *rest)):
            return replace(over, factors=tuple(rest))
        case tree.Call(name="detach", args=(argument,), given=None):
            return argument.value
        case _:
            return None
