r"""Renyi divergence of an order other than 1.

.. math:: R_\alpha[q \| p] = \frac{1}{\alpha - 1} \log E_q\left[(q / p)^{\alpha - 1}\right]

Source: Renyi, On Measures of Entropy and Information, 1961; van Erven & Harremoes, 2014.
"""

from fractions import Fraction

from pgcompile.vocabulary.definition import LEFT, RIGHT, Log, Mean, Option
from pgcompile.vocabulary.functional import Functional, Kind, Setting, Sides

FUNCTIONAL = Functional(
    name="Renyi",
    sides=Sides.SAME_VARIABLES,
    example="Renyi[q || p; alpha=0.5, samples=50]",
    about="Renyi divergence of order alpha",
    definition=Log(Mean(LEFT, (LEFT / RIGHT) ** (Option("alpha") - 1))) / (Option("alpha") - 1),
    source="Renyi 1961; van Erven & Harremoes 2014",
    latex=r"\mathrm{Renyi}",
    order=6,
    spellings=("Rényi",),
    also_called=("renyi", "RenyiDivergence"),
    infinite="infinite",
    settings=(
        Setting(
            "alpha",
            Kind.NUMBER,
            "the order; at 1 the limit is KL",
            above=Fraction(0),
            other_than=Fraction(1),
            required=True,
            demand="alpha of a Renyi divergence is a number above 0 other than 1",
            help="write Renyi[q || p; alpha=0.5, samples=50]; at 1 it is KL[q || p]",
        ),
    ),
)
