"""Warnings: programs that mean something, though hardly what was meant."""

from pgcompile.diagnostics.catalogue.entry import Entry
from pgcompile.diagnostics.catalogue.programs import DISCRETE, GAN, GLOBAL, LADDER, PAIR, VAE

WARNINGS: tuple[Entry, ...] = (
    Entry(
        "W102",
        "a parameter need not land in its domain",
        PAIR + "net s = Linear(3)\np(a|b) = Normal(0, s(b))",
        PAIR + "net s = Linear(3) >> Softplus\np(a|b) = Normal(0, s(b))",
    ),
    Entry(
        "W103",
        "a variable's space is wider than its family",
        "x : real\np(x) = Gamma(1, 1)",
        "x : positive\np(x) = Gamma(1, 1)",
    ),
    Entry(
        "W104",
        "a divergence is infinite",
        "y : positive\np(y) = Gamma(1, 1)\nq(y) = Normal(1, 1)  # pgc: allow W112\ne = KL[q(y) || p(y)]",
        "y : positive\np(y) = Gamma(1, 1)\nq(y) = Gamma(2, 1)\ne = KL[q(y) || p(y)]",
    ),
    Entry(
        "W105",
        "`/` ends what a logarithm takes",
        VAE + "e = E_{q(z|x)}[log p(x|z) p(z) / q(z|x)]",
        VAE + "e = E_{q(z|x)}[log(p(x|z) p(z) / q(z|x))]",
    ),
    Entry(
        "W106",
        "an expectation averages over nothing",
        VAE + "e = E_{q(z|x)}[sum(x)] + log p(z)",
        VAE + "e = E_{q(z|x)}[sum(z)] + log p(z)",
    ),
    Entry(
        "W107",
        "a net is never called",
        "x : real\nnet f = Linear(3)\np(x) = Normal(0, 1)",
        "x : real\np(x) = Normal(0, 1)",
    ),
    Entry(
        "W108",
        "no objective uses a factor",
        VAE + "r(z|x) = Normal(enc(x), 2)\ne = ELBO[p(x|z) p(z) || q(z|x)]",
        VAE + "e = ELBO[p(x|z) p(z) || q(z|x)]",
    ),
    Entry(
        "W109",
        "something learnable is never trained",
        VAE + "e = ELBO[p(x|z) p(z) || q(z|x)]\nmaximize e wrt enc",
        VAE + "e = ELBO[p(x|z) p(z) || q(z|x)]\nmaximize e wrt enc, dec",
    ),
    Entry(
        "W110",
        "an objective has the sign of a loss",
        VAE + "e = log p(x|z) + KL[q(z|x) || p(z)]\nmaximize e",
        VAE + "e = log p(x|z) - KL[q(z|x) || p(z)]\nmaximize e",
    ),
    Entry(
        "W111",
        "a sample passes through a step",
        VAE.replace("dec(z)", "dec(round(z))") + "e = ELBO[p(x|z) p(z) || q(z|x)]",
        VAE + "e = ELBO[p(x|z) p(z) || q(z|x)]",
    ),
    Entry(
        "W112",
        "a family draws outside the variable's space",
        "x : positive\np(x) = Normal(0, 1)",
        "x : positive\np(x) = LogNormal(0, 1)",
    ),
    Entry(
        "W113",
        "nothing samples a latent variable",
        LADDER + "q(a|x) = Normal(enc(x), 1)\ne = E_q[log p - log q]\nmaximize e",
        LADDER + "q(a|x) = Normal(enc(x), 1)\nq(b|a) = Normal(a, 1)\ne = E_q[log p - log q]\nmaximize e",
    ),
    Entry(
        "W114",
        "a net hides a function",
        "x, z : real[3]\nnet exp = Linear(3)\np(x|z) = Normal(exp(z), 1)",
        "x, z : real[3]\nnet f = Linear(3)\np(x|z) = Normal(f(z), 1)",
    ),
    Entry(
        "W115",
        "an index is used as a number",
        "x : real\nk : category[3]\np(x|k) = Normal(2 * k, 1)\np(k) = Categorical([1, 1, 1])",
        "x : real\nk : category[3]\nbuffer m : real[3] = [0, 2, 4]\np(x|k) = Normal(m[k], 1)\n"
        "p(k) = Categorical([1, 1, 1])",
    ),
    Entry(
        "W116",
        "an objective adds a density",
        VAE + "e = E_{q(z|x)}[p(x|z)] - KL[q(z|x) || p(z)]",
        VAE + "e = E_{q(z|x)}[log p(x|z)] - KL[q(z|x) || p(z)]",
    ),
    Entry(
        "W117",
        "a divergence of a distribution from itself",
        VAE + "e = log p(x|z) - KL[q(z|x) || q(z|x)]",
        VAE + "e = log p(x|z) - KL[q(z|x) || p(z)]",
    ),
    Entry(
        "W118",
        "a divergence with its sides exchanged",
        VAE + "e = E_{q(z|x)}[log p(x|z)] - KL[p(z) || q(z|x)]",
        VAE + "e = E_{q(z|x)}[log p(x|z)] - KL[q(z|x) || p(z)]",
    ),
    Entry(
        "W119",
        "an objective with nothing to learn",
        "x : real\np(x) = Normal(0, 1)\ne = log p(x)\nmaximize e",
        "x : real\nparam m : real\np(x) = Normal(m, 1)\ne = log p(x)\nmaximize e",
    ),
    Entry(
        "W120",
        "a declaration that nothing uses",
        "x : real\nparam m : real\np(x) = Normal(0, 1)\ne = log p(x)",
        "x : real\nparam m : real\np(x) = Normal(m, 1)\ne = log p(x)",
    ),
    Entry(
        "W126",
        "a score function without a baseline",
        DISCRETE + "e = E_{q(b|x); samples=1}[log p(x|b)]",
        DISCRETE + "e = E_{q(b|x); samples=4}[log p(x|b)]",
    ),
    Entry(
        "W127",
        "very many values to enumerate",
        DISCRETE.replace("b : boolean[64]", "b : boolean[14]").replace("(64)", "(14)")
        + "e = E_{q(b|x); grad=enumerate}[log p(x|b)]",
        DISCRETE + "e = E_{q(b|x); samples=4}[log p(x|b)]",
    ),
    Entry(
        "W128",
        "the logarithm of an average of one draw",
        VAE + "e = log E_{q(z|x)}[p(x,z) / q(z|x)]",
        VAE + "e = log E_{q(z|x); samples=50}[p(x,z) / q(z|x)]",
    ),
    Entry(
        "W129",
        "a player is trained for the other side",
        GAN + "minimize js wrt d\nminimize js wrt g",
        GAN + "maximize js wrt d\nminimize js wrt g",
    ),
    Entry(
        "W130",
        "a formula that nothing uses",
        "x, h : real[3]\nnet f = Linear(3)\np(x) = Normal(0, 1)\nh = f(x)",
        "x : real[3]\nnet f = Linear(3)\np(x) = Normal(0, 1)\nh = sum(f(x))",
    ),
    Entry(
        "W131",
        "a divergence that is counted once for each place of an index it does not carry",
        GLOBAL + "elbo = sum_n (E_{q(w)}[log p(y_n|w)] - KL[q(w) || p(w)])",
        GLOBAL + "elbo = sum_n E_{q(w)}[log p(y_n|w)] - KL[q(w) || p(w)]",
    ),
    Entry(
        "W121",
        "probabilities that do not sum to one",
        "k : category[3]\np(k) = Categorical([0.5, 0.3, 0.3])",
        "k : category[3]\np(k) = Categorical([0.5, 0.3, 0.2])",
    ),
    Entry(
        "W122",
        "logits that are probabilities already",
        "x : boolean[3]\nz : real[3]\nnet f = Linear(3) >> Sigmoid\np(x|z) = Bernoulli(logits = f(z))",
        "x : boolean[3]\nz : real[3]\nnet f = Linear(3)\np(x|z) = Bernoulli(logits = f(z))",
    ),
    Entry(
        "W123",
        "a parent that no parameter uses",
        PAIR + "p(a|b) = Normal(0, 1)\np(b) = Normal(0, 1)",
        PAIR + "p(a|b) = Normal(b, 1)\np(b) = Normal(0, 1)",
    ),
    Entry(
        "W124",
        "a factor that is counted twice",
        VAE + "e = E_{q(z|x)}[log p(x|z) p(z)] - KL[q(z|x) || p(z)]",
        VAE + "e = E_{q(z|x)}[log p(x|z)] - KL[q(z|x) || p(z)]",
    ),
    Entry(
        "W125",
        "a comment that allows nothing",
        "x : real\np(x) = Normal(0, 1)  # pgc: allow W999",
        "x : real\np(x) = Normal(0, 1)",
    ),
)
