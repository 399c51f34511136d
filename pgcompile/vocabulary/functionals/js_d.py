r"""Jensen-Shannon divergence as a discriminator net estimates it; the net is the subscript.

.. math:: JS_d[p \| r] = \log 2 + \tfrac12 (E_p[\log D] + E_r[\log(1 - D)]), \quad D = \mathrm{sigmoid}(d)

Source: Goodfellow et al., Generative Adversarial Nets, 2014; Lim & Ye, Geometric GAN, 2017 (hinge).
"""

from pgcompile.vocabulary.functional import Functional, Kind, Method, Setting, Sides

FUNCTIONAL = Functional(
    name="JS_d",
    sides=Sides.SAME_VARIABLES,
    example="JS_d[p || data]",
    about="`form=hinge` the hinge value, `form=nonsaturating` what the generated side minimises",
    in_words="Jensen-Shannon as the net `d` sees it: `log 2 + (E_p[log D] + E_data[log(1 - D)]) / 2`, where `d(x)` is "
    "the log-odds that x came from the left side",
    source="Goodfellow et al. 2014",
    latex=r"\mathrm{JS}",
    order=15,
    method=Method.NET,
    settings=(
        Setting(
            "form",
            Kind.CHOICE,
            "how the two sides enter",
            default="saturating",
            choices=("saturating", "nonsaturating", "hinge"),
        ),
    ),
)
