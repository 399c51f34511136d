"""Resolved objectives: every name settled, every sampled variable tied to the draw that makes it."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction

from pgcompile.diagnostics import Span
from pgcompile.model.values import Atom, Data, Distribution
from pgcompile.syntax import tree


@dataclass(frozen=True)
class Estimator:
    """What the options of an expectation say of its gradient.

    Args:
        grad: `pathwise`, `score`, `enumerate`, `stl` or `dreg`; `through` where samples are compared;
            None leaves it to the compiler.
        baseline: what a score function subtracts from the value that it weighs.
        relax: `gumbel` or `straight_through`: a differentiable stand-in for a discrete draw.
        temperature: of the relaxation.
        detached: whether the distribution passes no gradient: `E_{detach p(k|x)}`, as in the EM algorithm.
    """

    grad: str | None = None
    baseline: tree.Expr | None = None
    relax: str | None = None
    temperature: float = 0.5
    detached: bool = False


PATHWISE = Estimator()
NUMBERS_OF_A_DRAW = 100  # a draw's number, and those after it for the axes of its enumerated variables


@dataclass(frozen=True)
class Draw:
    """One sampling of a distribution under an expectation.

    Args:
        number: tells draws apart; terms that may share a draw have the same one.
        distribution: what is drawn from.
        samples: how many draws are averaged.
        env: where its parents come from.
        estimator: what the program says of its gradient.
        enumerated: variables that take every value in turn instead of being drawn.
        scored: variables whose draws pass no gradient, so that a score function carries it.
        relaxed: variables drawn from a differentiable stand-in.
        unasked: whether the number of samples was the compiler's choice.
    """

    number: int
    distribution: Distribution
    samples: int
    env: "Env"
    estimator: Estimator = PATHWISE
    enumerated: tuple[str, ...] = ()
    scored: tuple[str, ...] = ()
    relaxed: tuple[str, ...] = ()
    unasked: bool = False

    @property
    def variables(self) -> tuple[str, ...]:
        """Variables that it makes; those of `data(x)` are observed, not drawn, nor is the evidence of a posterior."""
        if self.distribution.evidence:
            return self.distribution.targets
        atoms = (a for a in self.distribution.atoms if not isinstance(a.factor.definition, Data))
        return tuple(t for atom in atoms for t in atom.targets)

    @property
    def inside(self) -> "Env":
        """The environment of its own factors: what it makes, over that of its parents."""
        return self.env.extended(self.variables, self)

    def gives_data(self, variable: str) -> bool:
        """Whether a variable is one of the data, not drawn."""
        atom = self.atom_of(variable)
        return atom is not None and isinstance(atom.factor.definition, Data)

    def atom_of(self, variable: str) -> Atom | None:
        """The factor that generates a variable of this draw."""
        return next((atom for atom in self.distribution.atoms if variable in atom.targets), None)


DrawKey = tuple[int, str, int, str]


def draw_key(draw: Draw, variable: str) -> DrawKey:
    """What a variable of a draw is known by; equal in two objectives that draw it alike."""
    atom = draw.atom_of(variable)
    return draw.number, variable, draw.samples, atom.label if atom is not None else ""


@dataclass(frozen=True)
class Env:
    """Which draw each variable comes from; a variable that is not listed is observed."""

    bindings: tuple[tuple[str, Draw], ...] = ()

    def get(self, variable: str) -> Draw | None:
        """The draw of a variable, None where it is observed."""
        return next((draw for name, draw in self.bindings if name == variable), None)

    def extended(self, variables: tuple[str, ...], draw: Draw) -> "Env":
        """With some variables coming from `draw`."""
        kept = tuple((name, other) for name, other in self.bindings if name not in variables)
        return Env(tuple(sorted((*kept, *((v, draw) for v in variables)), key=lambda b: b[0])))


OBSERVED = Env()


@dataclass(frozen=True)
class Constant:
    """A number."""

    value: Fraction


@dataclass(frozen=True)
class Plain:
    """An expression without distributions, one number a data point."""

    expr: tree.Expr
    env: Env
    text: str


@dataclass(frozen=True)
class LogDensity:
    """log of a distribution at the variables of an environment."""

    distribution: Distribution
    env: Env
    span: Span


@dataclass(frozen=True)
class Expectation:
    """The mean of `body` over a draw."""

    draw: Draw
    body: "Term"
    span: Span


@dataclass(frozen=True)
class Divergence:
    """`KL`, `H` or `CE`: the mean over its draw of `body`, the log-densities that define it."""

    kind: str
    draw: Draw
    left: Distribution
    right: Distribution | None
    env: Env
    body: "Term"
    label: str
    span: Span


@dataclass(frozen=True)
class Settings:
    """Of a discrepancy: kernel, its widths (by default one after the dimension), number of projections."""

    kernel: str
    widths: tuple[float, ...]
    projections: int


@dataclass(frozen=True)
class Discrepancy:
    """`MMD`, `W` or `SW`: how far the samples of two distributions are apart.

    `MMD` and `SW` are one number for the whole batch, `W` is one for each data point.
    """

    kind: str
    left: Draw
    right: Draw
    left_env: Env
    right_env: Env
    variables: tuple[str, ...]
    settings: Settings
    label: str
    span: Span


@dataclass(frozen=True)
class Aggregate:
    """`TC` or `MI` of an approximate posterior averaged over the data of the batch.

    Args:
        kind: `TC`, the total correlation of its coordinates, or `MI`, the information of the latent about the data.
        draw: of the latent.
        atom: the factor that it is drawn from.
        env: of the draw.
        label: for people.
        span: its place.
    """

    kind: str
    draw: Draw
    atom: Atom
    env: Env
    label: str
    span: Span


@dataclass(frozen=True)
class Add:
    """A sum of terms with signs."""

    terms: tuple[tuple[int, "Term"], ...]


@dataclass(frozen=True)
class Multiply:
    """A product of terms."""

    factors: tuple["Term", ...]


@dataclass(frozen=True)
class Divide:
    """A quotient of terms."""

    numerator: "Term"
    denominator: "Term"


@dataclass(frozen=True)
class Raise:
    """A term to a power."""

    base: "Term"
    exponent: "Term"


@dataclass(frozen=True)
class Apply:
    """An elementwise function, `detach`, or a reduction over the batch (`mean`, `sum`)."""

    function: str
    arguments: tuple["Term", ...]


@dataclass(frozen=True)
class Reference:
    """Another objective, by name."""

    name: str
    term: "Term"


Term = (
    Constant
    | Plain
    | LogDensity
    | Expectation
    | Divergence
    | Discrepancy
    | Aggregate
    | Add
    | Multiply
    | Divide
    | Raise
    | Apply
    | Reference
)


def draws_of(term: "Term") -> list[Draw]:
    """Every draw of a term."""
    found: list[Draw] = []
    for inner in walk(term):
        if isinstance(inner, Expectation | Divergence | Aggregate):
            found.append(inner.draw)
        elif isinstance(inner, Discrepancy):
            found += [inner.left, inner.right]
    return found


def walk(term: Term) -> Iterator[Term]:
    """A term and every term in it."""
    yield term
    inner: Iterable[Term] = ()
    match term:
        case Add(items):
            inner = [item for _, item in items]
        case Multiply(items) | Apply(_, items):
            inner = items
        case Divide(a, b) | Raise(a, b):
            inner = (a, b)
        case Expectation(_, body) | Reference(_, body):
            inner = (body,)
    for item in inner:
        yield from walk(item)
