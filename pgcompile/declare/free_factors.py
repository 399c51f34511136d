"""Factors that exist by being written: those of a program that defines none, a paper's formula alone."""

from collections.abc import Iterable, Iterator

import networkx as nx

from pgcompile.declare.declaration_pass import DeclarationPass
from pgcompile.declare.formulas import is_formula
from pgcompile.inference.heads import head_variables, label_key
from pgcompile.model.factors import Factor, Undefined, base_name
from pgcompile.model.kinds import is_defined
from pgcompile.syntax import tree

UNNAMED = "objective"
"""The name of an objective that stands by itself."""

Head = tuple[tree.Call, tuple[str, ...], tuple[str, ...]]
"""A factor as it is written, its targets and its parents."""

_MEANT = ("p", "q")  # bare names that papers use for distributions


def defines_factors(state: DeclarationPass) -> bool:
    """True if a program says of some factor what it is."""
    return any(map(is_defined, state.model.factors))


def read_free_formulas(state: DeclarationPass) -> None:
    """Declare the factors that the objectives of a program name, and name an objective that stands by itself."""
    if defines_factors(state):
        return
    alone = [s for s in state.structures if is_formula(s.expr)]
    if alone and UNNAMED not in state.formulas:
        state.structures.remove(alone[0])
        state.formulas[UNNAMED] = (alone[0].expr, alone[0].span)
    for expr in (*(d.expr for d in state.definitions), *(s.expr for s in state.structures)):
        declare_free_factors(expr, state)
    formulas = [expr for expr, _ in state.formulas.values()] + [line.objective for line in state.training_lines]
    named = [found for expr in formulas for found in _of_formula(expr)]
    _declare_apart([c for c in named if isinstance(c, tree.Call)], state)
    known = {factor.name for factor in state.model.factors} | {d.name for d in state.definitions}
    for name in sorted(named, key=lambda found: found.span.start):
        if isinstance(name, tree.Name) and name.id in _MEANT and name.id not in {*known, *state.sink.unread}:
            state.sink.add(
                "PGC108",
                name.span,
                f"it is not said what {name.id} is a distribution of",
                help=f"write its variables, as in {name.id}({'z|x' if name.id == 'q' else 'x|z'})",
            )
            state.sink.unread.add(name.id)


def declare_free_factors(expr: tree.Expr, state: DeclarationPass) -> None:
    """Declare the factors that a distribution names, where the program defines none."""
    if not defines_factors(state):
        for head in _heads((c for c in _of_distribution(expr) if isinstance(c, tree.Call)), state):
            _declare(head, state)


def _heads(calls: Iterable[tree.Call], state: DeclarationPass) -> list[Head]:
    """The heads of factors that are not declared yet, each once."""
    heads: dict[str, Head] = {}
    for call in calls:
        found = head_variables(call, state.sink)
        if found is None:
            continue
        key = label_key(call.name, *found)
        if key not in state.defined and state.find_factor(call.name, *found) is None:
            heads.setdefault(key, (call, *found))
    return list(heads.values())


def _declare(head: Head, state: DeclarationPass) -> None:
    call, targets, parents = head
    state.add_factor(Factor(call.name, targets, parents, Undefined(), call.span))


def _declare_apart(calls: list[tree.Call], state: DeclarationPass) -> None:
    """Declare the factors of heads; those that are a marginal, a posterior or a product of others are left out."""
    heads = _heads(calls, state)
    # p(x|z) before p(x,z) and p(x), which are its product with p(z) and the marginal of that.
    by_meaning = sorted(heads, key=lambda head: (len(head[1]), not head[2]))
    kept = [head for head, apart in zip(by_meaning, _apart(by_meaning, state), strict=True) if apart]
    for head in heads:
        if any(head is other for other in kept):
            _declare(head, state)


def _apart(heads: list[Head], state: DeclarationPass) -> Iterator[bool]:
    """True for each head that generates what no factor of its name before it does, without a circle."""
    graphs: dict[str, nx.DiGraph] = {}
    made: dict[str, set[str]] = {}
    for factor in state.model.factors:
        graphs.setdefault(factor.name, nx.DiGraph()).add_edges_from(_edges(factor.targets, factor.parents))
        made.setdefault(factor.name, set()).update(factor.targets)
    for call, targets, parents in heads:
        graph, drawn = graphs.setdefault(call.name, nx.DiGraph()), made.setdefault(call.name, set())
        grown = nx.DiGraph(graph)
        grown.add_edges_from(_edges(targets, parents))
        fits = not drawn & {*targets} and nx.is_directed_acyclic_graph(grown)
        if fits:
            graphs[call.name] = grown
            drawn |= {*targets}
        yield fits


def _edges(targets: tuple[str, ...], parents: tuple[str, ...]) -> list[tuple[str, str]]:
    return [(parent, target) for parent in parents for target in targets]


def _of_formula(expr: tree.Node) -> Iterator[tree.Call | tree.Name]:
    """The heads and bare names of distributions in an objective."""
    match expr:
        case tree.Expectation(over, body):
            if over is not None:
                yield from _of_distribution(over, certain=True)
            yield from _of_formula(body)
        case tree.Functional(_, left, right):
            yield from _of_distribution(left, certain=True)
            if right is not None:
                yield from _of_distribution(right, certain=True)
        case tree.Log(operand):
            yield from _of_distribution(operand)
        case tree.Integral() | tree.Rename() | tree.Call(given=tuple()):
            yield from _of_distribution(expr)
        case _:
            for child in tree.children(expr):
                yield from _of_formula(child)


def _of_distribution(expr: tree.Expr, *, certain: bool = False) -> Iterator[tree.Call | tree.Name]:
    """The heads and bare names in what a logarithm, an expectation or a functional is taken of.

    Args:
        expr: the distribution.
        certain: whether nothing else can stand there; `log f(x)` may be that of a net or a function.
    """
    match expr:
        case tree.Call(name="data"):
            return
        case tree.Call(name="detach", args=(argument,), given=None):
            yield from _of_distribution(argument.value, certain=certain)
        case tree.Call(given=tuple()):
            yield expr
        case tree.Call(name=name, args=args):
            if (certain or base_name(name) in _MEANT) and all(isinstance(a.value, tree.Name) for a in args):
                yield expr
        case tree.Name():
            yield expr
        case tree.Product(items):
            for item in items:
                yield from _of_distribution(item, certain=certain)
        case tree.Quotient(top, bottom):
            yield from _of_distribution(top)
            yield from _of_distribution(bottom)
        case tree.Integral(body) | tree.Rename(body):
            yield from _of_distribution(body, certain=certain)
        case _:
            yield from _of_formula(expr)
