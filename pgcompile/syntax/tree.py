"""The tree of a program: frozen dataclasses, one a construct, each with the span it was read from.

Spans and comments take no part in equality: two spellings of one formula give equal trees.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from pgcompile.diagnostics import NOWHERE, Span


@dataclass(frozen=True)
class Node:
    """Anything that stands at a place in the program."""

    span: Span = field(default=NOWHERE, compare=False, repr=False, kw_only=True)


def walk(*roots: object) -> Iterator[Node]:
    """Every node below some nodes (or tuples of them), those included, in no particular order."""
    stack = list(roots)
    while stack:
        node = stack.pop()
        if isinstance(node, Node):
            yield node
            stack.extend(getattr(node, slot) for slot in node.__dataclass_fields__ if slot not in ("span", "name_span"))
        elif isinstance(node, tuple):
            stack.extend(node)


def children(node: Node) -> Iterator[Node]:
    """The nodes right below a node."""
    stack: list[object] = [
        getattr(node, slot) for slot in node.__dataclass_fields__ if slot not in ("span", "name_span")
    ]
    while stack:
        found = stack.pop()
        if isinstance(found, Node):
            yield found
        elif isinstance(found, tuple):
            stack.extend(found)


# --- expressions ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Number(Node):
    """A decimal literal, kept as its text so that 0.1 stays a tenth."""

    text: str


@dataclass(frozen=True)
class Text(Node):
    """A text in quotation marks, such as the equation of `einsum`."""

    value: str


@dataclass(frozen=True)
class Name(Node):
    """A variable, net, objective or bare distribution; Greek and subscripts are in canonical ASCII spelling."""

    id: str


@dataclass(frozen=True)
class Argument(Node):
    """`value`, or `name = value`."""

    name: str | None
    value: "Expr"


@dataclass(frozen=True)
class Call(Node):
    """`f(a, b)`, `Family(k=v)` or a factor `p(x | z)`; `given` is None where no bar was written."""

    name: str
    args: tuple[Argument, ...]
    given: tuple[Argument, ...] | None = None
    name_span: Span = field(default=NOWHERE, compare=False, repr=False, kw_only=True)


@dataclass(frozen=True)
class Index(Node):
    """`base[i, j]`."""

    base: "Expr"
    indices: tuple["Expr", ...]


@dataclass(frozen=True)
class Rename(Node):
    """`base[x -> u, z -> v]`."""

    base: "Expr"
    pairs: tuple[tuple[Name, Name], ...]


@dataclass(frozen=True)
class ListLiteral(Node):
    """`[a, b]`, possibly nested."""

    items: tuple["Expr", ...]


@dataclass(frozen=True)
class TupleLiteral(Node):
    """`(a, b)`, as in `kernel_size = (3, 3)`."""

    items: tuple["Expr", ...]


@dataclass(frozen=True)
class Negative(Node):
    """`-a`."""

    operand: "Expr"


@dataclass(frozen=True)
class Sum(Node):
    """`a + b - c`: terms with their signs (+1 or -1)."""

    terms: tuple[tuple[int, "Expr"], ...]


@dataclass(frozen=True)
class Product(Node):
    """`a b c` or `a * b * c`."""

    factors: tuple["Expr", ...]


@dataclass(frozen=True)
class Quotient(Node):
    """`a / b`."""

    numerator: "Expr"
    denominator: "Expr"


@dataclass(frozen=True)
class MatMul(Node):
    """`a @ b`."""

    left: "Expr"
    right: "Expr"


@dataclass(frozen=True)
class Power(Node):
    """`a ^ b`."""

    base: "Expr"
    exponent: "Expr"


@dataclass(frozen=True)
class Log(Node):
    """`log` of the juxtaposed product to its right, or of what its brackets hold."""

    operand: "Expr"


@dataclass(frozen=True)
class Option(Node):
    """`samples = 8` after a semicolon."""

    name: str
    value: "Expr"


@dataclass(frozen=True)
class Expectation(Node):
    """`E_{over; options}[body]`; `over` is None where no distribution was written."""

    over: "Expr | None"
    body: "Expr"
    options: tuple[Option, ...] = ()


@dataclass(frozen=True)
class Functional(Node):
    """`KL[left || right; options]`, `H[left]`, `ELBO[p || q]` and their kin, by canonical name."""

    kind: str
    left: "Expr"
    right: "Expr | None" = None
    options: tuple[Option, ...] = ()


@dataclass(frozen=True)
class Integral(Node):
    """`∫ body dz dw`, or `sum_k body` of a variable with finitely many values."""

    body: "Expr"
    variables: tuple[Name, ...]
    is_sum: bool = False


@dataclass(frozen=True)
class OverIndex(Node):
    """`sum_t body`, `mean_{t=1}^{T} body` or `prod_t body` over the places of an index; `kind` is the word.

    `low` and `high` are None where the range is not written.
    """

    kind: str
    index: Name
    body: "Expr"
    low: "Expr | None" = None
    high: "Expr | None" = None


@dataclass(frozen=True)
class AtFirst(Node):
    """`first` at the first place of an index, `rest` at the others."""

    first: "Expr"
    rest: "Expr"
    index: str


@dataclass(frozen=True)
class Along(Node):
    """`f(x_{1:T})`, `f(x_{1:t})` or `f(x_{<t})`: a net of sequences at one of their places.

    Its arguments are the names of runs; `reach` is `all`, `here` for the places up to this one, or `past`.
    """

    call: "Call"
    index: str
    reach: str


@dataclass(frozen=True)
class Whole(Node):
    """`q(z_{1:T}|x_{1:T})`: a factor over all the places of its index at once; `call` is the template of one place."""

    call: "Call"
    index: str


@dataclass(frozen=True)
class Pipeline(Node):
    """`a >> b >> c`."""

    stages: tuple["Expr", ...]


@dataclass(frozen=True)
class Binding(Node):
    """`h = f(x)` or `(m, s) = f(x)` after `where`."""

    names: tuple[Name, ...]
    value: "Expr"


@dataclass(frozen=True)
class Where(Node):
    """`value where bindings`."""

    value: "Expr"
    bindings: tuple[Binding, ...]


Expr = (
    Number
    | Text
    | Name
    | Call
    | Index
    | Rename
    | ListLiteral
    | TupleLiteral
    | Negative
    | Sum
    | Product
    | Quotient
    | MatMul
    | Power
    | Log
    | Expectation
    | Functional
    | Integral
    | OverIndex
    | Whole
    | Along
    | AtFirst
    | Pipeline
    | Where
)

# --- statements ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class SpaceExpr(Node):
    """`category[10]`, `boolean[784]`: a name and its bracket groups."""

    name: str
    groups: tuple[tuple[Expr, ...], ...] = ()


@dataclass(frozen=True)
class SpaceDeclaration(Node):
    """`x, y : real[2]`."""

    names: tuple[Name, ...]
    space: SpaceExpr


@dataclass(frozen=True)
class ConstDeclaration(Node):
    """`const D = 64`."""

    name: Name
    value: Expr


@dataclass(frozen=True)
class TensorDeclaration(Node):
    """`param w : real[3] = 0.01`, `buffer m : ...`, `input beta : real`; `kind` is the keyword."""

    kind: str
    names: tuple[Name, ...]
    space: SpaceExpr
    initial: Expr | None = None


@dataclass(frozen=True)
class NetDeclaration(Node):
    """`net f = pipeline` or `net f(a, b) = pipeline`; `inputs` is None where none were written."""

    name: Name
    inputs: tuple[Name, ...] | None
    body: Pipeline
    bindings: tuple[Binding, ...] = ()


@dataclass(frozen=True)
class Repeat(Node):
    """`repeat 5 { a >> b }` in a flow."""

    count: Expr
    stages: tuple["Expr | Repeat", ...]


@dataclass(frozen=True)
class FlowDeclaration(Node):
    """`flow f = pipeline` or `flow f(c) = pipeline`; `inputs` is None where none were written."""

    name: Name
    inputs: tuple[Name, ...] | None
    stages: tuple[Expr | Repeat, ...]


@dataclass(frozen=True)
class ExternNet(Node):
    """`extern net f(x) -> space` or `-> (loc: space, scale: space)`; a single result has the name None."""

    name: Name
    inputs: tuple[Name, ...]
    outputs: tuple[tuple[Name | None, SpaceExpr], ...]


@dataclass(frozen=True)
class ExternFactor(Node):
    """`extern p(x|z)`."""

    head: Call


@dataclass(frozen=True)
class Definition(Node):
    """`left = right`: a factor, an algebra of factors, a deterministic variable or an objective."""

    left: Expr
    right: Expr


@dataclass(frozen=True)
class Proportional(Node):
    """`left ∝ right`: a factor that is the normalised product of others over the same variable."""

    left: Expr
    right: Expr


@dataclass(frozen=True)
class Optimise(Node):
    """`maximize e wrt q using Adam(lr=1e-3)`; `direction` is "maximize" or "minimize"."""

    direction: str
    objective: Expr
    wrt: tuple[Expr, ...] | None
    optimiser: Call | None


@dataclass(frozen=True)
class Structure(Node):
    """A bare expression: `p(x|z) p(z)`."""

    expr: Expr


@dataclass(frozen=True)
class IndexDeclaration(Node):
    """`index t in 1..T`, `index t in 1..T padded`, or `index n in data`, where `low` and `high` are None."""

    name: Name
    low: Expr | None = None
    high: Expr | None = None
    padded: bool = False


Statement = (
    SpaceDeclaration
    | ConstDeclaration
    | TensorDeclaration
    | NetDeclaration
    | FlowDeclaration
    | ExternNet
    | ExternFactor
    | Definition
    | Proportional
    | Optimise
    | Structure
    | IndexDeclaration
)


@dataclass(frozen=True)
class Comment:
    """A comment and where it stood: on a line of its own, or behind a statement."""

    text: str
    span: Span
    alone: bool


@dataclass(frozen=True)
class Program:
    """The statements of a program, in the order written, and its comments."""

    statements: tuple[Statement, ...]
    comments: tuple[Comment, ...] = field(default=(), compare=False)


def names_in(expr: Node) -> set[str]:
    """Every bare name in an expression; names of called functions and nets are not among them."""
    return {node.id for node in walk(expr) if isinstance(node, Name)}


def defined_names(left: Expr) -> tuple[Name, ...]:
    """The names on the left side of `h = f(x)` or `(a, b) = f(x)`; none of a factor."""
    parts = left.items if isinstance(left, TupleLiteral) else (left,)
    return tuple(part for part in parts if isinstance(part, Name))


def calls_in(expr: Node) -> list[Call]:
    """Every call in an expression, in the order written."""
    found = [node for node in walk(expr) if isinstance(node, Call)]
    return sorted(found, key=lambda call: call.span)
