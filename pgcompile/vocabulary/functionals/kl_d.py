r"""Kullback-Leibler divergence by the log-odds of a discriminator net; the net is the subscript.

.. math:: KL_d[q \| p] = E_q[d(x)]

It is the divergence where `d` maximises `JS_d` of the same sides: `d` is then log q - log p.

Source: Nowozin, Cseke & Tomioka, f-GAN, 2016; Mescheder, Nowozin & Geiger, Adversarial Variational Bayes, 2017.
"""

from pgcompile.vocabulary.functional import Functional, Method, Sides

FUNCTIONAL = Functional(
    name="KL_d",
    sides=Sides.SAME_VARIABLES,
    example="KL_d[q || p]",
    about="the divergence, where `d` maximises `JS_d` of the same sides",
    in_words="`E_q[d(x)]`",
    source="Nowozin et al. 2016",
    latex=r"\mathrm{KL}",
    order=16,
    method=Method.NET,
    generated_only=True,
)
