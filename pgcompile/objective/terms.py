"""Resolved objectives: every name settled, every sampled variable tied to the draw that makes it."""

from collections.abc import Hashable, Iterable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property

from pgcompile.diagnostics import Span
from pgcompile.model.distributions import Distribution
from pgcompile.model.factors import FactorInstance
from pgcompile.model.variable import Variable
from pgcompile.syntax import tree


@dataclass(frozen=True)
class Estimator:
    """The gradient estimator that the options of an expectation ask for.

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


@dataclass(frozen=True)
class Draw:
    """One sampling of a distribution under an expectation.

    Draws are compared by what they draw: the same distribution in the same environment with the same options is the
    same draw, in whichever objective it stands.

    Args:
        distribution: what is drawn from.
        samples: how many draws are averaged.
        env: where its parents come from.
        estimator: what the program says of its gradient.
        enumerated: variables that take every value in turn instead of being drawn.
        scored: variables whose draws pass no gradient, so that a score function carries it.
        relaxed: variables drawn from a differentiable stand-in.
        repetition: tells draws apart that must be independent although all else is equal: those of the factors of a
            product, by their places in it.
        order: when it was made; a draw inside the expectation of another was made later.
        unasked: whether the number of samples was the compiler's choice.
        rows: `mean` or `sum` where it takes every row of the batch in turn, as `mean_{x'}` does; otherwise empty.
    """

    distribution: Distribution
    samples: int
    env: "Env"
    estimator: Estimator = PATHWISE
    enumerated: tuple[Variable, ...] = ()
    scored: tuple[Variable, ...] = ()
    relaxed: tuple[Variable, ...] = ()
    repetition: tuple[Hashable, ...] = ()
    order: int = field(default=0, compare=False)
    unasked: bool = field(default=False, compare=False)
    rows: str = ""

    def __hash__(self) -> int:
        return self._hash

    @cached_property
    def _hash(self) -> int:
        own = (self.distribution, self.samples, self.env, self.estimator, self.repetition)
        return hash((*own, self.enumerated, self.scored, self.relaxed))

    @cached_property
    def variables(self) -> tuple[Variable, ...]:
        """Variables that it makes; those of `data(x)` are observed, not drawn, nor is the evidence of a posterior."""
        if self.distribution.evidence or self.rows:
            return self.distribution.targets
        atoms = (a for a in self.distribution.atoms if not a.factor.is_data)
        return tuple(t for atom in atoms for t in atom.targets)

    @cached_property
    def inside(self) -> "Env":
        """The environment of its own factors: what it makes, over that of its parents."""
        return self.env.extended(self.variables, self)

    def gives_data(self, variable: Variable) -> bool:
        """True if a variable is one of the data, not drawn."""
        if self.rows:
            return False
        atom = self.atom_of(variable)
        return atom is not None and atom.factor.is_data

    def atom_of(self, variable: Variable) -> FactorInstance | None:
        """The factor that generates a variable of this draw."""
        return next((atom for atom in self.distribution.atoms if variable in atom.targets), None)

    @property
    def around(self) -> frozenset["Draw"]:
        """The draws in whose expectations it stands."""
        return frozenset(draw for _, draw in self.env.bindings)


DrawKey = tuple[Draw, Variable]
"""The identity of a variable of a draw."""


def point(atom: FactorInstance, *repetition: Hashable) -> Draw:
    """A draw that only says where a variable is bound: to a given value, or to every value in turn."""
    return Draw(Distribution((atom,)), 1, OBSERVED, repetition=repetition)


@dataclass(frozen=True)
class Env:
    """The draw that each variable comes from; a variable that is not listed is observed."""

    bindings: tuple[tuple[Variable, Draw], ...] = ()

    def __hash__(self) -> int:
        return self._hash

    @cached_property
    def _hash(self) -> int:
        return hash(self.bindings)

    @cached_property
    def _draws(self) -> dict[Variable, Draw]:
        return dict(self.bindings)

    def get(self, variable: Variable) -> Draw | None:
        """The draw of a variable, None where it is observed."""
        return self._draws.get(variable)

    @property
    def rows(self) -> Draw | None:
        """The mean or sum over the rows of the batch that it stands inside; None where it does not."""
        return next((draw for _, draw in self.bindings if draw.rows), None)

    def extended(self, variables: tuple[Variable, ...], draw: Draw) -> "Env":
        """With some variables coming from `draw`."""
        kept = tuple((known, other) for known, other in self.bindings if known not in variables)
        return Env(tuple(sorted((*kept, *((v, draw) for v in variables)), key=lambda b: b[0])))


OBSERVED = Env()


@dataclass(frozen=True)
class Constant:
    """A number."""

    value: Fraction


@dataclass(frozen=True)
class Pointwise:
    """An expression without distributions, one number a data point.

    Args:
        expr: the expression.
        env: where its variables come from.
        text: for people.
        densities: what is meant by the densities in its derivatives, as in `grad(log p(x), x)`.
    """

    expr: tree.Expr
    env: Env
    text: str
    densities: tuple[tuple[tree.Expr, Distribution], ...] = ()


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
    variables: tuple[Variable, ...]
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
    atom: FactorInstance
    env: Env
    label: str
    span: Span


@dataclass(frozen=True)
class Entries:
    """The entries of a factor's variable, each scored by itself.

    Args:
        kind: `observed` for the log-density of those that the data has, `cdf` and `survival` for the logarithms of
            the probabilities of smaller and of larger values.
        atom: the factor, whose entries are independent.
        env: where its variables come from.
        label: for people.
        span: its place.
    """

    kind: str
    atom: FactorInstance
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
class OverIndex:
    """The sum or the mean of a term over the places of an index.

    Args:
        kind: `sum` or `mean`.
        index: its name.
        body: of one place.
        span: where it stands.
    """

    kind: str
    index: str
    body: "Term"
    span: Span


@dataclass(frozen=True)
class Reference:
    """Another objective, by name."""

    name: str
    term: "Term"


Term = (
    Constant
    | Pointwise
    | LogDensity
    | Expectation
    | Divergence
    | Discrepancy
    | Aggregate
    | Entries
    | Add
    | Multiply
    | Divide
    | Raise
    | Apply
    | OverIndex
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
    """A term and every term in it; an objective that is named several times is gone through once."""
    return _walk(term, set())


def _walk(term: Term, seen: set[int]) -> Iterator[Term]:
    if isinstance(term, Reference):
        if id(term.term) in seen:
            return
        seen.add(id(term.term))
    yield term
    inner: Iterable[Term] = ()
    match term:
        case Add(items):
            inner = [item for _, item in items]
        case Multiply(items) | Apply(_, items):
            inner = items
        case Divide(a, b) | Raise(a, b):
            inner = (a, b)
        case Expectation(_, body) | Reference(_, body) | OverIndex(_, _, body):
            inner = (body,)
    for item in inner:
        yield from _walk(item, seen)


def over_rows(term: Term) -> Iterator[str]:
    """Labels of what compares the rows of a batch with each other.

    A gradient penalty takes each row of one side with one of the other.
    """
    for inner in walk(term):
        if isinstance(inner, Aggregate) or (isinstance(inner, Discrepancy) and inner.kind != "GP"):
            yield inner.label
        elif isinstance(inner, Expectation) and inner.draw.rows:
            yield f"{inner.draw.rows} over {', '.join(map(str, inner.draw.variables))}"
        elif isinstance(inner, Pointwise) and any(call.name == "shuffle" for call in tree.calls_in(inner.expr)):
            yield inner.text


def signed(term: Term, sign: int = 1) -> "Iterator[tuple[int, Term]]":
    """The terms of a sum with their signs, through references and constant factors; they may be very many."""
    match term:
        case Add(items):
            for s, item in items:
                yield from signed(item, sign * s)
        case Reference(_, inner) | OverIndex(_, _, inner):
            yield from signed(inner, sign)
        case Multiply(factors):
            rest = [f for f in factors if not isinstance(f, Constant | Pointwise)]
            constants = [f.value for f in factors if isinstance(f, Constant)]
            for value in constants:
                sign = -sign if value < 0 else sign
            yield from signed(rest[0], sign) if len(rest) == 1 else [(sign, term)]
        case _:
            yield sign, term


def every_atom(distribution: Distribution) -> list[FactorInstance]:
    """The factors of a distribution, those included that it was solved from."""
    origin = distribution.origin
    return [*distribution.atoms, *(origin.atoms if origin is not None else ())]


def atoms_in(term: Term) -> list[FactorInstance]:
    """Every factor that a term speaks of."""
    return [atom for inner in walk(term) for atom in _own_atoms(inner)]


def _own_atoms(term: Term) -> list[FactorInstance]:
    match term:
        case LogDensity(distribution):
            return every_atom(distribution)
        case Expectation(draw):
            return every_atom(draw.distribution)
        case Aggregate(atom=atom) | Entries(atom=atom):
            return [atom]
        case Discrepancy(left=one, right=other):
            return [*one.distribution.atoms, *other.distribution.atoms]
        case Pointwise(densities=densities):
            return [a for _, d in densities for a in every_atom(d)]
        case Divergence(draw=draw, left=left, right=right):
            return [a for d in (draw.distribution, left, right) if d is not None for a in every_atom(d)]
        case _:
            return []
