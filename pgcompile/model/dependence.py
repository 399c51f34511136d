"""Arguments of deterministic variables."""

from pgcompile.model.model import Model
from pgcompile.model.variable import Variable, variables


def formula_parents(variable: Variable, model: Model) -> tuple[Variable, ...] | None:
    """The arguments of a deterministic variable; None for any other variable."""
    factor = model.deterministic.get(variable.name) if variable.is_named else None
    return None if factor is None else variables(factor.parents)
