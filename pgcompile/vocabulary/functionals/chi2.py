r"""Chi-square divergence of Pearson.

.. math:: \chi^2[q \| p] = E_q[q / p] - 1

Source: Pearson, On the Criterion that a Given System of Deviations ..., 1900.
"""

from pgcompile.vocabulary.definition import LEFT, RIGHT, Mean
from pgcompile.vocabulary.functional import Functional, Sides

FUNCTIONAL = Functional(
    name="Chi2",
    sides=Sides.SAME_VARIABLES,
    example="Chi2[q || p]",
    about="chi-square divergence",
    definition=Mean(LEFT, LEFT / RIGHT) - 1,
    source="Pearson 1900",
    latex=r"\chi^2",
    order=7,
    spellings=("χ²", r"\chi^2"),
    also_called=("ChiSquare", "chi2", "Chi"),
    infinite="infinite",
)
