"""Spaces of variables as data have them: rows first, then the places of their indices, then one place."""

from dataclasses import replace

from pgcompile.model.model import Model
from pgcompile.syntax.places import python_name
from pgcompile.vocabulary.spaces import ANY, Space


def data_spaces(model: Model, *, begun: bool = False) -> dict[str, Space]:
    """The space of a row of each variable, by the name that it has in Python; `ANY` stands for a number of places.

    Args:
        model: what declares them.
        begun: whether sequences may be shorter than those of the model: what is given to be continued.
    """
    indices = model.indices
    found = {}
    for name, space in model.spaces.items():
        if name in indices.lags:
            continue
        sizes = tuple((None if begun else indices.ranges[index].size) or ANY for index in indices.of(name))
        found[python_name(name)] = replace(space, shape=(*sizes, *space.shape)) if sizes else space
    return found


def data_names(model: Model) -> list[str]:
    """The variables by the names that they have in Python, without those that are others at another place."""
    return [python_name(name) for name in model.variables if name not in model.indices.lags]
