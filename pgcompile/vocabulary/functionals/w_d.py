r"""Wasserstein distance as a critic net estimates it; the net is the subscript.

.. math:: W_d[p \| r] = E_p[d(x)] - E_r[d(x)] - \lambda E\left[(\|\nabla d\| - 1)^2\right]

Source: Arjovsky, Chintala & Bottou, Wasserstein GAN, 2017; Gulrajani et al., 2017 (gradient penalty).
"""

from fractions import Fraction

from pgcompile.vocabulary.functional import Functional, Kind, Method, Setting, Sides

FUNCTIONAL = Functional(
    name="W_d",
    sides=Sides.SAME_VARIABLES,
    example="W_d[p || data; penalty=10]",
    about="a net may be bounded by `clamp` and `Linear(64, spectral_norm = true)` too",
    in_words="`E_p[d(x)] - E_data[d(x)]`, less 10 times the gradient penalty, which passes no gradient to either side",
    source="Arjovsky et al. 2017",
    latex=r"\mathrm{W}",
    order=17,
    method=Method.NET,
    settings=(
        Setting(
            "penalty",
            Kind.NUMBER,
            "weight of the gradient penalty",
            default=Fraction(0),
            least=Fraction(0),
            demand="penalty is a number that is not negative",
            help="write penalty=10",
        ),
    ),
    why="at a point between two draws, which pass no gradient (Gulrajani et al. 2017)",
)
