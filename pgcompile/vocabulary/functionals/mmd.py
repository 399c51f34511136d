r"""Maximum mean discrepancy, by the unbiased U-statistic of samples.

.. math:: MMD^2[q \| p] = E[k(x, x')] - 2 E[k(x, y)] + E[k(y, y')], \quad x, x' \sim q,\ y, y' \sim p

Source: Gretton, Borgwardt, Rasch, Schoelkopf & Smola, A Kernel Two-Sample Test, 2012.
"""

from fractions import Fraction

from pgcompile.vocabulary.functional import Functional, Kind, Method, Setting, Sides

FUNCTIONAL = Functional(
    name="MMD",
    sides=Sides.SAME_VARIABLES,
    example="MMD[q || p; kernel=gaussian, width=[1, 2]]",
    about="`kernel=gaussian` is exp(-d^2 / (2 width^2)), `kernel=imq` is width^2 / (width^2 + d^2); "
    "widths are added, by default one, the root of the dimension",
    in_words="maximum mean discrepancy of samples over the batch, the unbiased U-statistic",
    source="Gretton et al. 2012",
    latex=r"\mathrm{MMD}",
    order=10,
    method=Method.SAMPLES,
    also_called=("mmd",),
    settings=(
        Setting("kernel", Kind.CHOICE, "the kernel", default="gaussian", choices=("gaussian", "imq")),
        Setting(
            "width",
            Kind.NUMBERS,
            "of the kernels that are added; by default one, the root of the dimension",
            default=(),
            above=Fraction(0),
            demand="width is a number above 0, or a list of them",
            help="write width=[0.5, 1, 2], whose kernels are added",
        ),
    ),
    why="the unbiased U-statistic: no pair of a sample with itself is counted (Gretton et al. 2012)",
)
