"""Mixtures of factors: `q(z|x,y) = 0.5 q_1(z|x) + 0.5 q_2(z|y)` (Shi et al. 2019)."""

from fractions import Fraction

from pgcompile.model.distributions import Distribution
from pgcompile.model.factors import Factor, FactorInstance, Mixture
from pgcompile.model.literals import evaluate
from pgcompile.model.model import Model
from pgcompile.syntax import tree


def split_weight(expr: tree.Expr) -> tuple[tree.Expr, tree.Call] | None:
    """`w q(z|x)` as its weight and its factor; None for anything else."""
    match expr:
        case tree.Call():
            return tree.Number("1", span=expr.span), expr
        case tree.Product((*weights, tree.Call() as factor)):
            weight = weights[0] if len(weights) == 1 else tree.Product(tuple(weights), span=expr.span)
            return weight, factor
        case tree.Quotient(numerator, denominator):
            inner = split_weight(numerator)
            return None if inner is None else (tree.Quotient(inner[0], denominator, span=expr.span), inner[1])
        case _:
            return None


def weights_of(mixture: Mixture, model: Model) -> tuple[tree.Expr, ...]:
    """Weights that sum to one: those written, or each over their sum."""
    if all(isinstance(evaluate(w, model.constants), Fraction) for w in mixture.weights):
        return mixture.weights
    if len(mixture.weights) == 2 and mixture.weights[1] == tree.Sum(((1, tree.Number("1")), (-1, mixture.weights[0]))):
        return mixture.weights
    total = tree.Sum(tuple((1, w) for w in mixture.weights))
    return tuple(tree.Quotient(w, total) for w in mixture.weights)


def component_atoms(atom: FactorInstance) -> tuple[FactorInstance, ...]:
    """The components of a mixture, with the names that the atom has for their variables."""
    assert isinstance(atom.factor.definition, Mixture)
    return tuple(_like(component, atom) for component in atom.factor.definition.components)


def _like(component: Factor, atom: FactorInstance) -> FactorInstance:
    inside = {*component.targets, *component.parents}
    return FactorInstance(component, tuple((old, new) for old, new in atom.renaming if old in inside))


def components(distribution: Distribution, model: Model) -> list[tuple[tree.Expr, Distribution]] | None:
    """A distribution with a mixture in it as a weighted sum of distributions without; None where there is none."""
    for index, atom in enumerate(distribution.atoms):
        definition = atom.factor.definition
        if not isinstance(definition, Mixture) or definition.by_entry:
            continue
        found: list[tuple[tree.Expr, Distribution]] = []
        for weight, part in zip(weights_of(definition, model), component_atoms(atom), strict=True):
            atoms = (*distribution.atoms[:index], part, *distribution.atoms[index + 1 :])
            one = Distribution(atoms, distribution.hidden, distribution.evidence)
            for inner, whole in components(one, model) or [(tree.Number("1"), one)]:
                both = weight if inner == tree.Number("1") else tree.Product((weight, inner))
                found.append((both, whole))
        return found
    return None
