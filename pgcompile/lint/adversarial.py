"""Remarks on adversarial training: a discriminator trained to be fooled, a generator to be told apart."""

from collections.abc import Iterator

from pgcompile.diagnostics import Sink
from pgcompile.model.learned import owned_by, with_inner_nets
from pgcompile.model.model import Model
from pgcompile.model.training import OptimiseLine
from pgcompile.syntax import tree
from pgcompile.vocabulary.functionals import functional_of, net_of


def remark_players(model: Model, sink: Sink) -> None:
    """Warnings about lines that push `JS_d` or `W_d` the way that is the other player's."""
    if len(model.optimise) < 2:
        return
    for line in model.optimise:
        if line.wrt is not None and line.objective in model.objectives:
            up = 1 if line.direction == "maximize" else -1
            for sign, part in _adversarial(model.objectives[line.objective].expr, 1, model, frozenset()):
                _check_direction(line, part, up * sign, model, sink)


def _check_direction(line: OptimiseLine, part: tree.Functional, push: int, model: Model, sink: Sink) -> None:
    """Warn if a line pushes one of its terms the wrong way; `push` is 1 for up and -1 for down."""
    functional, net = functional_of(part.kind), net_of(part.kind)
    form = next((o.value.id for o in part.options if o.name == "form" and isinstance(o.value, tree.Name)), None)
    if functional is None or functional.generated_only or form == "nonsaturating" or net not in model.nets:
        return  # estimates that only the generated side moves
    own = owned_by(set(line.wrt or ()), model)
    critic = with_inner_nets({net}, model)
    learned = {*model.nets, *model.flows, *(n for n, t in model.tensors.items() if t.kind == "param")}
    if own & critic and not (own - critic) & learned and push < 0:
        sink.add(
            "W129",
            line.span,
            f"this line trains {net} to make {part.kind} smaller, and a discriminator is what makes it larger",
            help=f"`maximize` it wrt {net}, or turn the sign of {part.kind}",
        )
    elif not own & critic and push > 0:
        sink.add(
            "W129",
            line.span,
            f"this line trains {', '.join(line.wrt or ())} to make {part.kind} larger: to be told apart",
            help=f"`minimize` it, or turn the sign of {part.kind}",
        )


def _adversarial(
    expr: tree.Expr, sign: int, model: Model, seen: frozenset[str]
) -> Iterator[tuple[int, tree.Functional]]:
    """The adversarial terms of a sum with their signs, through the objectives that it names."""
    match expr:
        case tree.Functional(kind) if net_of(kind):
            yield sign, expr
        case tree.Negative(operand):
            yield from _adversarial(operand, -sign, model, seen)
        case tree.Sum(items):
            for s, item in items:
                yield from _adversarial(item, sign * s, model, seen)
        case tree.Product(factors):
            turned = sum(isinstance(factor, tree.Negative) for factor in factors)
            for factor in factors:
                others = turned - isinstance(factor, tree.Negative)
                yield from _adversarial(factor, sign * (-1) ** others, model, seen)
        case tree.Name(id) if id in model.objectives and id not in seen:
            yield from _adversarial(model.objectives[id].expr, sign, model, seen | {id})
        case _:
            return
