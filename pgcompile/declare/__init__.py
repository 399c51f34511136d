"""A tree becomes a `Model`: what the program declares and defines, every rule of the factor algebra checked."""

from pgcompile.declare.build import build

__all__ = ["build"]
