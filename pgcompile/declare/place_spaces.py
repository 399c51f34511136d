"""Spaces of variables at other places of an index: those of the variable itself."""

from dataclasses import replace

from pgcompile.declare.declaration_pass import DeclarationPass
from pgcompile.diagnostics import Sink
from pgcompile.model.model import Model
from pgcompile.syntax import tree
from pgcompile.syntax.places import shown_place
from pgcompile.vocabulary.layers import show


def place_spaces(state: DeclarationPass) -> None:
    """Give `z_{t-1}` the space of `z_t`, and count both and the places before them among the variables."""
    model = state.model
    for name, lag in model.indices.lags.items():
        state.add_variables((lag.of, name), lag.span)
        if lag.of in model.spaces:
            model.spaces[name] = model.indices.space_at(lag, model.spaces[lag.of])
        for start in lag.starts:
            if isinstance(start, tree.Name) and start.id not in model.tensors:
                state.add_variables((start.id,), lag.span)
                if start.id not in state.formulas and lag.of in model.spaces:
                    model.spaces.setdefault(start.id, model.spaces[lag.of])


def check_starts(model: Model, sink: Sink) -> None:
    """Report starts of another size than the variable, a number stands for each entry; those of reals are reals."""
    for lag in model.indices.lags.values():
        for start in lag.starts:
            if not isinstance(start, tree.Name) or lag.of not in model.spaces:
                continue
            tensor = model.tensors.get(start.id)
            space = model.spaces.get(start.id) if tensor is None else tensor.space
            if tensor is None and space is not None and model.spaces[lag.of].kind == "real":
                model.spaces[start.id] = space = replace(space, kind="real")  # a 0 alone would be taken for a boolean
            wanted = model.spaces[lag.of].shape
            if space is None or space.shape in ((), wanted) or lag.reach:
                continue
            sink.add(
                "PGC301",
                model.variables.get(start.id, lag.span) if tensor is None else tensor.span,
                f"{start.id} is {show(space.shape)}, and {shown_place(lag.of)}, which it starts, is {show(wanted)}",
                help=f"give {start.id} as many numbers, or one for all of them",
            )
