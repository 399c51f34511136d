r"""Importance-weighted bound, the logarithm of a mean of weights.

.. math:: IWAE_K[p \| q] = E\left[\log \frac{1}{K} \sum_k \frac{p(x, z_k)}{q(z_k | x)}\right], \quad z_k \sim q

Source: Burda, Grosse & Salakhutdinov, Importance Weighted Autoencoders, 2016.
"""

from pgcompile.vocabulary.definition import LEFT, RIGHT, Log, Mean
from pgcompile.vocabulary.functional import Functional, Refusal, Sides

FUNCTIONAL = Functional(
    name="IWAE",
    sides=Sides.MODEL_AND_GUIDE,
    example="IWAE[p || q; samples=50]",
    about="importance-weighted bound, by log-sum-exp of 50 weights; so is `log E_{q; samples=50}[p(x,z) / q(z|x)]`",
    definition=Log(Mean(RIGHT, LEFT / RIGHT)),
    source="Burda et al. 2016",
    latex=r"\mathrm{IWAE}",
    order=5,
    also_called=("iwae", "IWELBO"),
    infinite="minus infinite",
    refuses=(
        Refusal(
            "enumerate",
            "an IWAE over every value is log p itself: nothing is left of q, nor of the number of samples",
            "name the marginal, `p(x) = sum_k p(x|k) p(k)`, and write log p(x)",
        ),
    ),
)
