r"""Sliced Wasserstein distance, the mean over directions of distances in one dimension.

.. math:: SW[q \| p] = E_{\theta}\left[W(\theta^T x, \theta^T y)\right], \quad \|\theta\| = 1

Source: Bonneel, Rabin, Peyre & Pfister, Sliced and Radon Wasserstein Barycenters of Measures, 2015.
"""

from fractions import Fraction

from pgcompile.vocabulary.functional import Functional, Kind, Method, Setting, Sides

FUNCTIONAL = Functional(
    name="SW",
    sides=Sides.SAME_VARIABLES,
    example="SW[q || p; projections=50]",
    in_words="sliced Wasserstein distance",
    source="Bonneel et al. 2015",
    latex=r"\mathrm{SW}",
    order=12,
    method=Method.SAMPLES,
    also_called=("SlicedWasserstein", "SWD"),
    settings=(Setting("projections", Kind.WHOLE, "number of random directions", default=Fraction(50)),),
    why="in one dimension the best transport pairs sorted samples (Bonneel et al. 2015)",
)
