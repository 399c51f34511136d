"""From a compiled program and data to a trained model."""

from pgcompile.training.data import DataError
from pgcompile.training.fit import Settings, fit
from pgcompile.training.sampling import draw

__all__ = ["DataError", "Settings", "draw", "fit"]
