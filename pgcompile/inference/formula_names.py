"""Names for the formulas of one distribution: each stands for one variable, or for an intermediate value."""

from collections.abc import Iterable

from pgcompile.model.factors import Deterministic, Factor, FactorInstance, FamilyUse
from pgcompile.model.model import Model
from pgcompile.model.typed import Typed
from pgcompile.model.variable import Variable
from pgcompile.syntax import tree
from pgcompile.syntax.tree import names_in
from pgcompile.typing.expressions import Scope


class FormulaNames:
    """Names of the variables of some factors, and of intermediate values of their formulas.

    Args:
        model: its names are avoided; it gets the spaces of variables with new names.
        atoms: the factors.
    """

    def __init__(self, model: Model, atoms: Iterable[FactorInstance]) -> None:
        self.bindings: dict[str, tree.Binding] = {}
        """Intermediate values of all factors, each under a name of its own."""
        self.inline: dict[str, tree.Expr] = {}
        """Formulas that names stand for."""
        for name, factor in model.deterministic.items():
            if isinstance(factor.definition, Deterministic) and not factor.definition.bindings:
                self.inline[name] = factor.definition.expr
        self._spaces = model.spaces
        self._taken = {*model.variables, *model.spaces, *model.tensors, *model.nets, *model.constants}
        self._names: dict[Variable, str] = {}
        for atom in atoms:
            for name in (*atom.factor.targets, *atom.factor.parents):
                self._settle(atom.variable(name), name)
        self.scope = Scope("", {name: Typed(space) for name, space in model.spaces.items()})

    # --- variables ---

    def _settle(self, variable: Variable, known: str) -> None:
        """Give a variable a name that stands for it alone in the formulas here, and the space of `known`."""
        if variable in self._names:
            return
        spaces, space = self._spaces, self._spaces.get(known)
        name = variable.name
        if name in self._names.values() or (name in spaces and spaces[name] != space):
            number = 2
            while (name := f"{variable.name}_{number}") in {*self._taken, *self._names.values()}:
                number += 1
        self._names[variable] = name
        if space is not None:
            spaces.setdefault(name, space)

    def name_of(self, variable: Variable) -> str:
        """The name of a variable."""
        return self._names[variable]

    def shown(self, name: str) -> str:
        """The variable that a name stands for, for messages."""
        return next(str(variable) for variable, known in self._names.items() if known == name)

    def renaming(self, atom: FactorInstance) -> dict[str, str]:
        """The names in the definition of a factor that have others here."""
        inside = (*atom.factor.targets, *atom.factor.parents)
        return {n: self._names[atom.variable(n)] for n in inside if n != self._names[atom.variable(n)]}

    def atom(self, factor: Factor) -> FactorInstance:
        """A factor over these names, with the variables that they stand for."""
        inside = {*factor.targets, *factor.parents}
        return FactorInstance(
            factor, tuple(sorted((n, v) for v, n in self._names.items() if n in inside and v != Variable(n)))
        )

    def over_names(self, atom: FactorInstance) -> FactorInstance:
        """An atom with its variables replaced by their names here."""
        return atom.renamed({v: Variable(n) for v, n in self._names.items()})

    # --- intermediate values ---

    def free_name(self, hint: str) -> str:
        """A name that nothing has yet, like `hint`."""
        name, number = hint, 2
        while name in self.bindings or name in self._taken:
            name, number = f"{hint}_{number}", number + 1
        return name

    def bind(self, binding: tree.Binding) -> None:
        """Keep a binding under its own names; part of a tuple is only known to depend on it."""
        for position, bound in enumerate(binding.names):
            whole = len(binding.names) == 1
            self.bindings[bound.id] = binding
            self.scope.bindings[bound.id] = (binding, position)
            self.inline[bound.id] = binding.value if whole else tree.TupleLiteral((binding.value,))

    def named(self, hint: str, expr: tree.Expr) -> tree.Expr:
        """A name for a formula, so that formulas made of it do not grow with it."""
        if isinstance(expr, tree.Name | tree.Number | tree.ListLiteral):
            return expr
        name = tree.Name(self.free_name(hint), span=expr.span)
        self.bind(tree.Binding((name,), expr, span=expr.span))
        return name

    def is_bound(self, use: FamilyUse) -> bool:
        """True if the bindings of a factor are those kept here already: it was made here."""
        return all(self.bindings.get(n.id) is b for b in use.bindings for n in b.names)

    def reachable(self, exprs: Iterable[tree.Expr]) -> tuple[tree.Binding, ...]:
        """The bindings that some expressions need, in the order in which they were made."""
        pending = [name for e in exprs for name in names_in(e)]
        used: set[str] = set()
        while pending:
            name = pending.pop()
            if name in self.bindings and name not in used:
                used.add(name)
                pending += names_in(self.bindings[name].value)
        return tuple(dict.fromkeys(b for n, b in self.bindings.items() if n in used))
