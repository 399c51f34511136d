r"""Cross-entropy.

.. math:: CE[q \| p] = -E_q[\log p]

Source: Good, Some Terminology and Notation in Information Theory, 1956.
"""

from pgcompile.vocabulary.definition import LEFT, RIGHT, Log, Mean
from pgcompile.vocabulary.functional import Functional, Sides

FUNCTIONAL = Functional(
    name="CE",
    sides=Sides.SAME_VARIABLES,
    example="CE[q(z|x) || p(z)]",
    about="cross-entropy",
    definition=Mean(LEFT, -Log(RIGHT)),
    source="Good 1956",
    latex=r"\mathrm{CE}",
    order=3,
    also_called=("CrossEntropy", "cross_entropy"),
    infinite="infinite",
    named_term=True,
)
