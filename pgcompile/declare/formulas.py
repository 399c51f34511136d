"""Names with a formula on their right side: deterministic variables and objectives."""

from pgcompile.declare.declaration_pass import DeclarationPass
from pgcompile.declare.promotion import promote_bindings
from pgcompile.declare.vectors import Shapes
from pgcompile.declare.written_out import WrittenOut
from pgcompile.diagnostics import Span
from pgcompile.model.factors import Deterministic, Factor
from pgcompile.model.kinds import expressions_of
from pgcompile.model.training import Objective
from pgcompile.syntax import tree
from pgcompile.syntax.tree import names_in
from pgcompile.vocabulary.functions import FUNCTIONS


def is_formula(expr: tree.Expr) -> bool:
    """True if an expression is an objective: expectations, divergences, logarithms and their sums."""
    match expr:
        case tree.Expectation() | tree.Functional() | tree.Log() | tree.OverIndex():
            return True
        case tree.Sum(items):
            return any(is_formula(item) for _, item in items)
        case tree.Product(items):
            return any(is_formula(item) for item in items)
        case tree.Negative(operand):
            return is_formula(operand)
        case tree.Quotient(top, _):
            return is_formula(top)
        case _:
            return False


def define_formula(name: tree.Name, right: tree.Expr, state: DeclarationPass) -> None:
    """Keep `name = expr` until it is known whether the name is a variable or an objective."""
    if name.id in state.formulas:
        state.sink.add(
            "PGC107",
            name.span,
            f"{name.id} is defined twice",
            related=[(state.formulas[name.id][1], "first defined here")],
            help="remove one, or call this one something else",
        )
    elif name.id in state.taken and name.id not in state.model.variables:
        state.take(name, "objective")
    else:
        state.formulas[name.id] = (right, name.span)


def define_parts(names: tuple[tree.Name, ...], right: tree.Expr, state: DeclarationPass) -> None:
    """`(a, b) = f(x)`: each name is one of several results, or an equal part of the last dimension."""
    value, bindings = (right.value, right.bindings) if isinstance(right, tree.Where) else (right, ())
    whole = tree.Binding(names, value, span=right.span)
    for name in names:
        define_formula(name, tree.Where(name, (*bindings, whole), span=right.span), state)
        state.model.variables.setdefault(name.id, name.span)


MAX_CHAIN = 50
"""The most levels of formulas that are made of one another."""


def _cut_chains(state: DeclarationPass) -> None:
    """Report and leave out formulas that are made of others too deep down; a ring is reported where it is used."""
    depths: dict[str, int] = {}
    for root in state.formulas:
        pending, opened = [root], set[str]()
        while pending:
            name = pending[-1]
            below = [n for n in names_in(state.formulas[name][0]) if n in state.formulas and n not in opened]
            unknown = [n for n in below if n not in depths]
            if name not in opened and name not in depths and unknown:
                opened.add(name)
                pending += unknown
                continue
            pending.pop()
            opened.discard(name)
            uses = (n for n in names_in(state.formulas[name][0]) if n in depths and n != name)
            depths.setdefault(name, 1 + max((depths[n] for n in uses), default=0))
    for name, depth in depths.items():
        if depth > MAX_CHAIN:
            _, span = state.formulas.pop(name)
            state.sink.add(
                "PGC003",
                span,
                f"{name} is made of formulas that are more than {MAX_CHAIN} deep",
                help="write some of them out",
            )


def settle_formulas(state: DeclarationPass) -> None:
    """`name = expr` is a deterministic variable if the model uses the name as one, else an objective."""
    _cut_chains(state)
    _count_scored_variables(state)
    _count_vectors(state)
    left = dict(state.formulas)
    _settle_variables(left, state)
    left = promote_bindings(left, state)
    _settle_variables(left, state)
    slopes = _slopes(left, state)
    written = WrittenOut({name: expr for name, (expr, _) in left.items()}, state.model.nets, slopes)
    for name, (_, span) in left.items():
        if name in slopes:
            continue
        state.model.objectives[name] = Objective(name, written.of(name), span)
    _order_as_written(state)


def _settle_variables(left: dict[str, tuple[tree.Expr, Span]], state: DeclarationPass) -> None:
    """Move formulas that are variables to the model; what a variable is made of are variables too."""
    while made := [name for name in left if name in state.model.variables]:
        for name in made:
            _add_deterministic(name, *left.pop(name), state)


def _slopes(left: dict[str, tuple[tree.Expr, Span]], state: DeclarationPass) -> set[str]:
    """The gradients of objectives that others use, as s = grad(l, x) with l = log p(x) in dot(s, s): no numbers."""
    trained = {n for line in state.training_lines for n in names_in(line.objective)}
    used = {n for name, (expr, _) in left.items() for n in names_in(expr) if n != name} - trained
    shapes = Shapes(state)
    return {
        name
        for name in used & left.keys()
        if isinstance(expr := left[name][0], tree.Call)
        and expr.name in FUNCTIONS
        and FUNCTIONS[expr.name].shape in ("gradient", "jacobian")
        and not shapes.is_number(expr)
    }


def _order_as_written(state: DeclarationPass) -> None:
    """Deterministic variables in the order of the program, whatever made them variables."""
    made = state.model.deterministic
    state.model.deterministic = {name: made[name] for name in state.formulas if name in made}


def _count_vectors(state: DeclarationPass) -> None:
    """Count among the variables the formulas of vectors that another formula uses.

    An objective is a number; `y = enc(x)` in `l = sum(y^2)` is none. What may be a number stays an objective, whose
    value is the same wherever it is used.
    """
    trained = {n for line in state.training_lines for n in names_in(line.objective)}
    used = {n for name, (expr, _) in state.formulas.items() for n in names_in(expr) if n != name}
    used |= {n for factor in state.model.factors for expr in expressions_of(factor) for n in names_in(expr)}
    used -= trained
    shapes = Shapes(state)
    for name, (_, span) in state.formulas.items():
        if name in used and shapes.is_vector(name):
            state.model.variables.setdefault(name, span)


def _count_scored_variables(state: DeclarationPass) -> None:
    """Count formulas that an objective scores, as in `log p(y)`, among the variables."""
    names = {*(f.name for f in state.factors.values()), *(d.name for d in state.definitions)}
    roots = [expr for expr, _ in state.formulas.values()] + [line.objective for line in state.training_lines]
    for node in tree.walk(*roots):
        if isinstance(node, tree.Call) and node.name in names and node.name not in state.model.nets:
            for argument in (*node.args, *(node.given or ())):
                if isinstance(argument.value, tree.Name) and argument.value.id in state.formulas:
                    state.model.variables.setdefault(argument.value.id, state.formulas[argument.value.id][1])


def _add_deterministic(name: str, expr: tree.Expr, span: Span, state: DeclarationPass) -> None:
    model = state.model
    value, bindings = (expr.value, expr.bindings) if isinstance(expr, tree.Where) else (expr, ())
    local = {n.id for b in bindings for n in b.names}
    used = (names_in(value) | {n for b in bindings for n in names_in(b.value)}) - local
    parents = tuple(sorted(used & ({*model.variables, *state.formulas} - {name})))
    state.add_variables(parents, span)
    model.deterministic[name] = Factor("", (name,), parents, Deterministic(value, bindings), span)
    clash = next((f for f in model.factors if name in f.targets and f.name == "p"), None)
    if clash is not None:
        state.sink.add(
            "PGC202",
            span,
            f"{name} is generated twice: by this formula and by {clash.label}",
            related=[(clash.span, "generated here too")],
            help="remove one",
        )
