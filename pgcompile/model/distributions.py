"""Distributions: products of factors with some of their variables integrated out or given."""

from collections.abc import Container
from dataclasses import dataclass, field
from functools import cached_property

from pgcompile.diagnostics import Span
from pgcompile.model.factors import Factor, FactorInstance, base_name, factor_label
from pgcompile.model.indices import Indices
from pgcompile.model.variable import Variable


@dataclass(frozen=True)
class Distribution:
    """A product of atoms with some of their targets integrated out, and some given.

    `hidden` variables are copies that nothing outside can name. `evidence` are variables that the atoms generate and
    that the distribution is conditioned on: with it the product is a posterior.
    """

    atoms: tuple[FactorInstance, ...]
    hidden: tuple[Variable, ...] = ()
    evidence: tuple[Variable, ...] = ()
    origin: "Distribution | None" = field(default=None, compare=False, repr=False)
    """The distribution before its continuous variables were integrated out or inferred."""
    why: str = field(default="", compare=False, repr=False)
    """The reason why that could be done."""

    @cached_property
    def targets(self) -> tuple[Variable, ...]:
        """Variables it generates and shows, in the atoms' order."""
        apart = {*self.hidden, *self.evidence}
        return tuple(v for atom in self.atoms for v in atom.targets if v not in apart)

    @cached_property
    def parents(self) -> tuple[Variable, ...]:
        """Variables it is conditioned on."""
        generated = {v for atom in self.atoms for v in atom.targets}
        outside = (v for atom in self.atoms for v in atom.parents if v not in generated)
        return tuple(dict.fromkeys((*self.evidence, *outside)))

    @property
    def target_names(self) -> tuple[str, ...]:
        """Names of the variables that it generates."""
        return tuple(v.name for v in self.targets)

    @property
    def parent_names(self) -> tuple[str, ...]:
        """Names of the variables it is conditioned on."""
        return tuple(v.name for v in self.parents)

    @cached_property
    def label(self) -> str:
        """`p(x,z)`, by its variables and the common base name of its factors."""
        names = list(dict.fromkeys(base_name(atom.factor.name) for atom in self.atoms))
        exact = list(dict.fromkeys(atom.factor.name for atom in self.atoms))
        name = exact[0] if len(exact) == 1 else names[0] if len(names) == 1 else "·".join(names)
        return factor_label(name, self.targets, self.parents)

    @cached_property
    def spelled(self) -> str:
        """The product of its factors: `p(x|z) p(z)`; a posterior, which is none, by its label."""
        return self.label if self.evidence else " ".join(atom.label for atom in self.atoms)


@dataclass(frozen=True)
class NamedDistribution:
    """A distribution the program named by an algebraic definition: `p(x) = ∫ p(x|z) p(z) dz`."""

    name: str
    distribution: Distribution
    span: Span
    parents: tuple[Variable, ...] = ()
    """Its conditions, in the order in which they were written."""

    @property
    def label(self) -> str:
        """As it was declared, whatever it turned out not to depend on."""
        known = self.distribution.parents
        parents = self.parents if {*self.parents} >= {*known} else known
        return factor_label(self.name, self.distribution.targets, parents)


def by_indices(
    distribution: Distribution, indices: Indices, apart_from: Container[str] = ()
) -> dict[tuple[str, ...], list[FactorInstance]]:
    """The factors of a distribution by the indices of what they generate.

    Args:
        distribution: the factors.
        indices: of the program.
        apart_from: indices that do not count.
    """
    groups: dict[tuple[str, ...], list[FactorInstance]] = {}
    for atom in distribution.atoms:
        own = tuple(i for i in indices.of(atom.targets[0].name) if i not in apart_from)
        groups.setdefault(own, []).append(atom)
    return groups


def names_of(item: "FactorInstance | Factor | Distribution") -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The names of what a factor generates and of what it is conditioned on; those of the variables of an atom."""
    return tuple(map(_name, item.targets)), tuple(map(_name, item.parents))


def _name(variable: Variable | str) -> str:
    """The name of a variable in the model; what prints in the same way may be another variable's."""
    return variable if isinstance(variable, str) else variable.name
