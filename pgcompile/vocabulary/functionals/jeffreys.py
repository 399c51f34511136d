r"""Jeffreys divergence, both Kullback-Leibler divergences together.

.. math:: J[q \| p] = KL[q \| p] + KL[p \| q]

Source: Jeffreys, An Invariant Form for the Prior Probability in Estimation Problems, 1946.
"""

from pgcompile.vocabulary.definition import LEFT, RIGHT, Log, Mean
from pgcompile.vocabulary.functional import Functional, Sides

FUNCTIONAL = Functional(
    name="Jeffreys",
    sides=Sides.SAME_VARIABLES,
    example="Jeffreys[q || p]",
    about="`KL[q || p] + KL[p || q]`",
    definition=Mean(LEFT, Log(LEFT) - Log(RIGHT)) + Mean(RIGHT, Log(RIGHT) - Log(LEFT)),
    source="Jeffreys 1946",
    latex=r"\mathrm{Jeffreys}",
    order=9,
    also_called=("jeffreys", "SymmetricKL"),
    infinite="infinite",
)
