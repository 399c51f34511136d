r"""Wasserstein distance of paired draws, an upper bound of the optimal transport cost.

.. math:: W[q \| p] \le E\|x - y\|, \quad x \sim q,\ y \sim p

Source: Villani, Optimal Transport: Old and New, 2009.
"""

from pgcompile.vocabulary.functional import Functional, Method, Sides

FUNCTIONAL = Functional(
    name="W",
    sides=Sides.SAME_VARIABLES,
    example="W[q || p]",
    in_words="distance of paired draws, an upper bound of the Wasserstein distance",
    source="Villani 2009",
    latex=r"\mathrm{W}",
    order=11,
    method=Method.SAMPLES,
    also_called=("Wasserstein",),
    why="pairing each draw with one of the other side bounds the transport cost from above",
)
