"""Divergences and bounds as terms: the facts that the vocabulary states, bound to the distributions of a program."""

from pgcompile.objective.functionals.dispatch import Functionals

__all__ = ["Functionals"]
