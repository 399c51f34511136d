r"""Mutual information of data and latent under the approximate posterior, estimated on the batch.

.. math:: MI = E_x\left[KL[q(z | x) \,\|\, q(z)]\right], \quad q(z) = E_{x}[q(z | x)]

Source: Hoffman & Johnson, ELBO Surgery, 2016.
"""

from pgcompile.vocabulary.functional import Functional, Method, Sides

FUNCTIONAL = Functional(
    name="MI",
    sides=Sides.ONE,
    example="MI[q(z|x)]",
    in_words="information of z about x; `q(z)` is the mean of `q(z|x)` over the batch",
    source="Hoffman & Johnson 2016",
    latex=r"\mathrm{MI}",
    order=14,
    method=Method.BATCH,
    also_called=("MutualInformation", "I", "I_q"),
    why="q(z) is the mean of q(z|x) over the batch",
)
