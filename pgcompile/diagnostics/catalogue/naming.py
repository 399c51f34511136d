"""Codes of names that are not known, or known twice."""

from pgcompile.diagnostics.catalogue.entry import Entry
from pgcompile.diagnostics.catalogue.programs import CHAIN, PAIR, TWO_WAYS, VAE

NAMING: tuple[Entry, ...] = (
    Entry(
        "PGC101",
        "a name is not declared",
        "x : real\nparam mu : real\np(x) = Normal(mew, 1)",
        "x : real\nparam mu : real\np(x) = Normal(mu, 1)",
    ),
    Entry("PGC102", "there is no such family", "x : real\np(x) = Gaussian(0, 1)", "x : real\np(x) = Normal(0, 1)"),
    Entry(
        "PGC103",
        "there is no such function or net",
        PAIR + "p(a|b) = Normal(tahn(b), 1)",
        PAIR + "p(a|b) = Normal(tanh(b), 1)",
    ),
    Entry(
        "PGC104",
        "the family has no such parameter",
        "x : real\np(x) = Normal(0, sigma = 1)",
        "x : real\np(x) = Normal(0, scale = 1)",
    ),
    Entry(
        "PGC105",
        "a net has no such layer",
        PAIR + "net f = Linear(3) >> Relux\np(a|b) = Normal(f(b), 1)",
        PAIR + "net f = Linear(3) >> ReLU\np(a|b) = Normal(f(b), 1)",
    ),
    Entry(
        "PGC106",
        "there is no such option",
        PAIR + "net f = Linear(3, biass = false)\np(a|b) = Normal(f(b), 1)",
        PAIR + "net f = Linear(3, bias = false)\np(a|b) = Normal(f(b), 1)",
    ),
    Entry(
        "PGC107",
        "a name is declared twice",
        "x : real\nx : real[2]\np(x) = Normal(0, 1)",
        "x : real\np(x) = Normal(0, 1)",
    ),
    Entry("PGC108", "there is no such factor", VAE + "e = log p(z|x)", VAE + "e = E_{q(z|x)}[log p(x|z)]"),
    Entry(
        "PGC109",
        "a bare name has more than one reading",
        VAE + "q(x|z) = Bernoulli(logits = dec(z))\ne = H[q]",
        VAE + "e = H[q(z|x)]",
    ),
    Entry("PGC110", "there is no such space", "x : reel[3]", "x : real[3]\np(x) = Normal(0, 1)"),
    Entry("PGC111", "this is not a name", "p(x_{a.b}) p(z)", "p(x_{a}) p(z)"),
    Entry(
        "PGC112",
        "an input has no initial value",
        "input beta : real = 1\np(x) = Normal(0, 1)\nx : real",
        "input beta : real\np(x) = Normal(0, 1)\nx : real",
    ),
    Entry(
        "PGC113",
        "there is no such objective",
        "x : real\np(x) = Normal(0, 1)\nscore = log p(x)\nmaximize scor",
        "x : real\nparam m : real\np(x) = Normal(m, 1)\nscore = log p(x)\nmaximize score",
    ),
    Entry(
        "PGC114",
        "a factor uses a variable that it is not conditioned on",
        PAIR + "p(a) = Normal(b, 1)",
        PAIR + "p(a|b) = Normal(b, 1)",
    ),
    Entry(
        "PGC115",
        "a name that the emitted module has for itself",
        "x : real\nparam m : real\np(x) = Normal(m, 1)\nloss = -log p(x)\nminimize loss",
        "x : real\nparam m : real\np(x) = Normal(m, 1)\nnll = -log p(x)\nminimize nll",
    ),
    Entry(
        "PGC116",
        "there is no such flow or transform",
        "x : real[2]\nflow f = repeat 3 { MaskedAutoregresive >> Reverse }\np(x) = Flow(Normal(0, 1), f)",
        "x : real[2]\nflow f = repeat 3 { MaskedAutoregressive >> Reverse }\np(x) = Flow(Normal(0, 1), f)",
    ),
    Entry(
        "PGC117",
        "there is no such index",
        CHAIN.replace("sum_t", "sum_{s=1}^{T}"),
        CHAIN,
    ),
    Entry(
        "PGC118",
        "a variable is at a place that it does not have",
        CHAIN.replace("x_t : real[2]", "x_{t-1} : real[2]"),
        CHAIN,
    ),
    Entry("PGC119", "a recurrence has no start", CHAIN.replace("x_0 = 0\n", ""), CHAIN),
    Entry("PGC120", "an index is not summed over", CHAIN.replace("sum_t ", ""), CHAIN),
    Entry(
        "PGC121",
        "a recurrence cannot be drawn in one order",
        TWO_WAYS + "h_t = x_t + b_{t+1}\nb_t = x_t - h_{t-1}\nl = sum_t sum(h_t)",
        TWO_WAYS + "h_t = x_t + h_{t-1}\nb_t = x_t - b_{t+1}\nl = sum_t sum(h_t + b_t)",
    ),
)
