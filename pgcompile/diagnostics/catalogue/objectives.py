"""Codes of objectives."""

from pgcompile.diagnostics.catalogue.entry import Entry
from pgcompile.diagnostics.catalogue.programs import DISCRETE, PAIR, VAE

OBJECTIVES: tuple[Entry, ...] = (
    Entry(
        "PGC401", "this does not belong here", PAIR + "p(a|b) = Normal(KL[a || b], 1)", PAIR + "p(a|b) = Normal(b, 1)"
    ),
    Entry(
        "PGC402",
        "an objective is one number a data point",
        "x, y : real[3]\np(x|y) = Normal(y, 1)\ne = (x - y)^2",
        "x, y : real[3]\np(x|y) = Normal(y, 1)\ne = sum((x - y)^2)",
    ),
    Entry(
        "PGC403",
        "a sample would pass no gradient",
        VAE.replace("z : real[64]", "z : boolean[64]")
        .replace("Normal(0, 1)", "Bernoulli(0.5)")
        .replace("Normal(enc(x), 1)", "Bernoulli(logits = enc(x))")
        + "e = E_{q(z|x); grad=pathwise}[log p(x|z)]",
        VAE + "e = E_{q(z|x); grad=pathwise}[log p(x|z)]",
    ),
    Entry(
        "PGC405",
        "a divergence compares different variables",
        VAE + "e = KL[q(z|x) || p(x|z)]",
        VAE + "e = KL[q(z|x) || p(z)]",
    ),
    Entry(
        "PGC406",
        "an objective goes in a circle",
        "x : real\np(x) = Normal(0, 1)\na = b + log p(x)\nb = a",
        "x : real\np(x) = Normal(0, 1)\na = b\nb = log p(x)",
    ),
    Entry(
        "PGC407",
        "an expectation does not say over what",
        VAE + "e = E[log p(x|z)]",
        VAE + "e = E_{q(z|x)}[log p(x|z)]",
    ),
    Entry(
        "PGC408",
        "an option has a value that means nothing",
        DISCRETE + "e = E_{q(b|x); grad=reinforce}[log p(x|b)]",
        DISCRETE + "e = E_{q(b|x); grad=score, samples=4}[log p(x|b)]",
    ),
    Entry(
        "PGC409",
        "this cannot be enumerated or relaxed",
        DISCRETE + "e = E_{q(b|x); grad=enumerate}[log p(x|b)]",
        DISCRETE + "e = E_{q(b|x); samples=4}[log p(x|b)]",
    ),
    Entry(
        "PGC410",
        "there is nothing of that name to optimise",
        VAE + "e = ELBO[p(x|z) p(z) || q(z|x)]\nmaximize e wrt encoder",
        VAE + "e = ELBO[p(x|z) p(z) || q(z|x)]\nmaximize e wrt enc, dec",
    ),
)
