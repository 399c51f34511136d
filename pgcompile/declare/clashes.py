"""Names of a program that would become one name of the emitted module."""

from collections.abc import Iterable

from pgcompile.diagnostics import Sink, Span
from pgcompile.model.model import Model
from pgcompile.model.names import attribute_name, factor_attribute, identifier, is_mapped
from pgcompile.model.training import loss_name
from pgcompile.syntax.places import has_place, places_of, shown_place
from pgcompile.vocabulary.reserved import METHODS


def check_names(model: Model, sink: Sink) -> None:
    """Report names that the emitted class cannot keep apart from each other or from its own (PGC115)."""
    inputs = {name: t.span for name, t in model.tensors.items() if t.kind == "input"}
    _check_pairs({**model.variables, **inputs}.items(), sink)
    _check_pairs(((o.name, o.span) for o in model.objectives.values()), sink)
    _check_objectives(model, sink)
    _check_stored(model, sink)
    _check_factors(model, sink)


def _check_pairs(names: Iterable[tuple[str, Span]], sink: Sink) -> None:
    """Names that differ only by the underscore that Python's own words get."""
    known: dict[str, tuple[str, Span]] = {}
    for name, span in names:
        other = known.setdefault(identifier(name), (name, span))
        if other[0] != name:
            places = places_of(name) if has_place(name) else None
            if places is not None and places[0] == other[0]:
                shown = shown_place(name)
                sink.add(
                    "PGC115",
                    other[1],
                    f"{other[0]} is declared without the index that {shown} has",
                    related=[(span, f"{shown} is here")],
                    help=f"declare every place: `{shown} : ...`, or call one of them something else",
                )
                continue
            sink.add(
                "PGC115",
                span,
                f"{other[0]} and {name} would both be `{identifier(name)}` in the emitted module",
                related=[(other[1], f"{other[0]} is here")],
                help=f"call one of them something else, such as {name.rstrip('_')}_1",
            )


def _check_objectives(model: Model, sink: Sink) -> None:
    """Objectives that are called as a method of every class, or as a loss of this one, is."""
    losses = {loss_name(line, model.optimise): line for line in model.optimise}
    for name, objective in model.objectives.items():
        if name in METHODS:
            example = "nll or elbo" if name == "loss" else f"{name}_1"
            sink.add(
                "PGC115",
                objective.span,
                f"{name} is a name that the emitted module has for itself",
                help=f"call it something else, such as {example}",
            )
        elif name in losses:
            line = losses[name]
            sink.add(
                "PGC115",
                objective.span,
                f"{name} is what the emitted module calls the loss of `{line.direction} {line.objective}`",
                related=[(line.span, "the line is here")],
                help=f"call it something else, such as {name}_1",
            )


def _check_stored(model: Model, sink: Sink) -> None:
    """Names beside a param that is stored under them, as the free numbers behind its space."""
    stored = {attribute_name(tensor): name for name, tensor in model.tensors.items() if is_mapped(tensor)}
    spans = {name: tensor.span for name, tensor in model.tensors.items()}
    spans |= {name: net.span for name, net in model.nets.items()}
    spans |= {name: flow.span for name, flow in model.flows.items()}
    for name, owner in stored.items():
        if name in spans:
            sink.add(
                "PGC115",
                spans[name],
                f"{name} is what the emitted module stores param {owner} under",
                related=[(model.tensors[owner].span, f"param {owner} is here")],
                help=f"call it something else, such as {name}_1",
            )


def _check_factors(model: Model, sink: Sink) -> None:
    """Factors whose methods would have one name, as those of q(z|x) and q(z_given_x)."""
    known: dict[str, tuple[str, Span]] = {}
    for factor in model.factors:
        attribute = factor_attribute(factor)
        label, span = known.setdefault(attribute, (factor.label, factor.span))
        if label != factor.label:
            sink.add(
                "PGC115",
                factor.span,
                f"{label} and {factor.label} would both be `{attribute}` in the emitted module",
                related=[(span, f"{label} is here")],
                help="call one of the distributions, or its variable, something else",
            )
