r"""Kullback-Leibler divergence.

.. math:: KL[q \| p] = E_q[\log q - \log p]

Source: Kullback & Leibler, On Information and Sufficiency, 1951.
"""

from pgcompile.vocabulary.definition import LEFT, RIGHT, Log, Mean
from pgcompile.vocabulary.functional import Functional, Sides

FUNCTIONAL = Functional(
    name="KL",
    sides=Sides.SAME_VARIABLES,
    example="KL[q(z|x) || p(z)]",
    about="Kullback-Leibler divergence",
    definition=Mean(LEFT, Log(LEFT) - Log(RIGHT)),
    source="Kullback & Leibler 1951",
    latex=r"D_{\mathrm{KL}}",
    order=1,
    spellings=("D_KL",),
    round_brackets=True,
    also_called=("kl", "DKL", "KLD"),
    infinite="infinite",
    named_term=True,
)
