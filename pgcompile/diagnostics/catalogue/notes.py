"""Notes: how the compiler read or computes something."""

from pgcompile.diagnostics.catalogue.entry import Entry
from pgcompile.diagnostics.catalogue.programs import DISCRETE, VAE

NOTES: tuple[Entry, ...] = (
    Entry(
        "N101",
        "how bare names were read",
        VAE + "e = E_q[log p] - KL[q || p]",
        VAE + "e = E_{q(z|x)}[log p(x|z)] - KL[q(z|x) || p(z)]",
    ),
    Entry(
        "N106",
        "how a discrete draw gets its gradient",
        DISCRETE + "e = E_{q(b|x)}[log p(x|b)]",
        DISCRETE + "e = E_{q(b|x); samples=4}[log p(x|b)]",
        compiled=True,
    ),
    Entry(
        "N102",
        "why an expectation is sampled",
        "x, y, z : real[2]\nnet f = Linear(2)\nnet g = Linear(2)\np(y|z) = Normal(f(z), 1)\np(z) = Normal(0, "
        "1)\nq(y|x) = Normal(g(x), 1)\nq(z|y) = Normal(y, 1)\ne = KL[q(y|x) q(z|y) || p(y|z) p(z)]",
        "x, y, z : real[2]\nnet g = Linear(2)\np(y) = Normal(0, 1)\np(z|y) = Normal(y, 1)\nq(y|x) "
        "= Normal(g(x), 1)\nq(z|y) = Normal(y, 1)\ne = KL[q(y|x) q(z|y) || p(y) p(z|y)]",
        compiled=True,
    ),
    Entry(
        "N103",
        "a subscript was left out",
        VAE + "e = E_{q_phi(z|x)}[log p_theta(x|z)]",
        VAE + "e = E_{q(z|x)}[log p(x|z)]",
    ),
    Entry(
        "N104",
        "probabilities are kept as logits",
        "x : boolean[3]\nz : real[3]\np(x|z) = Bernoulli(sigmoid(z))",
        "x : boolean[3]\nz : real[3]\np(x|z) = Bernoulli(logits = z)",
    ),
    Entry(
        "N105",
        "a covariance is decomposed at every call",
        "x : real[2]\nparam S : positive_definite[2, 2] = eye\np(x) = MultivariateNormal([0, 0], S)",
        "x : real[2]\nparam L : lower_cholesky[2, 2] = eye\np(x) = MultivariateNormal([0, 0], scale_tril = L)",
    ),
    Entry(
        "N107",
        "a functional of a declared name",
        "z, W : real\np(z) = Normal(0, 1)\np(W) = Normal(0, 1)\nq(z) = Normal(1, 1)\ne = W[q(z) || p(z)] + log p(W)",
        "z, w : real\np(z) = Normal(0, 1)\np(w) = Normal(0, 1)\nq(z) = Normal(1, 1)\ne = W[q(z) || p(z)] + log p(w)",
    ),
    Entry(
        "N108",
        "values between 0 and 1 are scored as if they were probabilities",
        "x : unit_interval\np(x) = Bernoulli(0.5)",
        "x : unit_interval\np(x) = ContinuousBernoulli(0.4)",
    ),
)
