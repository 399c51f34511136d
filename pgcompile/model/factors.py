"""Factors as they are declared, one definition for each kind, and as pieces of distributions."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from pgcompile.diagnostics import Span
from pgcompile.model.typed import Typed
from pgcompile.model.variable import Variable
from pgcompile.syntax import tree
from pgcompile.syntax.places import shown_place
from pgcompile.vocabulary.family import Family


@dataclass(frozen=True)
class FamilyUse:
    """`Family(parameters) where bindings`; parameters are in the family's order."""

    family: Family
    parameters: tuple[tuple[str, tree.Expr], ...]
    bindings: tuple[tree.Binding, ...] = ()
    types: Mapping[str, Typed] = field(default_factory=dict, compare=False)


@dataclass(frozen=True)
class Deterministic:
    """`x = expr`."""

    expr: tree.Expr
    bindings: tuple[tree.Binding, ...] = ()


@dataclass(frozen=True)
class Extern:
    """A factor supplied from Python."""


@dataclass(frozen=True)
class Evidence:
    """`p(c) = p(c|z) p(z) / p(z|c)`, the same for every z (Chib 1995), where p(c) is in no family.

    Its factors are over the names that `at` is written with; the atom that has this definition says which variables
    they are.

    Args:
        variable: z.
        at: the value of z at which it is evaluated.
        bindings: intermediate values of `at`.
        prior: `p(z)`.
        likelihood: `p(c|z)`.
        posterior: `p(z|c)`.
    """

    variable: Variable
    at: tree.Expr
    bindings: tuple[tree.Binding, ...]
    prior: "FactorInstance"
    likelihood: "FactorInstance"
    posterior: "FactorInstance"


@dataclass(frozen=True)
class Mixture:
    """`0.5 q_1(z|x) + 0.5 q_2(z|y)`: one of several factors over the same variable, chosen by chance.

    Args:
        weights: of the components; numbers sum to one, other expressions are divided by their sum.
        components: the factors.
        types: of the weights, by their place, when it is checked.
    """

    weights: tuple[tree.Expr, ...]
    components: tuple["Factor", ...]
    types: Mapping[int, Typed] = field(default_factory=dict, compare=False)

    @property
    def by_entry(self) -> bool:
        """Whether each entry of the variable is a mixture of its own: a weight has a value for each."""
        return any(found.shape for found in self.types.values())


@dataclass(frozen=True)
class LogDensityUse:
    """`LogDensity(expr)`: a density known up to a constant, by its logarithm."""

    expr: tree.Expr
    bindings: tuple[tree.Binding, ...] = ()


@dataclass(frozen=True)
class Pushforward:
    """The density of `y = f(x)` for an invertible elementwise f: `p(x) |dx/dy|` at `x = f^-1(y)`.

    Args:
        variable: the name that the formulas have for x.
        base: the factor of x.
        forward: f, over x.
        inverse: its inverse, over y.
        log_slope: log |dx/dy|, over y, summed over the entries.
    """

    variable: str
    base: "FactorInstance"
    forward: tree.Expr
    inverse: tree.Expr
    log_slope: tree.Expr


@dataclass(frozen=True)
class FlowUse:
    """`Flow(base, f(c))`: the density of a base seen through f, which maps data to it.

    Args:
        flow: f.
        inverted: whether it is `f.inv`.
        arguments: what it is conditioned on.
        base: the factor of f(x), over a name that no formula has.
        bindings: of `where`.
    """

    flow: str
    inverted: bool
    arguments: tuple[tree.Expr, ...]
    base: "Factor"
    bindings: tuple[tree.Binding, ...] = ()

    @property
    def base_name(self) -> str:
        """The name that the base has for f(x)."""
        return self.base.targets[0]

    def base_atom(self, atom: "FactorInstance") -> "FactorInstance":
        """The base, with the variables of the atom that has this definition."""
        target = (self.base_name, atom.targets[0].as_base())
        return FactorInstance(
            self.base, tuple(sorted((*((n, v) for n, v in atom.renaming if n in self.base.parents), target)))
        )


@dataclass(frozen=True)
class Undefined:
    """A factor of a bare structure: known by its variables only."""


@dataclass(frozen=True)
class Data:
    """`data(x)`: the empirical distribution."""


@dataclass(frozen=True, eq=False)
class Factor:
    """A factor as it was declared: `name(targets | parents)`. Compared by identity."""

    name: str
    targets: tuple[str, ...]
    parents: tuple[str, ...]
    definition: "FactorDefinition"
    span: Span
    shown: tuple[str, ...] | None = None
    """Its targets, for people, where they have names that nobody wrote."""

    @cached_property
    def label(self) -> str:
        """As people write it: `q(z|x)`."""
        return factor_label(self.name, self.shown or self.targets, self.parents)

    @property
    def use(self) -> FamilyUse | None:
        """Its family and parameters, where it has a family of its own."""
        return self.definition if isinstance(self.definition, FamilyUse) else None

    @property
    def family(self) -> Family | None:
        """Its family, where it has one of its own."""
        return self.definition.family if isinstance(self.definition, FamilyUse) else None

    @property
    def is_data(self) -> bool:
        """True if it is the empirical distribution of the data."""
        return isinstance(self.definition, Data)

    @property
    def subject(self) -> str:
        """The variable that it generates, for people."""
        return (self.shown or self.targets)[0]


FactorDefinition = (
    FamilyUse | Deterministic | Extern | Undefined | Data | Evidence | Mixture | LogDensityUse | Pushforward | FlowUse
)


def factor_label(name: str, targets: Iterable[Variable | str], parents: Iterable[Variable | str]) -> str:
    """`name(targets|parents)`; a deterministic variable, which has no name, is `x = ...` elsewhere."""
    given = ",".join(shown_place(str(v)) for v in parents)
    return f"{name}({','.join(shown_place(str(v)) for v in targets)}{f'|{given}' if given else ''})"


def base_name(name: str) -> str:
    """`p` of `p_theta`."""
    return name.split("_", 1)[0]


@dataclass(frozen=True)
class FactorInstance:
    """A factor with a variable for each of the names that it is declared with: one piece of a distribution.

    Args:
        factor: the factor.
        renaming: the variables of those names that do not stand for the variable of that name.
    """

    factor: Factor
    renaming: tuple[tuple[str, Variable], ...] = ()

    @cached_property
    def mapping(self) -> dict[str, Variable]:
        """The variables of the names that do not stand for the variable of that name."""
        return dict(self.renaming)

    def variable(self, name: str) -> Variable:
        """The variable that a name of the factor stands for."""
        return self.mapping.get(name) or Variable(name)

    def name_of(self, variable: Variable) -> str:
        """The name that the factor has for one of its variables."""
        names = (*self.factor.targets, *self.factor.parents)
        return next(name for name in names if self.variable(name) == variable)

    @cached_property
    def targets(self) -> tuple[Variable, ...]:
        """Variables it generates."""
        return tuple(map(self.variable, self.factor.targets))

    @cached_property
    def parents(self) -> tuple[Variable, ...]:
        """Variables it is conditioned on."""
        return tuple(map(self.variable, self.factor.parents))

    @cached_property
    def label(self) -> str:
        """As people write it, with its own variables."""
        return factor_label(self.factor.name, self.targets, self.parents)

    def renamed(self, changes: Mapping[Variable, Variable]) -> "FactorInstance":
        """With some of its variables replaced by others, all at once."""
        names = (*self.factor.targets, *self.factor.parents)
        now = {name: changes.get(self.variable(name), self.variable(name)) for name in names}
        return FactorInstance(self.factor, tuple(sorted((n, v) for n, v in now.items() if v != Variable(n))))


def data_of(targets: Iterable[Variable], span: Span) -> FactorInstance:
    """`data(x)`: the empirical distribution of some variables."""
    targets = tuple(targets)
    factor = Factor("data", tuple(v.name for v in targets), (), Data(), span)
    return FactorInstance(factor, tuple(sorted((v.name, v) for v in targets if v != Variable(v.name))))
