"""Codes of spaces, shapes and arguments."""

from pgcompile.diagnostics.catalogue.entry import Entry
from pgcompile.diagnostics.catalogue.programs import PAIR

VALUES: tuple[Entry, ...] = (
    Entry(
        "PGC301",
        "shapes do not fit",
        "a : real[3]\nb : real[4]\nx : real[3]\np(x|a,b) = Normal(a + b, 1)",
        "a : real[3]\nb : real[3]\nx : real[3]\np(x|a,b) = Normal(a + b, 1)",
    ),
    Entry(
        "PGC302",
        "a net is called with two sizes",
        "a : real[3]\nb : real[4]\nnet f = Linear(3)\np(a|b) = Normal(f(b), 1)\np(c|a) = Normal(f(a), 1)\nc : real[3]",
        "a : real[3]\nb : real[3]\nnet f = Linear(3)\np(a|b) = Normal(f(b), 1)\np(c|a) = Normal(f(a), 1)\nc : real[3]",
    ),
    Entry(
        "PGC303",
        "a layer cannot take its input",
        PAIR + "net f = Conv2d(8, 3) >> Flatten >> Linear(3)\np(a|b) = Normal(f(b), 1)",
        "a : real[3]\nb : real[1, 8, 8]\nnet f = Conv2d(8, 3) >> Flatten >> Linear(3)\np(a|b) = Normal(f(b), 1)",
    ),
    Entry(
        "PGC304",
        "a family cannot score the variable",
        "x : category[3]\np(x) = Bernoulli(0.5)",
        "x : boolean\np(x) = Bernoulli(0.5)",
    ),
    Entry(
        "PGC305",
        "a parameter has the wrong shape",
        "x : real[3]\nz : real[2]\np(x|z) = Normal(z, 1)",
        "x : real[2]\nz : real[2]\np(x|z) = Normal(z, 1)",
    ),
    Entry(
        "PGC306", "a parameter is outside its domain", "x : real\np(x) = Normal(0, -1)", "x : real\np(x) = Normal(0, 1)"
    ),
    Entry("PGC307", "the space of a variable is not known", "p(x|z) = Normal(z, 1)", "z : real\np(x|z) = Normal(z, 1)"),
    Entry(
        "PGC308",
        "this list is not an array",
        "x : real[2]\np(x) = Normal([[0], [0, 1]], 1)",
        "x : real[2]\np(x) = Normal([0, 1], 1)",
    ),
    Entry(
        "PGC309",
        "an index does not fit",
        "x : real\nbuffer m : real[2] = [0, 1]\np(x) = Normal(m[2], 1)",
        "x : real\nbuffer m : real[2] = [0, 1]\np(x) = Normal(m[1], 1)",
    ),
    Entry(
        "PGC310",
        "this is not a size",
        "x : real[D]\np(x) = Normal(0, 1)",
        "const D = 3\nx : real[D]\np(x) = Normal(0, 1)",
    ),
    Entry(
        "PGC311",
        "the number of arguments is wrong",
        "x : real\np(x) = Normal(0, 1, 2)",
        "x : real\np(x) = Normal(0, 1)",
    ),
    Entry("PGC312", "an argument is missing", "x : real\np(x) = Normal(0)", "x : real\np(x) = Normal(0, 1)"),
    Entry(
        "PGC313",
        "arguments exclude each other",
        "x : boolean\np(x) = Bernoulli(probs = 0.5, logits = 0)",
        "x : boolean\np(x) = Bernoulli(probs = 0.5)",
    ),
    Entry(
        "PGC314",
        "results do not match the names bound to them",
        PAIR + "p(a|b) = Normal(m, softplus(s)) where (m, s) = b",
        "a : real[3]\nb : real[6]\np(a|b) = Normal(m, softplus(s)) where (m, s) = b",
    ),
    Entry(
        "PGC315",
        "an initial value does not fit",
        "x : real[3]\nparam m : real[3] = [0, 1]\np(x) = Normal(m, 1)",
        "x : real[3]\nparam m : real[3] = [0, 1, 2]\np(x) = Normal(m, 1)",
    ),
    Entry(
        "PGC316",
        "a family is no base of a flow",
        "x : real[2]\nflow f = AffineCoupling\np(x) = Flow(Bernoulli(0.5), f)",
        "x : real[2]\nflow f = AffineCoupling\np(x) = Flow(Normal(0, 1), f)",
    ),
    Entry(
        "PGC317",
        "a transform does not fit what it is given",
        "x : real\nflow f = AffineCoupling\np(x) = Flow(Normal(0, 1), f)",
        "x : real[2]\nflow f = AffineCoupling\np(x) = Flow(Normal(0, 1), f)",
    ),
)
