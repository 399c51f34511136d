"""A tree becomes a `Model`: spaces, nets, factors and their graph, every rule of the factor algebra checked."""

from pgcompile.model.build import build
from pgcompile.model.values import Model

__all__ = ["Model", "build"]
