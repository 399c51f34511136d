r"""Jensen-Shannon divergence, from log-densities of both sides.

.. math:: JS[q \| p] = \tfrac12 KL[q \| m] + \tfrac12 KL[p \| m], \quad m = \tfrac12 q + \tfrac12 p

It is at most log 2, and finite whatever the supports are.

Source: Lin, Divergence Measures Based on the Shannon Entropy, 1991.
"""

from pgcompile.vocabulary.definition import LEFT, RIGHT, Log, Mean
from pgcompile.vocabulary.functional import Functional, Sides

_HALFWAY = LEFT / 2 + RIGHT / 2

FUNCTIONAL = Functional(
    name="JS",
    sides=Sides.SAME_VARIABLES,
    example="JS[q || p]",
    about="Jensen-Shannon divergence",
    definition=Mean(LEFT, Log(LEFT) - Log(_HALFWAY)) / 2 + Mean(RIGHT, Log(RIGHT) - Log(_HALFWAY)) / 2,
    source="Lin 1991",
    latex=r"\mathrm{JS}",
    order=8,
    also_called=("JensenShannon",),
)
