"""The values of the model room: factors, nets, tensors and the model that holds them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from typing import Any

from pgcompile.diagnostics import NOWHERE, Span
from pgcompile.model.variable import Variable
from pgcompile.syntax import tree
from pgcompile.vocabulary.family import Family
from pgcompile.vocabulary.layers import Layer, Value
from pgcompile.vocabulary.spaces import Space

Constant = Fraction | tuple["Constant", ...]


@dataclass(frozen=True)
class Typed:
    """What is known of an expression before any tensor exists: its space, and its value if it is a literal."""

    space: Space
    literal: Constant | None = None
    differentiable: bool = True

    @property
    def shape(self) -> tuple[int, ...]:
        """Event shape."""
        return self.space.shape


@dataclass(frozen=True)
class TypedMany:
    """The results of a net with several outputs; names are None where they have none."""

    names: tuple[str | None, ...]
    items: tuple[Typed, ...]


# --- nets ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class LayerUse:
    """A layer with its constructor arguments, sizes filled in."""

    layer: Layer
    arguments: tuple[tuple[str | None, Value], ...]


@dataclass(frozen=True)
class ModuleSegment:
    """Consecutive layers: one module of the emitted class, under the attribute `attribute`."""

    attribute: str
    layers: tuple[LayerUse, ...]
    input_shape: tuple[int, ...]
    output: Space

    @property
    def batch_rank(self) -> int | None:
        """How many batch dimensions it takes, None for any number."""
        return next((use.layer.batch_rank for use in self.layers if use.layer.batch_rank is not None), None)

    @property
    def cell_states(self) -> int:
        """States of a recurrent cell, 0 for other modules."""
        return self.layers[0].layer.cell_states if self.layers else 0


@dataclass(frozen=True)
class FunctionSegment:
    """An elementwise function in a pipeline, such as `Linear(3) >> exp`."""

    function: str


@dataclass(frozen=True)
class NetSegment:
    """Another net in a pipeline."""

    net: str


@dataclass(frozen=True)
class ExprSegment:
    """An expression over the net's inputs, first in its pipeline."""

    expr: tree.Expr


Segment = ModuleSegment | FunctionSegment | NetSegment | ExprSegment


@dataclass
class Net:
    """A net: declared once, its sizes settled by its first call.

    `segments` and `output` are None until the net is called.
    """

    name: str
    inputs: tuple[str, ...] | None
    stages: tuple[tree.Expr, ...]
    span: Span
    input_spaces: tuple[Space, ...] | None = None
    segments: tuple[Segment, ...] | None = None
    output: Typed | TypedMany | None = None
    first_call: Span = NOWHERE


@dataclass(frozen=True)
class ExternNetwork:
    """A net supplied from Python, with its declared results."""

    name: str
    inputs: tuple[str, ...]
    outputs: tuple[tuple[str | None, Space], ...]
    span: Span


# --- flows ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class TransformUse:
    """A transform with its constructor arguments, sizes filled in."""

    word: str
    arguments: tuple[tuple[str | None, Any], ...]


@dataclass(frozen=True)
class RepeatUse:
    """Transforms that are made several times over, each time with weights of their own."""

    count: int
    body: "tuple[FlowStep, ...]"


@dataclass(frozen=True)
class CouplingsUse:
    """Couplings that keep in turn the same two halves, made `count` times over: the halves are never joined."""

    count: int
    couplings: tuple[TransformUse, ...]


@dataclass(frozen=True)
class SplitUse:
    """Half of the channels leave for the base; the others go on."""

    shape: tuple[int, ...]
    body: "tuple[FlowStep, ...]"
    out_shape: tuple[int, ...]


@dataclass(frozen=True)
class FlowReference:
    """Another flow in a pipeline, with the weights that it has there."""

    name: str
    inverted: bool


FlowStep = TransformUse | RepeatUse | CouplingsUse | SplitUse | FlowReference


def other_flows(steps: "tuple[FlowStep, ...]") -> list[str]:
    """The flows that steps are made from."""
    found: list[str] = []
    for step in steps:
        if isinstance(step, FlowReference):
            found.append(step.name)
        elif isinstance(step, RepeatUse | SplitUse):
            found += other_flows(step.body)
    return found


@dataclass(frozen=True)
class SizedFlow:
    """The transforms of a flow for an event shape, from data to the base."""

    steps: tuple[FlowStep, ...]
    shape: tuple[int, ...]
    out_shape: tuple[int, ...]
    context: int
    kind: str | None
    """Kind of space of the data, None for any."""
    out_kind: str | None
    """Kind of space of the base, None for that of the data."""


@dataclass
class FlowNet:
    """A flow: declared once, its sizes settled by its first use; `sized` is None until then."""

    name: str
    inputs: tuple[str, ...]
    stages: "tuple[tree.Expr | tree.Repeat, ...]"
    span: Span
    sized: SizedFlow | None = None
    first_use: Span = NOWHERE


@dataclass(frozen=True)
class TensorValue:
    """A `param`, `buffer` or `input`."""

    kind: str
    name: str
    space: Space
    initial: tree.Expr | None
    span: Span


# --- factors -------------------------------------------------------------------------------------------------------


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
    prior: "Atom"
    likelihood: "Atom"
    posterior: "Atom"


@dataclass(frozen=True)
class Mixture:
    """`0.5 q_1(z|x) + 0.5 q_2(z|y)`: one of several factors over the same variable, chosen by chance.

    Args:
        weights: of the components; numbers sum to one, other expressions are divided by their sum.
        components: the factors.
    """

    weights: tuple[tree.Expr, ...]
    components: tuple["Factor", ...]


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
    base: "Atom"
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

    def base_atom(self, atom: "Atom") -> "Atom":
        """The base, with the variables of the atom that has this definition."""
        target = (self.base_name, atom.targets[0].as_base())
        return Atom(self.base, tuple(sorted((*((n, v) for n, v in atom.renaming if n in self.base.parents), target))))


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
        """Whether it is the empirical distribution of the data."""
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
    given = ",".join(map(str, parents))
    return f"{name}({','.join(map(str, targets))}{f'|{given}' if given else ''})"


@dataclass(frozen=True)
class Atom:
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

    def renamed(self, changes: Mapping[Variable, Variable]) -> "Atom":
        """With some of its variables replaced by others, all at once."""
        names = (*self.factor.targets, *self.factor.parents)
        now = {name: changes.get(self.variable(name), self.variable(name)) for name in names}
        return Atom(self.factor, tuple(sorted((n, v) for n, v in now.items() if v != Variable(n))))


def data_of(targets: Iterable[Variable], span: Span) -> Atom:
    """`data(x)`: the empirical distribution of some variables."""
    targets = tuple(targets)
    factor = Factor("data", tuple(v.name for v in targets), (), Data(), span)
    return Atom(factor, tuple(sorted((v.name, v) for v in targets if v != Variable(v.name))))


def names_of(item: "Atom | Factor | Distribution") -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The names of what a factor generates and of what it is conditioned on; those of the variables of an atom."""
    return tuple(map(str, item.targets)), tuple(map(str, item.parents))


@dataclass(frozen=True)
class Distribution:
    """A product of atoms with some of their targets integrated out, and some given.

    `hidden` variables are copies that nothing outside can name. `evidence` are variables that the atoms generate and
    that the distribution is conditioned on: with it the product is a posterior.
    """

    atoms: tuple[Atom, ...]
    hidden: tuple[Variable, ...] = ()
    evidence: tuple[Variable, ...] = ()
    origin: "Distribution | None" = field(default=None, compare=False, repr=False)
    """What it was before its continuous variables were integrated out or inferred."""
    why: str = field(default="", compare=False, repr=False)
    """Why that could be done."""

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


def base_name(name: str) -> str:
    """`p` of `p_theta`."""
    return name.split("_", 1)[0]


# --- the model -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class NamedDistribution:
    """A distribution the program named by an algebraic definition: `p(x) = ∫ p(x|z) p(z) dz`."""

    name: str
    distribution: Distribution
    span: Span
    parents: tuple[Variable, ...] = ()
    """What it is conditioned on, in the order in which that was written."""

    @property
    def label(self) -> str:
        """As it was declared."""
        known = self.distribution.parents
        parents = self.parents if {*self.parents} == {*known} else known
        return factor_label(self.name, self.distribution.targets, parents)


@dataclass(frozen=True)
class Objective:
    """A named formula to be optimised or reported."""

    name: str
    expr: tree.Expr
    span: Span


@dataclass(frozen=True)
class Recipe:
    """What a training line says beside its optimiser.

    Args:
        clip_norm: the largest norm of the gradient.
        clip_value: the largest entry of the gradient.
        clamp: the largest weight after an update.
        schedule: how the learning rate goes on after the warm-up.
        warmup: steps over which the learning rate rises.
        steps: length of the schedule; None for the length of the run.
        updates: how often the line is taken in its turn.
        ema: how much of the averaged weights is kept at each step.
    """

    clip_norm: float | None = None
    clip_value: float | None = None
    clamp: float | None = None
    schedule: str = "constant"
    warmup: int = 0
    steps: int | None = None
    updates: int = 1
    ema: float | None = None

    @property
    def scheduled(self) -> bool:
        """Whether the learning rate changes."""
        return self.schedule != "constant" or self.warmup > 0


@dataclass(frozen=True)
class Ramp:
    """`input beta : real = linear(0, 1, 1000)`: how an input goes from one number to another in training."""

    kind: str
    start: float
    end: float
    steps: int


@dataclass(frozen=True)
class OptimiseLine:
    """`maximize e wrt q using Adam(lr=1e-3)`, by the objective's name."""

    direction: str
    objective: str
    wrt: tuple[str, ...] | None
    optimiser: str
    options: tuple[tuple[str, Value], ...]
    recipe: Recipe
    span: Span


def loss_name(line: OptimiseLine, lines: list[OptimiseLine]) -> str:
    """Name of the method that a line minimises; lines that push one objective both ways have two."""
    if len(lines) == 1:
        return "loss"
    directions = {other.direction for other in lines if other.objective == line.objective}
    return f"loss_{line.objective}" + (f"_{line.direction[:3]}" if len(directions) > 1 else "")


@dataclass
class Model:
    """Everything a program declares, resolved and checked."""

    title: str = "Model"
    spaces: dict[str, Space] = field(default_factory=dict)
    constants: dict[str, Fraction] = field(default_factory=dict)
    nets: dict[str, Net | ExternNetwork] = field(default_factory=dict)
    flows: dict[str, FlowNet] = field(default_factory=dict)
    tensors: dict[str, TensorValue] = field(default_factory=dict)
    factors: list[Factor] = field(default_factory=list)
    named: list[NamedDistribution] = field(default_factory=list)
    deterministic: dict[str, Factor] = field(default_factory=dict)
    experts: dict[str, tuple[Factor, ...]] = field(default_factory=dict)
    """The factors that a product or a mixture of experts is made of, by its label."""
    products: dict[str, tuple[tuple[Factor, tree.Expr | None], ...]] = field(default_factory=dict)
    """The factors of a product of experts with their powers, by its label."""
    structure: Distribution | None = None
    objectives: dict[str, Objective] = field(default_factory=dict)
    optimise: list[OptimiseLine] = field(default_factory=list)
    ramps: dict[str, Ramp] = field(default_factory=dict)
    variables: dict[str, Span] = field(default_factory=dict)
    untyped: set[str] = field(default_factory=set)
    """Variables whose space could not be found, or is being found."""

    @property
    def is_structure(self) -> bool:
        """Whether it is a bare structure: factors without families, which can be checked and drawn, not compiled."""
        return any(isinstance(factor.definition, Undefined) for factor in self.factors)
