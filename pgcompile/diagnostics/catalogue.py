"""Every code of the product: what it means, a program that gets it and the same program mended.

`docs/diagnostics.md` is made from this table, and a test compiles every example: the wrong one gives exactly its code,
the right one none.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Entry:
    """One code.

    Args:
        code: such as `PGC203`.
        title: what is wrong, in a few words.
        wrong: a program that gets this code and no other error or warning.
        right: the mended program, which gets neither.
        compiled: whether the code is found while compiling rather than while checking.
    """

    code: str
    title: str
    wrong: str
    right: str
    compiled: bool = False


_LADDER = (
    "x : real[3]\na, b : real[2]\nnet enc = Linear(2)\nnet dec = Linear(3)\n"
    "p(b) = Normal(0, 1)\np(a|b) = Normal(b, 1)\np(x|a) = Normal(dec(a), 1)\n"
)
_VAE = """x : boolean[784]
z : real[64]
net enc = Linear(64)
net dec = Linear(784)
p(z)   = Normal(0, 1)
p(x|z) = Bernoulli(logits = dec(z))
q(z|x) = Normal(enc(x), 1)
"""
_GAN = """x, z : real[2]
net g = Linear(2)
net d = Linear(1)
p(z)   = Normal(0, 1)
p(x|z) = Delta(g(z))
js = JS_d[p(x|z) p(z) || data]
"""
_PAIR = "a, b : real[3]\n"
_DISCRETE = """x : real[3]
b : boolean[64]
net enc = Linear(64)
net dec = Linear(3)
p(b)   = Bernoulli(0.5)
p(x|b) = Normal(dec(b), 1)
q(b|x) = Bernoulli(logits = enc(x))
"""

CATALOGUE: tuple[Entry, ...] = (
    Entry("PGC001", "the program is not text", "p(x) = Normal(0\0, 1)", "x : real\np(x) = Normal(0, 1)"),
    Entry("PGC002", "the program is too large", "# " + "a" * 4_000_000, "p(x|z) p(z)"),
    Entry("PGC003", "brackets are nested too deeply", "y = " + "(" * 120 + "1" + ")" * 120, "p(x|z) p(z)"),
    Entry("PGC004", "the program is empty", "# nothing yet", "p(x|z) p(z)"),
    Entry("PGC005", "a character has no meaning in a formula", "p(x|z) p(z) ☃", "p(x|z) p(z)"),
    Entry("PGC006", "the statement cannot be read", "p(x|) p(z)", "p(x|z) p(z)"),
    Entry("PGC007", "a bracket is never closed", "p(x|z p(z)", "p(x|z) p(z)"),
    Entry("PGC008", "a bracket closes nothing", "p(x|z)) p(z)", "p(x|z) p(z)"),
    Entry(
        "PGC010",
        "a part of the language that this version does not compile",
        "index t in 1..T",
        "net f = ReLU\nx : real[3]\np(x|z) = Normal(f(z), 1)\nz : real[3]",
    ),
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
        _PAIR + "p(a|b) = Normal(tahn(b), 1)",
        _PAIR + "p(a|b) = Normal(tanh(b), 1)",
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
        _PAIR + "net f = Linear(3) >> Relux\np(a|b) = Normal(f(b), 1)",
        _PAIR + "net f = Linear(3) >> ReLU\np(a|b) = Normal(f(b), 1)",
    ),
    Entry(
        "PGC106",
        "there is no such option",
        _PAIR + "net f = Linear(3, biass = false)\np(a|b) = Normal(f(b), 1)",
        _PAIR + "net f = Linear(3, bias = false)\np(a|b) = Normal(f(b), 1)",
    ),
    Entry(
        "PGC107",
        "a name is declared twice",
        "x : real\nx : real[2]\np(x) = Normal(0, 1)",
        "x : real\np(x) = Normal(0, 1)",
    ),
    Entry("PGC108", "there is no such factor", _VAE + "e = log p(z|x)", _VAE + "e = E_{q(z|x)}[log p(x|z)]"),
    Entry(
        "PGC109",
        "a bare name has more than one reading",
        _VAE + "q(x|z) = Bernoulli(logits = dec(z))\ne = H[q]",
        _VAE + "e = H[q(z|x)]",
    ),
    Entry("PGC110", "there is no such space", "x : reel[3]", "x : real[3]\np(x) = Normal(0, 1)"),
    Entry("PGC111", "this is not a name", "p(x_{a+b}) p(z)", "p(x_{a}) p(z)"),
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
        _PAIR + "p(a) = Normal(b, 1)",
        _PAIR + "p(a|b) = Normal(b, 1)",
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
        _VAE + "e = log ∫ p(x|z) p(z) dz",
        _VAE + "e = ELBO[p(x|z) p(z) || q(z|x)]",
    ),
    Entry(
        "PGC211",
        "a factor has no family",
        "p(x|z) p(z)",
        "x, z : real\np(x|z) = Normal(z, 1)\np(z) = Normal(0, 1)",
        compiled=True,
    ),
    Entry("PGC212", "this is not a factor", _PAIR + "p(2 a) = Normal(0, 1)", _PAIR + "p(a) = Normal(0, 1)"),
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
        _PAIR + "net f = Conv2d(8, 3) >> Flatten >> Linear(3)\np(a|b) = Normal(f(b), 1)",
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
        _PAIR + "p(a|b) = Normal(m, softplus(s)) where (m, s) = b",
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
    Entry(
        "PGC401", "this does not belong here", _PAIR + "p(a|b) = Normal(KL[a || b], 1)", _PAIR + "p(a|b) = Normal(b, 1)"
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
        _VAE.replace("z : real[64]", "z : boolean[64]")
        .replace("Normal(0, 1)", "Bernoulli(0.5)")
        .replace("Normal(enc(x), 1)", "Bernoulli(logits = enc(x))")
        + "e = E_{q(z|x); grad=pathwise}[log p(x|z)]",
        _VAE + "e = E_{q(z|x); grad=pathwise}[log p(x|z)]",
    ),
    Entry(
        "PGC405",
        "a divergence compares different variables",
        _VAE + "e = KL[q(z|x) || p(x|z)]",
        _VAE + "e = KL[q(z|x) || p(z)]",
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
        _VAE + "e = E[log p(x|z)]",
        _VAE + "e = E_{q(z|x)}[log p(x|z)]",
    ),
    Entry(
        "PGC408",
        "an option has a value that means nothing",
        _DISCRETE + "e = E_{q(b|x); grad=reinforce}[log p(x|b)]",
        _DISCRETE + "e = E_{q(b|x); grad=score, samples=4}[log p(x|b)]",
    ),
    Entry(
        "PGC409",
        "this cannot be enumerated or relaxed",
        _DISCRETE + "e = E_{q(b|x); grad=enumerate}[log p(x|b)]",
        _DISCRETE + "e = E_{q(b|x); samples=4}[log p(x|b)]",
    ),
    Entry(
        "PGC410",
        "there is nothing of that name to optimise",
        _VAE + "e = ELBO[p(x|z) p(z) || q(z|x)]\nmaximize e wrt encoder",
        _VAE + "e = ELBO[p(x|z) p(z) || q(z|x)]\nmaximize e wrt enc, dec",
    ),
    Entry(
        "PGC501",
        "there is no such optimiser",
        _VAE + "e = ELBO[p(x|z) p(z) || q(z|x)]\nmaximize e using Adm",
        _VAE + "e = ELBO[p(x|z) p(z) || q(z|x)]\nmaximize e using Adam",
    ),
    Entry(
        "PGC502",
        "the optimiser has no such option",
        _VAE + "e = ELBO[p(x|z) p(z) || q(z|x)]\nmaximize e using Adam(rate = 1)",
        _VAE + "e = ELBO[p(x|z) p(z) || q(z|x)]\nmaximize e using Adam(lr = 1)",
    ),
    Entry(
        "W101",
        "values between 0 and 1 are scored as if they were 0 or 1",
        "x : unit_interval\np(x) = Bernoulli(0.5)",
        "x : unit_interval\np(x) = ContinuousBernoulli(0.4)",
    ),
    Entry(
        "W102",
        "a parameter need not land in its domain",
        _PAIR + "net s = Linear(3)\np(a|b) = Normal(0, s(b))",
        _PAIR + "net s = Linear(3) >> Softplus\np(a|b) = Normal(0, s(b))",
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
        _VAE + "e = E_{q(z|x)}[log p(x|z) p(z) / q(z|x)]",
        _VAE + "e = E_{q(z|x)}[log(p(x|z) p(z) / q(z|x))]",
    ),
    Entry(
        "W106",
        "an expectation averages over nothing",
        _VAE + "e = E_{q(z|x)}[sum(x)] + log p(z)",
        _VAE + "e = E_{q(z|x)}[sum(z)] + log p(z)",
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
        _VAE + "r(z|x) = Normal(enc(x), 2)\ne = ELBO[p(x|z) p(z) || q(z|x)]",
        _VAE + "e = ELBO[p(x|z) p(z) || q(z|x)]",
    ),
    Entry(
        "W109",
        "something learnable is never trained",
        _VAE + "e = ELBO[p(x|z) p(z) || q(z|x)]\nmaximize e wrt enc",
        _VAE + "e = ELBO[p(x|z) p(z) || q(z|x)]\nmaximize e wrt enc, dec",
    ),
    Entry(
        "W110",
        "an objective has the sign of a loss",
        _VAE + "e = log p(x|z) + KL[q(z|x) || p(z)]\nmaximize e",
        _VAE + "e = log p(x|z) - KL[q(z|x) || p(z)]\nmaximize e",
    ),
    Entry(
        "W111",
        "a sample passes through a step",
        _VAE.replace("dec(z)", "dec(round(z))") + "e = ELBO[p(x|z) p(z) || q(z|x)]",
        _VAE + "e = ELBO[p(x|z) p(z) || q(z|x)]",
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
        _LADDER + "q(a|x) = Normal(enc(x), 1)\ne = E_q[log p - log q]\nmaximize e",
        _LADDER + "q(a|x) = Normal(enc(x), 1)\nq(b|a) = Normal(a, 1)\ne = E_q[log p - log q]\nmaximize e",
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
        _VAE + "e = E_{q(z|x)}[p(x|z)] - KL[q(z|x) || p(z)]",
        _VAE + "e = E_{q(z|x)}[log p(x|z)] - KL[q(z|x) || p(z)]",
    ),
    Entry(
        "W117",
        "a divergence of a distribution from itself",
        _VAE + "e = log p(x|z) - KL[q(z|x) || q(z|x)]",
        _VAE + "e = log p(x|z) - KL[q(z|x) || p(z)]",
    ),
    Entry(
        "W118",
        "a divergence with its sides exchanged",
        _VAE + "e = E_{q(z|x)}[log p(x|z)] - KL[p(z) || q(z|x)]",
        _VAE + "e = E_{q(z|x)}[log p(x|z)] - KL[q(z|x) || p(z)]",
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
        _DISCRETE + "e = E_{q(b|x); samples=1}[log p(x|b)]",
        _DISCRETE + "e = E_{q(b|x); samples=4}[log p(x|b)]",
    ),
    Entry(
        "W127",
        "very many values to enumerate",
        _DISCRETE.replace("b : boolean[64]", "b : boolean[14]").replace("(64)", "(14)")
        + "e = E_{q(b|x); grad=enumerate}[log p(x|b)]",
        _DISCRETE + "e = E_{q(b|x); samples=4}[log p(x|b)]",
    ),
    Entry(
        "W128",
        "the logarithm of an average of one draw",
        _VAE + "e = log E_{q(z|x)}[p(x,z) / q(z|x)]",
        _VAE + "e = log E_{q(z|x); samples=50}[p(x,z) / q(z|x)]",
    ),
    Entry(
        "W129",
        "a player is trained for the other side",
        _GAN + "minimize js wrt d\nminimize js wrt g",
        _GAN + "maximize js wrt d\nminimize js wrt g",
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
        _PAIR + "p(a|b) = Normal(0, 1)\np(b) = Normal(0, 1)",
        _PAIR + "p(a|b) = Normal(b, 1)\np(b) = Normal(0, 1)",
    ),
    Entry(
        "W124",
        "a factor that is counted twice",
        _VAE + "e = E_{q(z|x)}[log p(x|z) p(z)] - KL[q(z|x) || p(z)]",
        _VAE + "e = E_{q(z|x)}[log p(x|z)] - KL[q(z|x) || p(z)]",
    ),
    Entry(
        "W125",
        "a comment that allows nothing",
        "x : real\np(x) = Normal(0, 1)  # pgc: allow W999",
        "x : real\np(x) = Normal(0, 1)",
    ),
    Entry(
        "N101",
        "how bare names were read",
        _VAE + "e = E_q[log p] - KL[q || p]",
        _VAE + "e = E_{q(z|x)}[log p(x|z)] - KL[q(z|x) || p(z)]",
    ),
    Entry(
        "N106",
        "how a discrete draw gets its gradient",
        _DISCRETE + "e = E_{q(b|x)}[log p(x|b)]",
        _DISCRETE + "e = E_{q(b|x); samples=4}[log p(x|b)]",
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
        _VAE + "e = E_{q_phi(z|x)}[log p_theta(x|z)]",
        _VAE + "e = E_{q(z|x)}[log p(x|z)]",
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
)
