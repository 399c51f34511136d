r"""Total correlation of the coordinates of the aggregate posterior, estimated on the batch.

.. math:: TC = KL\left[q(z) \,\|\, \prod_j q(z_j)\right], \quad q(z) = E_{x}[q(z | x)]

Source: Chen, Li, Grosse & Duvenaud, Isolating Sources of Disentanglement in Variational Autoencoders, 2018.
"""

from pgcompile.vocabulary.functional import Functional, Method, Sides

FUNCTIONAL = Functional(
    name="TC",
    sides=Sides.ONE,
    example="TC[q(z|x)]",
    in_words="total correlation of the coordinates of `q(z)`, the mean of `q(z|x)` over the batch",
    source="Chen et al. 2018",
    latex=r"\mathrm{TC}",
    order=13,
    method=Method.BATCH,
    also_called=("TotalCorrelation",),
    why="q(z) is the mean of q(z|x) over the batch, q(z_j) that of its coordinates (Chen et al. 2018)",
)
