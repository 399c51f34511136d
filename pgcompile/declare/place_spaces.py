"""Spaces of variables at other places of an index: those of the variable itself."""

from pgcompile.declare.declaration_pass import DeclarationPass
from pgcompile.syntax import tree


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
