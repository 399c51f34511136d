"""Spaces of variables as data have them: rows first, then the places of their indices, then one place."""

from dataclasses import replace

from pgcompile.model.model import Model
from pgcompile.syntax.places import python_name
from pgcompile.vocabulary.spaces import ANY, Space

LONGEST = 2**31
"""The most places of a sequence."""


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
        own = [index for index in indices.of(name) if not indices.ranges[index].of_data]  # which are the rows
        sizes = tuple((None if begun else indices.ranges[index].size) or ANY for index in own)
        found[python_name(name)] = replace(space, shape=(*sizes, *space.shape)) if sizes else space
    found |= {lengths: Space("category", categories=LONGEST + 1) for lengths in _lengths(model)}
    return found


def data_names(model: Model) -> list[str]:
    """The variables by the names that they have in Python, without those that are others at another place.

    The lengths of padded sequences are among them.
    """
    return [*(python_name(name) for name in model.variables if name not in model.indices.lags), *_lengths(model)]


def totals_of(model: Model) -> list[str]:
    """The inputs that say how many data points there are, which whoever has the data gives."""
    return [known.total for known in model.indices.ranges.values() if known.total in model.tensors]


def _lengths(model: Model) -> list[str]:
    return [index.lengths for index in model.indices.ranges.values() if index.lengths is not None]
