"""Codes of factors and their algebra."""

from pgcompile.diagnostics.catalogue.entry import Entry
from pgcompile.diagnostics.catalogue.programs import PAIR, VAE

FACTORS: tuple[Entry, ...] = (
    Entry("PGC201", "a variable stands twice in one factor", "p(x|x) p(z)", "p(x|z) p(z)"),
    Entry("PGC202", "two factors generate one variable", "p(x|z) p(z) p(z)", "p(x|z) p(z)"),
    Entry("PGC203", "factors condition on each other", "p(x|z) p(z|x)", "p(x|z) p(z)"),
    Entry(
        "PGC204",
        "only what is generated can be integrated out",
        "p(x|y) = ∫ p(x|z,y) p(z) dy",
        "p(x|y) = ∫ p(x|z,y) p(z) dz",
    ),
    Entry("PGC206", "a renaming clashes", "p(u|z) = p(x|z)[x -> z]", "p(u|z) = p(x|z)[x -> u]"),
    Entry("PGC207", "what is renamed is not there", "p(u|z) = p(x|z)[y -> u]", "p(u|z) = p(x|z)[x -> u]"),
    Entry("PGC208", "the two sides are over different variables", "p(x) = p(x|z) p(z)", "p(x,z) = p(x|z) p(z)"),
    Entry("PGC209", "a definition goes in a circle", "p(x,z) = p(x,z)", "p(x,z) = p(x|z) p(z)"),
    Entry(
        "PGC210",
        "there is no exact log-density",
        VAE + "e = log ∫ p(x|z) p(z) dz",
        VAE + "e = ELBO[p(x|z) p(z) || q(z|x)]",
    ),
    Entry(
        "PGC211",
        "a factor has no family",
        "p(x|z) p(z)",
        "x, z : real\np(x|z) = Normal(z, 1)\np(z) = Normal(0, 1)",
        compiled=True,
    ),
    Entry("PGC212", "this is not a factor", PAIR + "p(2 a) = Normal(0, 1)", PAIR + "p(a) = Normal(0, 1)"),
    Entry(
        "PGC213",
        "this quotient is no posterior",
        "x : real\nk : category[3]\nj : category[2]\np(k) = Categorical([1, 1, 1])\np(j) = Categorical([1, 1])\n"
        "buffer m : real[3] = [0, 1, 2]\nbuffer n : real[2] = [0, 1]\n"
        "p(x|k) = Normal(m[k], 1)\np(x|j) = Normal(n[j], 1)\n"
        "r(x) = sum_j p(x|j) p(j)\np(k|x) = p(x|k) p(k) / r(x)",
        "x : real\nk : category[3]\nbuffer m : real[3] = [0, 1, 2]\np(k) = Categorical([1, 1, 1])\n"
        "p(x|k) = Normal(m[k], 1)\np(k|x) = p(x|k) p(k) / p(x)",
    ),
    Entry(
        "PGC214",
        "an exact marginal needs too large a table",
        "x : real\nb : boolean[40]\np(b) = Bernoulli(0.5)\np(x|b) = Normal(sum(b), 1)\np(x) = sum_b p(x|b) p(b)\n"
        "e = log p(x)",
        "x : real\nb : boolean[4]\np(b) = Bernoulli(0.5)\np(x|b) = Normal(sum(b), 1)\np(x) = sum_b p(x|b) p(b)\n"
        "e = log p(x)",
    ),
    Entry(
        "PGC215",
        "a product of experts is in no family",
        "x, y, z : real\nq_1(z|x) = Laplace(x, 1)\nq_2(z|y) = Laplace(y, 1)\nq(z|x,y) ∝ q_1(z|x) q_2(z|y)",
        "x, y, z : real\nq_1(z|x) = Normal(x, 1)\nq_2(z|y) = Normal(y, 1)\nq(z|x,y) ∝ q_1(z|x) q_2(z|y)",
    ),
    Entry(
        "PGC216",
        "a mixture that is none",
        "x, y, z : real\nq_1(z|x) = Normal(x, 1)\nq_2(z|y) = Normal(y, 1)\nq(z|x,y) = 0.5 q_1(z|x) + 0.6 q_2(z|y)",
        "x, y, z : real\nq_1(z|x) = Normal(x, 1)\nq_2(z|y) = Normal(y, 1)\nq(z|x,y) = 0.5 q_1(z|x) + 0.5 q_2(z|y)",
    ),
)
