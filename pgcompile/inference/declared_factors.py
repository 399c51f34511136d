"""Declared factors by name and variables: what a label such as `q(z|x)` or a bare name such as `q` can mean."""

from pgcompile.inference.algebra import find_cycle
from pgcompile.model.distributions import Distribution
from pgcompile.model.factors import Factor, FactorInstance, base_name
from pgcompile.model.model import Model
from pgcompile.model.variable import Variable, variables


class DeclaredFactors:
    """Finds the factors of a model; nothing is reported.

    Args:
        model: its factors by label are those at this time.
    """

    def __init__(self, model: Model) -> None:
        self.model = model
        self._by_label: dict[tuple[str, frozenset[str], frozenset[str]], Factor] = {}
        for factor in model.factors:
            self._by_label.setdefault((factor.name, frozenset(factor.targets), frozenset(factor.parents)), factor)

    def labelled(self, name: str, targets: tuple[str, ...], parents: tuple[str, ...]) -> Factor | None:
        """The factor of that name over these variables, in any order."""
        return self._by_label.get((name, frozenset(targets), frozenset(parents)))

    def labelled_but_for_subscript(
        self, name: str, targets: tuple[str, ...], parents: tuple[str, ...]
    ) -> Factor | None:
        """The one factor that differs in its subscript only: papers write q_phi(z|x) for q(z|x)."""
        base = base_name(name)
        found = [
            f
            for f in self.model.factors
            if base_name(f.name) == base and {*f.targets} == {*targets} and {*f.parents} == {*parents}
        ]
        return found[0] if len(found) == 1 and base in (name, found[0].name) else None

    def called(self, name: str) -> list[FactorInstance]:
        """Every primitive factor that a bare `name` can mean: those of that name, or of that base name."""
        model = self.model
        if name == "p" and model.structure is not None:
            return list(model.structure.atoms)
        exact = [FactorInstance(f) for f in model.factors if f.name == name]
        renamed = [
            a for n in model.named if n.name == name and _is_rename(n.distribution) for a in n.distribution.atoms
        ]
        loose = [FactorInstance(f) for f in model.factors if base_name(f.name) == name and f.name != name]
        if not exact and not loose and name != base_name(name):
            return []
        everything = [*exact, *renamed, *loose]
        targets = [t for atom in everything for t in atom.targets]
        return everything if len(set(targets)) == len(targets) else [*exact, *renamed] or loose

    def product_over(self, name: str, targets: tuple[str, ...], parents: tuple[str, ...]) -> Distribution | None:
        """The product of declared factors that generates exactly these variables, if there is one."""
        called = self.called(name)
        chosen: list[FactorInstance] = []
        for target in targets:
            makers = [atom for atom in called if Variable(target) in atom.targets]
            if len(makers) != 1:
                return None
            if makers[0] not in chosen:
                chosen.append(makers[0])
        product = Distribution(tuple(sorted(chosen, key=lambda a: called.index(a))))
        same = {*product.targets} == {*variables(targets)} and {*product.parents} == {*variables(parents)}
        return product if same and is_sound(product) else None


def is_sound(product: Distribution) -> bool:
    """True if factors are a product: each variable is generated once, and none conditions on itself."""
    return len(set(product.targets)) == len(product.targets) and find_cycle(product) is None


def _is_rename(distribution: Distribution) -> bool:
    return not distribution.hidden and len(distribution.atoms) == 1 and bool(distribution.atoms[0].renaming)
