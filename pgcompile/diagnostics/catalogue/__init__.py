"""Every code of the product: what it means, a program that gets it and the same program mended.

`docs/diagnostics.md` is made from this table, and a test compiles every example: the wrong one gives exactly its code,
the right one none.
"""

from pgcompile.diagnostics.catalogue.entry import Entry
from pgcompile.diagnostics.catalogue.factors import FACTORS
from pgcompile.diagnostics.catalogue.naming import NAMING
from pgcompile.diagnostics.catalogue.notes import NOTES
from pgcompile.diagnostics.catalogue.objectives import OBJECTIVES
from pgcompile.diagnostics.catalogue.text import TEXT
from pgcompile.diagnostics.catalogue.training import TRAINING
from pgcompile.diagnostics.catalogue.values import VALUES
from pgcompile.diagnostics.catalogue.warnings import WARNINGS

CATALOGUE: tuple[Entry, ...] = (*TEXT, *NAMING, *FACTORS, *VALUES, *OBJECTIVES, *TRAINING, *WARNINGS, *NOTES)

__all__ = ["CATALOGUE", "Entry"]
