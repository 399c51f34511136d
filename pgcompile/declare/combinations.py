"""Combinations of declared factors: products of experts and mixtures."""

from fractions import Fraction

from pgcompile.declare.declaration_pass import DeclarationPass
from pgcompile.declare.formulas import is_formula
from pgcompile.diagnostics import Sink
from pgcompile.inference.experts import Expert, NotClosed, product
from pgcompile.inference.heads import head_variables
from pgcompile.inference.mixtures import split_weight
from pgcompile.model.factors import Factor, Mixture, factor_label
from pgcompile.model.literals import evaluate
from pgcompile.syntax import tree
from pgcompile.syntax.tree import names_in


def combine(statement: tree.Statement, state: DeclarationPass) -> None:
    """Read a product of experts or a mixture, whose factors are all known by now; other statements are left alone."""
    match statement:
        case tree.Proportional():
            _define_product(statement, state)
        case tree.Definition(tree.Call() as left, tree.Sum() as right):
            if left.given is not None or not is_formula(right):
                _define_mixture(left, right, state)
        case _:
            pass


# --- products of experts ---


def _define_product(statement: tree.Proportional, state: DeclarationPass) -> None:
    """`q(z|x,y) ∝ q_1(z|x) q_2(z|y)`: a factor of the experts' family, if that is closed under products."""
    left, sink = statement.left, state.sink
    head = head_variables(left, sink) if isinstance(left, tree.Call) else None
    if head is None or not isinstance(left, tree.Call):
        hint = "write q(z|x,y) ∝ q_1(z|x) q_2(z|y)"
        sink.add("PGC212", left.span, f"`{state.text(left)}` is no factor", help=hint)
        return
    targets, parents = head
    parts = statement.right.factors if isinstance(statement.right, tree.Product) else (statement.right,)
    found: list[Expert] = []
    for part in parts:
        expert = _expert(part, targets, "product", state)
        if expert is None:
            sink.unread.add(left.name)
            return
        found.append(expert)
    label = factor_label(left.name, targets, parents)
    needed = _conditions_of(found, state)
    if {*needed} != {*parents}:
        means = factor_label(left.name, targets, needed)
        sink.add(
            "PGC208",
            left.span,
            f"the left side is {label}, but the product is conditioned on {', '.join(needed) or 'nothing'}",
            help=f"write {means} on the left",
        )
        return
    try:
        use = product(found, statement.span)
    except NotClosed as reason:
        sink.add(
            "PGC215",
            statement.right.span,
            f"the product {label} cannot be normalised",
            reasons=[str(reason)],
            help="use experts of one family, such as Normal",
        )
        return
    state.model.experts[label] = tuple(expert.factor for expert in found)
    state.model.products[label] = tuple((expert.factor, expert.power) for expert in found)
    state.add_factor(Factor(left.name, targets, parents, use, left.span))


def _conditions_of(experts: list[Expert], state: DeclarationPass) -> tuple[str, ...]:
    """The conditions of a product: the parents of its experts, and the variables in their powers."""
    declared = {*state.model.tensors, *state.model.constants, "pi"}
    weighing = [n for e in experts if e.power is not None for n in sorted(names_in(e.power)) if n not in declared]
    return tuple(dict.fromkeys([*(p for e in experts for p in e.factor.parents), *weighing]))


# --- mixtures ---


def _define_mixture(left: tree.Call, right: tree.Sum, state: DeclarationPass) -> None:
    """`q(z|x,y) = 0.5 q_1(z|x) + 0.5 q_2(z|y)`: a factor that is one of others, chosen by chance."""
    head = head_variables(left, state.sink)
    if head is None:
        return
    targets, parents = head
    read = _read_components(right, targets, state)
    label = factor_label(left.name, targets, parents)
    if (
        read is None
        or not _is_normalised(right, read[0], label, state)
        or not _is_conditioned_as_written(left, targets, parents, read, state)
    ):
        state.sink.unread.add(left.name)
        return
    weights, components = read
    state.model.experts[label] = components
    state.add_factor(Factor(left.name, targets, parents, Mixture(weights, components), left.span))


def _read_components(
    right: tree.Sum, targets: tuple[str, ...], state: DeclarationPass
) -> tuple[tuple[tree.Expr, ...], tuple[Factor, ...]] | None:
    """The weights and the components of a mixture; None after a report."""
    weights: list[tree.Expr] = []
    components: list[Factor] = []
    for sign, term in right.terms:
        split = split_weight(term)
        if split is None or sign < 0:
            text = state.text(term)
            state.sink.add(
                "PGC216",
                term.span,
                f"`{text}` is no component of a mixture" if sign > 0 else f"`{text}` has a negative weight",
                help=_share_help(term, state.sink) or "a mixture is written 0.3 q_1(z|x) + 0.7 q_2(z|y)",
            )
            return None
        expert = _expert(split[1], targets, "mixture", state)
        if expert is None:
            return None
        weights.append(split[0])
        components.append(expert.factor)
    return tuple(weights), tuple(components)


def _is_normalised(right: tree.Sum, weights: tuple[tree.Expr, ...], label: str, state: DeclarationPass) -> bool:
    """True if weights that are all numbers are positive and sum to one; that they are not is reported."""
    numbers = [evaluate(w, state.model.constants) for w in weights]
    known = [n for n in numbers if isinstance(n, Fraction)]
    if len(known) < len(numbers) or (abs(float(sum(known)) - 1) <= 1e-6 and all(n > 0 for n in known)):
        return True
    total = float(sum(known))
    state.sink.add(
        "PGC216",
        right.span,
        f"the weights of the mixture {label} sum to {total:g}, not to 1",
        help=f"divide each by {total:g}" if all(n > 0 for n in known) else "a weight is positive: leave the others out",
    )
    return False


def _is_conditioned_as_written(
    left: tree.Call,
    targets: tuple[str, ...],
    parents: tuple[str, ...],
    read: tuple[tuple[tree.Expr, ...], tuple[Factor, ...]],
    state: DeclarationPass,
) -> bool:
    """True if the parents of the left side are those of the components and the weights; others are reported."""
    weights, components = read
    named = {n for w in weights for n in names_in(w)}
    needed = tuple(dict.fromkeys(p for f in components for p in f.parents))
    mentioned = {n for n in named if n not in state.model.tensors and n not in state.model.constants}
    if {*needed} | mentioned == {*parents}:
        return True
    means = factor_label(left.name, targets, (*needed, *(m for m in sorted(mentioned) if m not in needed)))
    state.sink.add(
        "PGC208",
        left.span,
        f"the left side is {factor_label(left.name, targets, parents)}, but the mixture is conditioned on "
        f"{', '.join((*needed, *sorted(mentioned))) or 'nothing'}",
        help=f"write {means} on the left",
    )
    return False


def _share_help(term: tree.Expr, sink: Sink) -> str | None:
    """A hint at brackets, for `1/3 q(z|x)`: the quotient ends only after the factor."""
    match term:
        case tree.Quotient(tree.Number(share), tree.Product((tree.Number(parts), *factors))) if factors:
            rest = sink.source.snippet(factors[0].span.to(factors[-1].span))
            return f"a factor stands right beside the {parts}: write ({share}/{parts}) {' '.join(rest.split())}"
        case _:
            return None


# --- both ---

_CODES = {"product": "PGC215", "mixture": "PGC216"}


def _expert(part: tree.Expr, targets: tuple[str, ...], what: str, state: DeclarationPass) -> Expert | None:
    """One factor of a combination, perhaps to a power.

    Args:
        part: the factor as it is written.
        targets: what the combination generates.
        what: `product` or `mixture`.
        state: the factors declared so far.

    Returns:
        The declared factor and its power; None after a report.
    """
    model, sink = state.model, state.sink
    power: tree.Expr | None = None
    if isinstance(part, tree.Power):
        power = part.exponent
        part = part.base
    head = head_variables(part, sink) if isinstance(part, tree.Call) else None
    text = state.text(part)
    if head is None or not isinstance(part, tree.Call):
        hint = "experts are factors such as q_1(z|x)"
        if what == "product":
            hint += "; a density that is known up to its constant is `p(x) ∝ exp(...)`"
        sink.add("PGC212", part.span, f"`{text}` is no factor", help=hint)
        return None
    factor = state.find_factor(part.name, *head)
    if factor is None:
        known = ", ".join(f.label for f in model.factors if set(f.targets) == set(targets))
        sink.add(
            "PGC108",
            part.span,
            f"there is no factor {text}",
            help=f"define it first; factors of {', '.join(targets)} are {known or 'none'}",
        )
        return None
    if set(factor.targets) != set(targets):
        sink.add(
            _CODES[what],
            part.span,
            f"{factor.label} is over {', '.join(factor.targets)}, the {what} over {', '.join(targets)}",
            help="every factor of it speaks of the same variable"
            + ("; a joint is a product, without the plus" if what == "mixture" else ""),
        )
        return None
    return Expert(factor, power)
