"""The facts that a functional of distributions states about itself."""

from dataclasses import dataclass
from enum import Enum
from fractions import Fraction

from pgcompile.vocabulary.definition import LEFT, RIGHT, Density, Formula, drawn, has_log_of_mean, scored


class Sides(Enum):
    """The distributions that a functional takes."""

    ONE = "one distribution"
    SAME_VARIABLES = "two distributions of the same variables"
    MODEL_AND_GUIDE = "a model, and the approximate posterior of its latent variables"


class Method(Enum):
    """The way a functional is computed."""

    DEFINITION = "the expectation of densities that `definition` states"
    SAMPLES = "by comparing samples of both sides"
    BATCH = "over all pairs of the batch"
    NET = "as the expectation of a net, whose name is a subscript"


class Kind(Enum):
    """The values of a setting."""

    NUMBER = "number"
    NUMBERS = "a number, or a list of them"
    WHOLE = "whole number"
    CHOICE = "one of several names"


@dataclass(frozen=True)
class Setting:
    """An option of a functional's own, beside those of every expectation.

    Args:
        name: as it is written.
        kind: of its value.
        default: where the program gives none; None makes it required, or leaves it to the functional (`about` says so).
        choices: of a CHOICE.
        above: the value is larger than this.
        least: the value is at least this.
        other_than: a value that is not allowed.
        required: whether it must be given.
        demand: the sentence of the error for any other value.
        help: what to write instead.
        about: what it does.
    """

    name: str
    kind: Kind
    about: str
    default: "str | Fraction | tuple[Fraction, ...] | None" = None
    choices: tuple[str, ...] = ()
    above: Fraction | None = None
    least: Fraction | None = None
    other_than: Fraction | None = None
    required: bool = False
    demand: str = ""
    help: str = ""

    def holds(self, value: Fraction) -> bool:
        """True if a number is in the setting's domain."""
        return not (
            (self.above is not None and value <= self.above)
            or (self.least is not None and value < self.least)
            or value == self.other_than
        )


@dataclass(frozen=True)
class Refusal:
    """A gradient estimator that makes no sense for a functional, with the error that says so."""

    grad: str
    message: str
    help: str


@dataclass(frozen=True)
class Functional:
    """The facts of one functional.

    Args:
        name: its canonical spelling; one with a net's name as subscript ends in `_d`.
        sides: the distributions that it takes.
        example: a use, as messages show it.
        about: one line for the documentation, of what is not in the definition.
        source: where it was introduced.
        latex: its head in a formula.
        order: its place in lists.
        method: the way it is computed.
        definition: where that is its method.
        spellings: other ways to write it, Unicode and LaTeX; fonts and braces around any of them are allowed.
        round_brackets: whether `name(q || p)` is written too.
        also_called: what other libraries and papers call it, for proposals.
        instead: the help of the error for a wrong number of sides; made from `example` where empty.
        infinite: how the value grows where the drawn side leaves the other's support; empty where it stays finite.
        named_term: whether an objective keeps its name, for closed forms and lints that look for it.
        settings: options of its own.
        refuses: gradient estimators that it has no use for.
        why: the reason that `pgc explain` gives for the way it is computed.
        in_words: its definition where no formula states it.
        generated_only: of a net's estimate: only the generated side is trained with it.
    """

    name: str
    sides: Sides
    example: str
    source: str
    latex: str
    order: int
    about: str = ""
    method: Method = Method.DEFINITION
    definition: Formula | None = None
    spellings: tuple[str, ...] = ()
    round_brackets: bool = False
    also_called: tuple[str, ...] = ()
    instead: str = ""
    infinite: str = ""
    named_term: bool = False
    settings: tuple[Setting, ...] = ()
    refuses: tuple[Refusal, ...] = ()
    why: str = ""
    in_words: str = ""
    generated_only: bool = False

    @property
    def takes_net(self) -> bool:
        """True if a net's name is part of the word, as in `JS_d`."""
        return self.method is Method.NET

    @property
    def drawn(self) -> Density:
        """The side whose draws decide where both densities are evaluated."""
        return RIGHT if self.sides is Sides.MODEL_AND_GUIDE else LEFT

    @property
    def draws(self) -> tuple[Density, ...]:
        """The sides that are drawn from."""
        return drawn(self.definition) if self.definition is not None else (LEFT, RIGHT)

    @property
    def scored(self) -> frozenset[Density]:
        """The sides whose log-density must be known."""
        return scored(self.definition) if self.definition is not None else frozenset()

    @property
    def needs_samples(self) -> bool:
        """True if the number of draws is part of what is computed, so that it must be said."""
        return self.definition is not None and has_log_of_mean(self.definition)

    @property
    def setting_names(self) -> tuple[str, ...]:
        """Names of its own options."""
        return tuple(setting.name for setting in self.settings)

    def setting(self, name: str) -> Setting:
        """The setting of that name; KeyError if there is none."""
        for setting in self.settings:
            if setting.name == name:
                return setting
        raise KeyError(name)

    @property
    def names_of_sides(self) -> tuple[str, str]:
        """The names of its sides where it is explained: a model `p`, what is averaged over `q`."""
        return ("p", "q") if self.sides is Sides.MODEL_AND_GUIDE else ("q", "p")

    @property
    def usage(self) -> str:
        """The word with its sides, `KL[q || p]`."""
        return f"{self.name}[{'q' if self.sides is Sides.ONE else ' || '.join(self.names_of_sides)}]"
