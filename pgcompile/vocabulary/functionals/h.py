r"""Entropy.

.. math:: H[q] = -E_q[\log q]

Source: Shannon, A Mathematical Theory of Communication, 1948.
"""

from pgcompile.vocabulary.definition import LEFT, Log, Mean
from pgcompile.vocabulary.functional import Functional, Sides

FUNCTIONAL = Functional(
    name="H",
    sides=Sides.ONE,
    example="H[q(z|x)]",
    about="entropy, differential for a density",
    definition=Mean(LEFT, -Log(LEFT)),
    source="Shannon 1948",
    latex=r"\mathrm{H}",
    order=2,
    spellings=("ℍ",),
    also_called=("Entropy", "entropy"),
    instead="the cross-entropy of two is CE[q || p]",
    named_term=True,
)
