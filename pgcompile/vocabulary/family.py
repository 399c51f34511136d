"""The facts that a family of distributions states about itself."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pgcompile.vocabulary.symbols import Facts


@dataclass(frozen=True)
class Parameter:
    """One parameter of a family.

    Args:
        name: as in `torch.distributions`.
        constraint: the kind of space it lives in (`spaces.KINDS`).
        default: literal used where the program gives none; None makes it required.
        rank: its event dimensions beyond the elementwise ones (1 a vector, 2 a matrix).
        shared: one number for the whole variable (a temperature, the count of a multinomial).
        matrix_size: the number of rows of the family's matrices.
        per_event: one number for each vector or matrix of the family.
        literal: must be a number known at compile time.
        wide: of a matrix, whether it has any number of columns.
        fewer: of a family of indices, how many entries it has less than there are categories.
    """

    name: str
    constraint: str
    default: str | None = None
    rank: int = 0
    shared: bool = False
    literal: bool = False
    fewer: int = 0
    wide: bool = False
    per_event: bool = False
    matrix_size: bool = False


@dataclass(frozen=True)
class Family:
    """The facts of one family.

    Args:
        name: as in `torch.distributions`.
        parameters: in torch's positional order.
        one_of: names of which exactly one must be given.
        also_one_of: other names of which exactly one must be given.
        support: kind of space of the values.
        facts: from the symbols of the parameters given to the formulas; imports sympy when called.
        event_rank: 0 for elementwise families, 1 for distributions over vectors.
        least: the least length of a vector.
        pathwise: whether a draw is a differentiable function of the parameters.
        index_valued: whether the value is an index into its parameters' last dimension.
        torch_class: class of `torch.distributions`, or None where the emitted module brings its own.
        centre: attribute of the torch class that `sample_mean` propagates: the mean where there is one.
        distribution: makes the class of its objects where neither torch nor the runtime has one; imports torch when
            called. Emitted modules copy the class from its text.
        also_called: other names people use, for proposals.
        tails: `cdf`, `survival` and `quantile` where `facts` states them.
        equation: one line for the documentation.
        truncates: the name of the family of which this one is the part between bounds.
    """

    name: str
    parameters: tuple[Parameter, ...]
    support: str
    facts: "Callable[[Mapping[str, Any]], Facts]"
    one_of: tuple[str, ...] = ()
    also_one_of: tuple[str, ...] = ()
    event_rank: int = 0
    least: int = 1
    pathwise: bool = True
    index_valued: bool = False
    torch_class: str | None = None
    centre: str = "mean"
    distribution: "Callable[[], type] | None" = None
    also_called: tuple[str, ...] = ()
    tails: tuple[str, ...] = ()
    equation: str = ""
    truncates: str = ""

    @property
    def alternatives(self) -> tuple[tuple[str, ...], ...]:
        """Groups of parameters of which exactly one is given."""
        return tuple(group for group in (self.one_of, self.also_one_of) if group)

    @property
    def needed(self) -> tuple[Parameter, ...]:
        """The parameters without those that have an alternative after them."""
        replaced = {name for group in self.alternatives for name in group[:-1]}
        return tuple(p for p in self.parameters if p.name not in replaced)

    def parameter(self, name: str) -> Parameter:
        """The parameter of that name; KeyError if there is none."""
        for parameter in self.parameters:
            if parameter.name == name:
                return parameter
        raise KeyError(name)
