r"""Evidence lower bound.

.. math:: ELBO[p \| q] = E_q[\log p - \log q] \le \log p(x)

Source: Jordan, Ghahramani, Jaakkola & Saul, An Introduction to Variational Methods for Graphical Models, 1999.
"""

from pgcompile.vocabulary.definition import LEFT, RIGHT, Log, Mean
from pgcompile.vocabulary.functional import Functional, Refusal, Sides

FUNCTIONAL = Functional(
    name="ELBO",
    sides=Sides.MODEL_AND_GUIDE,
    example="ELBO[p || q]",
    about="evidence lower bound of a model p and an approximate posterior q",
    definition=Mean(RIGHT, Log(LEFT) - Log(RIGHT)),
    source="Jordan et al. 1999",
    latex=r"\mathrm{ELBO}",
    order=4,
    also_called=("elbo", "VLB"),
    infinite="minus infinite",
    refuses=(Refusal("dreg", "grad=dreg is for IWAE", "in an ELBO it is grad=stl"),),
)
