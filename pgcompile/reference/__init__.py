"""The judge of the compiler: a model and its formulas computed as they are written."""

from pgcompile.reference.interpreter import Reference

__all__ = ["Reference"]
