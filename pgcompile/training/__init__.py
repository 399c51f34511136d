"""From a compiled program and data to a trained model."""

from pgcompile.diagnostics import DataError
from pgcompile.training.distributed import exit_team
from pgcompile.training.fit import fit
from pgcompile.training.interrupts import Interrupted
from pgcompile.training.sampling import draw
from pgcompile.training.settings import Settings
from pgcompile.training.trainer import Fitted, Trainer

__all__ = ["DataError", "Fitted", "Interrupted", "Settings", "Trainer", "draw", "exit_team", "fit"]
