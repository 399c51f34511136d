"""The plan of an emitted class: its methods, each with the values that it computes."""

from dataclasses import dataclass, field
from enum import Enum

from pgcompile.model.distributions import Distribution
from pgcompile.model.factors import Factor
from pgcompile.model.model import Model
from pgcompile.model.training import OptimiseLine
from pgcompile.plan.builder import Builder
from pgcompile.plan.by_place import ByPlace
from pgcompile.plan.module_attributes import ModuleAttributes
from pgcompile.plan.values import Value
from pgcompile.vocabulary.spaces import Space


@dataclass(frozen=True)
class Argument:
    """An argument of a method: a variable of the model, or an `input`."""

    name: str
    shape: tuple[int, ...]
    is_input: bool = False
    places: tuple[int | str, ...] = ()
    """The lengths of its indices, which stand before the event shape; names where the data say them."""
    lengths: bool = False
    """True of the lengths of padded sequences."""
    optional: bool = False
    """True if it may be left out."""

    @property
    def dims(self) -> tuple[int | str, ...]:
        """Every dimension behind the batch."""
        return (*self.places, *self.shape)


@dataclass(frozen=True)
class Method:
    """A method that computes one value, or a named value for each of several formulas."""

    name: str
    formula: str
    arguments: tuple[Argument, ...]
    builder: Builder
    outputs: tuple[tuple[str, Value], ...]
    batched: bool
    same_as: "Delegate | None" = None
    """The method that computes its value already."""
    by_place: tuple[ByPlace, ...] = ()
    """Its terms at each place of an index, for every index that they are sums over."""


class Form(Enum):
    """The ways in which a method makes its value of that of another."""

    VALUE = "value"
    MEAN = "mean"
    MINUS_MEAN = "minus mean"
    TERM = "term"
    """The entry of its own name among the terms."""
    LOG_PROB = "log_prob"
    """The log-probability of its variables under the distribution that the other gives: it needs no method."""


@dataclass(frozen=True)
class Delegate:
    """Another method that computes the value of a method, and how.

    Args:
        name: the other method, as it is planned.
        form: what is made of its value.
        arguments: names of what it is given.
    """

    name: str
    form: Form
    arguments: tuple[str, ...]


@dataclass(frozen=True)
class LossMethod:
    """The scalar that one optimisation line minimises."""

    name: str
    line: OptimiseLine
    objective: Method
    mean: Method


@dataclass(frozen=True)
class SampleStep:
    """One variable of a sampler: drawn from its factor, or computed from its formula."""

    variable: str
    label: str
    parents: tuple[str, ...]
    factor: Factor | None = None
    batched: bool = True
    inputs: tuple[Argument, ...] = ()
    builder: Builder | None = None
    value: Value | None = None


@dataclass(frozen=True)
class Sampler:
    """The steps of `sample` and `sample_mean`, parents first."""

    label: str
    steps: tuple[SampleStep, ...]
    conditions: tuple[str, ...]
    inputs: tuple[Argument, ...]
    ancestors: tuple[tuple[str, tuple[str, ...]], ...]


@dataclass(frozen=True)
class Carry:
    """A variable at another place, as a sampler carries it from turn to turn.

    Args:
        name: `z_{t-1}`.
        source: what it becomes after a turn: `z_{t}`, or the name that is one place nearer.
        start: the variable that it is in the first turn; None where the first place has its own factor, or a number is
            the start.
        number: that number.
    """

    name: str
    source: str
    start: str | None
    number: float = 0.0


@dataclass(frozen=True)
class SequenceSampler:
    """The steps of `sample` and `sample_mean` of a model with indices.

    Args:
        label: of the model.
        shared: the steps of what all places share, parents first.
        steps: the steps of each place, or of all at once where none depends on another.
        late: the steps of what is made from one place, after all places.
        ones: the names of single places, with the variable and the position.
        whole: the variables of which late steps take all places, where they were drawn one after another.
        time: the index that the steps of places are repeated over; None for plates.
        plates: the other indices.
        carried: what is carried from turn to turn.
        guides: of a variable, a factor of the posterior to draw it from where its children are given.
        firsts: factors of the first place, by variable.
        conditions: variables that must be given.
        inputs: of the steps.
    """

    label: str
    shared: tuple[SampleStep, ...]
    steps: tuple[SampleStep, ...]
    late: tuple[SampleStep, ...]
    ones: tuple[tuple[str, str, int], ...]
    whole: tuple[str, ...]
    time: str | None
    plates: tuple[str, ...]
    carried: tuple[Carry, ...]
    guides: tuple[tuple[str, SampleStep], ...]
    firsts: tuple[tuple[str, SampleStep], ...]
    conditions: tuple[str, ...]
    inputs: tuple[Argument, ...]


@dataclass(frozen=True)
class FactorMethod:
    """A factor as a distribution object: its family's parameters in the environment of its parents."""

    name: str
    label: str
    formula: str
    factor: Factor
    arguments: tuple[Argument, ...]
    builder: Builder
    parameters: tuple[tuple[str, Value], ...]
    experts: tuple[tuple[Factor, Value | None], ...] = ()
    """Of a product: its factors with their powers, so that those whose parents are not given can be left out."""
    needs: tuple[tuple[str, ...], ...] = ()
    """The arguments that each expert and its power need."""
    first: bool = False
    """True of the factor of the first place of an index, where that is another."""


@dataclass(frozen=True)
class TableMethod:
    """A distribution over finite variables: its log-probabilities, and the variables along their dimensions."""

    label: str
    method: Method
    variables: tuple[tuple[str, Space], ...]
    sizes: tuple[int, ...]
    """The number of values of each."""


@dataclass(frozen=True)
class Procedure:
    """A piece of plan that several methods share: a private method, which they call.

    Args:
        name: of the method.
        callers: the methods and factors that have it in common.
        arguments: what it is given.
        results: what it gives, one value or a tuple.
    """

    name: str
    callers: tuple[str, ...]
    arguments: tuple[Argument, ...]
    results: tuple[Value, ...]


@dataclass
class ModulePlan:
    """Everything the emitted class has."""

    model: Model
    tensors: ModuleAttributes
    objectives: list[Method] = field(default_factory=list)
    losses: list[LossMethod] = field(default_factory=list)
    terms: Method | None = None
    terms_one_by_one: bool = False
    """True if the terms have so little in common that each is computed by its own method."""
    log_prob: Method | None = None
    log_densities: list[tuple[str, Method]] = field(default_factory=list)
    tables: list[TableMethod] = field(default_factory=list)
    mixtures: list[tuple[str, Method, Factor]] = field(default_factory=list)
    """Posteriors over one category, by label: methods of their logits."""
    procedures: list[Procedure] = field(default_factory=list)
    """The procedures that methods share, each after those that it calls."""
    sampler: Sampler | None = None
    sequences: SequenceSampler | None = None
    """The sampler of a model with indices."""
    factors: list[FactorMethod] = field(default_factory=list)
    aliases: dict[str, str] = field(default_factory=dict)
    generative: Distribution | None = None
    closed: frozenset[str] = frozenset()
