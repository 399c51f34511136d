"""Codes of optimisers and their options."""

from pgcompile.diagnostics.catalogue.entry import Entry
from pgcompile.diagnostics.catalogue.programs import VAE

TRAINING: tuple[Entry, ...] = (
    Entry(
        "PGC501",
        "there is no such optimiser",
        VAE + "e = ELBO[p(x|z) p(z) || q(z|x)]\nmaximize e using Adm",
        VAE + "e = ELBO[p(x|z) p(z) || q(z|x)]\nmaximize e using Adam",
    ),
    Entry(
        "PGC502",
        "the optimiser has no such option",
        VAE + "e = ELBO[p(x|z) p(z) || q(z|x)]\nmaximize e using Adam(rate = 1)",
        VAE + "e = ELBO[p(x|z) p(z) || q(z|x)]\nmaximize e using Adam(lr = 1)",
    ),
)
