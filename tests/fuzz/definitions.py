"""Wrong readings of a formula: each is put into the compiler, and `pgc verify` must fail on a program that has it.

A compiler that reads a formula wrongly emits what it has read, so nothing downstream can notice. Each fault comes with
the formula that tells it.
"""

from dataclasses import dataclass

MODEL = """
x : real[2]
z : real[2]
net f = Linear(2)
net g = Linear(2)
net s = Linear(2) >> Softplus
net d(z) = Linear(3) >> Tanh >> Linear(1)
p(z) = Normal(0.3, 1.5)
p(x|z) = Normal(f(z), 0.7)
q(z|x) = Normal(g(x), s(x) + 0.2)
"""
MIXED = """
x : real[2]
z : real[2]
net g = Linear(2)
net h = Linear(2)
p(z) = Normal(0.3, 1.5)
q_1(z|x) = Normal(g(x), 1)
q_2(z|x) = Normal(h(x), 0.5)
q(z|x) = 0.3 q_1(z|x) + 0.7 q_2(z|x)
"""
DISCRETE = """
x : real[2]
z : one_hot[3]
net f = Linear(2)
net g = Linear(3)
net b = Linear(1)
p(z) = OneHotCategorical(logits = [0.5, 1, 2])
p(x|z) = Normal(f(z), 0.7)
q(z|x) = OneHotCategorical(logits = g(x))
"""
EXACT = """
x : real
k : category[3]
param w : real[3] = [0.2, 0.5, 0.1]
param m : real[3] = [-1, 0, 2]
p(k) = Categorical(logits = w)
p(x|k) = Normal(m[k], 1)
p(x) = sum_k p(x|k) p(k)
p(k|x) = p(x|k) p(k) / p(x)
"""
FORMULAS = {
    "ELBO": (MODEL, "ELBO[p || q]"),
    "IWAE": (MODEL, "IWAE[p || q; samples = 3]"),
    "KL": (MODEL, "KL[q || p]"),
    "CE": (MODEL, "CE[q || p]"),
    "H": (MODEL, "H[q(z|x)]"),
    "Chi2": (MODEL.replace("s(x) + 0.2", "s(x) / 4 + 0.2"), "Chi2[q || p; samples = 3]"),
    "Renyi": (MODEL, "Renyi[q || p; alpha = 0.5, samples = 3]"),
    "JS": (MODEL, "JS[q || p]"),
    "Jeffreys": (MODEL, "Jeffreys[q || p]"),
    "MMD": (MODEL, "MMD[q || p; kernel = imq, width = [0.5, 2]]"),
    "MMD as it is": (MODEL, "MMD[q || p]"),
    "W": (MODEL, "W[q || p; samples = 3]"),
    "SW": (MODEL, "SW[q || p; samples = 2, projections = 4]"),
    "TC": (MODEL, "TC[q(z|x)]"),
    "MI": (MODEL, "MI[q(z|x)]"),
    "JS_d": (MODEL, "JS_d[q(z|x) || p(z)]"),
    "JS_d of data": (MODEL.replace("d(z)", "d(x)"), "JS_d[data || p(x|z) p(z); form = nonsaturating]"),
    "hinge": (MODEL, "JS_d[q(z|x) || p(z); form = hinge]"),
    "KL_d": (MODEL, "KL_d[q(z|x) || p(z)]"),
    "W_d": (MODEL.replace("d(z)", "d"), "W_d[q(z|x) || p(z); penalty = 3]"),
    "W_d without penalty": (MODEL.replace("d(z)", "d"), "W_d[q(z|x) || p(z)]"),
    "KL of a mixture": (MIXED, "KL[q || p]"),
    "H of a mixture": (MIXED, "H[q(z|x)]"),
    "bare names": (MODEL, "E_q[log p] - KL[q || p]"),
    "log of a quotient": (MODEL, "E_q[log(p(x,z) / q(z|x))]"),
    "log of a mean": (MODEL, "log E_{q; samples = 3}[p(x,z) / q(z|x)]"),
    "product": (MODEL, "E_q[z[0] + 1] * E_q[z[1]^3 + z[0]]"),
    "power": (MODEL, "E_{q; samples = 2}[tanh(z[0])]^2"),
    "samples": (MODEL, "E_{q; samples = 3}[tanh(log p)]"),
    "batch": (MODEL, "log mean(exp(E_q[log p(x|z)])) - detach(KL[q || p])"),
    "relaxed": (DISCRETE, "E_{q; relax = gumbel(temperature = 0.9)}[log p(x|z)]"),
    "score function": (DISCRETE, "ELBO[p || q; samples = 2]"),
    "baseline": (DISCRETE, "E_{q; samples = 2, grad = score, baseline = b(x)[0]}[log p(x|z)]"),
    "baseline of a path": (MODEL + "net b = Linear(1)\n", "E_{q; grad = score, baseline = b(x)[0]}[log p]"),
    "posterior": (EXACT, "E_{detach p(k|x)}[log p(x|k) p(k)]"),
    "KL of a posterior": (EXACT, "KL[p(k|x) || p(k)]"),
}


def program(name: str) -> str:
    """The program of a formula, which it maximises, and another objective that names it."""
    model, formula = FORMULAS[name]
    return f"{model}\nvalue = {formula}\ntwice = 2 * value - 1\nmaximize value using SGD(lr = 0.1)\n"


@dataclass(frozen=True)
class Misreading:
    """A fault put into the compiler.

    Args:
        what: the fault.
        formula: the formula that tells it.
        file: where, below `pgcompile/`.
        right: the text that is replaced; it must stand there once.
        wrong: what replaces it.
    """

    what: str
    formula: str
    file: str
    right: str
    wrong: str


def _defined(what: str, formula: str, word: str, right: str, wrong: str) -> Misreading:
    """A functional of the vocabulary whose file states something else."""
    return Misreading(what, formula, f"vocabulary/functionals/{word}.py", right, wrong)


# What the files of the vocabulary state: definitions, and the settings that hold where a formula gives none. How many
# directions SW takes is not among them: its mean is the same for every number.
DEFINITIONS = [
    _defined("the sides of the ratio of ELBO", "ELBO", "elbo", "Log(LEFT) - Log(RIGHT)", "Log(RIGHT) - Log(LEFT)"),
    _defined("ELBO without its entropy", "ELBO", "elbo", "Log(LEFT) - Log(RIGHT)", "Log(LEFT)"),
    _defined("the sides of the ratio of IWAE", "IWAE", "iwae", "LEFT / RIGHT", "RIGHT / LEFT"),
    _defined(
        "IWAE as a mean of logarithms",
        "IWAE",
        "iwae",
        "Log(Mean(RIGHT, LEFT / RIGHT))",
        "Mean(RIGHT, Log(LEFT) - Log(RIGHT))",
    ),
    _defined(
        "IWAE without its logarithm", "IWAE", "iwae", "Log(Mean(RIGHT, LEFT / RIGHT))", "Mean(RIGHT, LEFT / RIGHT)"
    ),
    _defined(
        "the sides of KL",
        "KL",
        "kl",
        "Mean(LEFT, Log(LEFT) - Log(RIGHT))",
        "Mean(RIGHT, Log(RIGHT) - Log(LEFT))",
    ),
    _defined("the sides of the log-ratio of KL", "KL", "kl", "Log(LEFT) - Log(RIGHT)", "Log(RIGHT) - Log(LEFT)"),
    _defined("the side over which KL averages", "KL", "kl", "Mean(LEFT, ", "Mean(RIGHT, "),
    _defined("CE for KL", "KL", "kl", "Log(LEFT) - Log(RIGHT)", "-Log(RIGHT)"),
    _defined("the sign of KL of a mixture", "KL of a mixture", "kl", "Log(LEFT) - Log", "-Log(LEFT) - Log"),
    _defined("the sides of CE", "CE", "ce", "Mean(LEFT, -Log(RIGHT))", "Mean(RIGHT, -Log(LEFT))"),
    _defined("CE of the side that is drawn", "CE", "ce", "-Log(RIGHT)", "-Log(LEFT)"),
    _defined("the sign of CE", "CE", "ce", "-Log(RIGHT)", "Log(RIGHT)"),
    _defined("KL for CE", "CE", "ce", "-Log(RIGHT)", "Log(LEFT) - Log(RIGHT)"),
    _defined("the sign of H", "H", "h", "-Log(LEFT)", "Log(LEFT)"),
    _defined("the sign of H of a mixture", "H of a mixture", "h", "-Log(LEFT)", "Log(LEFT)"),
    _defined("the sides of Chi2", "Chi2", "chi2", "LEFT / RIGHT", "RIGHT / LEFT"),
    _defined("the side over which Chi2 averages", "Chi2", "chi2", "Mean(LEFT, ", "Mean(RIGHT, "),
    _defined("the sign of the one in Chi2", "Chi2", "chi2", "RIGHT) - 1", "RIGHT) + 1"),
    _defined("the sides of Renyi", "Renyi", "renyi", "LEFT / RIGHT", "RIGHT / LEFT"),
    _defined("alpha of Renyi off by one inside", "Renyi", "renyi", '** (Option("alpha") - 1)', '** Option("alpha")'),
    _defined("alpha of Renyi off by one outside", "Renyi", "renyi", '/ (Option("alpha") - 1)', '/ Option("alpha")'),
    _defined("the sides of JS", "JS", "js", "Mean(LEFT, Log(LEFT)", "Mean(LEFT, Log(RIGHT)"),
    _defined("the sign of the middle in JS", "JS", "js", "Log(LEFT) - Log(_HALFWAY)", "Log(LEFT) + Log(_HALFWAY)"),
    _defined("the halves of JS", "JS", "js", "Log(_HALFWAY)) / 2 +", "Log(_HALFWAY)) +"),
    _defined("a middle of JS twice as large", "JS", "js", "LEFT / 2 + RIGHT / 2", "LEFT + RIGHT"),
    _defined(
        "Jeffreys as KL twice",
        "Jeffreys",
        "jeffreys",
        "Mean(RIGHT, Log(RIGHT) - Log(LEFT))",
        "Mean(LEFT, Log(LEFT) - Log(RIGHT))",
    ),
    _defined("the sign in Jeffreys", "Jeffreys", "jeffreys", " + Mean(RIGHT", " - Mean(RIGHT"),
    _defined("the kernel of MMD", "MMD as it is", "mmd", 'default="gaussian"', 'default="imq"'),
    _defined("the width of MMD", "MMD as it is", "mmd", "default=()", "default=(Fraction(3),)"),
    _defined("the form of JS_d", "JS_d", "js_d", 'default="saturating"', 'default="hinge"'),
    _defined("the penalty of W_d", "W_d without penalty", "w_d", "default=Fraction(0)", "default=Fraction(1)"),
]

EXPECTATIONS = "objective/functionals/expectations.py"
SAMPLES = "objective/functionals/samples.py"
BATCH = "objective/functionals/batch.py"
SIDES = "objective/functionals/sides.py"
CRITICS = "objective/adversarial.py"
RESOLVE = "objective/resolve.py"
_MEAN_OF_DRAWS = "terms.Expectation(drawn[0], inner, use.expr.span)"
_TIMES = "terms.Constant(Fraction(drawn[0].samples))"
MISREADINGS = [
    *DEFINITIONS,
    Misreading(
        "the sides of a functional",
        "KL",
        SIDES,
        "is None else {LEFT: left, RIGHT: right}",
        "is None else {LEFT: right, RIGHT: left}",
    ),
    Misreading(
        "the side over which a mean is",
        "Chi2",
        EXPECTATIONS,
        "over = use.sides[formula.over]",
        "over = use.sides[RIGHT if formula.over == LEFT else LEFT]",
    ),
    Misreading(
        "the side over which a mean inside a logarithm is",
        "Renyi",
        EXPECTATIONS,
        "over = use.sides[side]",
        "over = use.sides[RIGHT if side == LEFT else LEFT]",
    ),
    Misreading(
        "the sides of a ratio of densities",
        "IWAE",
        EXPECTATIONS,
        "((1, Log(top)), (-1, Log(bottom)))",
        "((-1, Log(top)), (1, Log(bottom)))",
    ),
    Misreading(
        "a ratio of densities as their product",
        "Chi2",
        EXPECTATIONS,
        "((1, Log(top)), (-1, Log(bottom)))",
        "((1, Log(top)), (1, Log(bottom)))",
    ),
    Misreading(
        "the sides of a divergence",
        "KL",
        EXPECTATIONS,
        "body = None if drawn is None else self._value(use, formula.body, drawn[1])",
        "body = None if drawn is None else self._value(use, swapped(formula.body), drawn[1])",
    ),
    Misreading(
        "the sides of a cross-entropy",
        "CE",
        EXPECTATIONS,
        "body = None if drawn is None else self._value(use, formula.body, drawn[1])",
        "body = None if drawn is None else self._value(use, swapped(formula.body), drawn[1])",
    ),
    Misreading(
        "signs of a definition",
        "Jeffreys",
        EXPECTATIONS,
        "found.append((sign, value))",
        "found.append((1, value))",
    ),
    Misreading(
        "a mean inside a logarithm as a sum",
        "IWAE",
        EXPECTATIONS,
        _MEAN_OF_DRAWS,
        f"terms.Multiply(({_TIMES}, {_MEAN_OF_DRAWS}))",
    ),
    Misreading(
        "a logarithm inside the mean",
        "IWAE",
        EXPECTATIONS,
        _MEAN_OF_DRAWS,
        'terms.Apply("exp", (terms.Expectation(drawn[0], terms.Apply("log", (inner,)), use.expr.span),))',
    ),
    Misreading(
        "a power of a density ignored",
        "Renyi",
        EXPECTATIONS,
        "terms.Multiply((terms.Constant(power), log))",
        "log",
    ),
    Misreading(
        "a divisor that multiplies",
        "JS",
        EXPECTATIONS,
        "terms.Constant(1 / divisor)",
        "terms.Constant(divisor)",
    ),
    Misreading(
        "options of a divergence ignored",
        "Chi2",
        EXPECTATIONS,
        "        if expr.options:\n            return options",
        "        if expr.options:\n            return None, PATHWISE",
    ),
    Misreading(
        "samples of a mean inside a logarithm ignored",
        "IWAE",
        EXPECTATIONS,
        "over, samples, estimator, use.env",
        "over, 2, estimator, use.env",
    ),
    Misreading(
        "width of MMD ignored",
        "MMD",
        SAMPLES,
        "tuple(map(float, widths)) if",
        "() if",
    ),
    Misreading(
        "kernel of MMD ignored",
        "MMD",
        SAMPLES,
        "kernel if isinstance(kernel, str)",
        '"gaussian" if isinstance(kernel, str)',
    ),
    Misreading(
        "samples of a discrepancy ignored",
        "SW",
        SAMPLES,
        "side, samples, how, env",
        "side, None, how, env",
    ),
    Misreading(
        "samples of paired draws ignored",
        "W",
        SAMPLES,
        "side, samples, how, env",
        "side, None, how, env",
    ),
    Misreading(
        "TC for MI",
        "MI",
        BATCH,
        "terms.Aggregate(expr.kind, ",
        'terms.Aggregate("TC", ',
    ),
    Misreading(
        "MI for TC",
        "TC",
        BATCH,
        "terms.Aggregate(expr.kind, ",
        'terms.Aggregate("MI", ',
    ),
    Misreading(
        "the sides of JS_d",
        "JS_d",
        CRITICS,
        "((left, tree.Negative(critic, span=expr.span)), (right, critic))",
        "((right, tree.Negative(critic, span=expr.span)), (left, critic))",
    ),
    Misreading(
        "the side that is generated",
        "JS_d of data",
        CRITICS,
        "taken = (critic, tree.Negative(critic, span=expr.span))",
        "taken = (tree.Negative(critic, span=expr.span), critic)",
    ),
    Misreading(
        "the margin of the hinge",
        "hinge",
        CRITICS,
        'mean(left, _apply("relu", _one(critic, -1, expr), expr))',
        'mean(left, _apply("relu", _one(critic, 1, expr), expr))',
    ),
    Misreading(
        "the sides of KL_d",
        "KL_d",
        CRITICS,
        "_sum((1, mean(left, critic)), (1, mean(right, None)))",
        "_sum((1, mean(right, critic)), (1, mean(left, None)))",
    ),
    Misreading(
        "the sides of W_d",
        "W_d",
        CRITICS,
        "_sum((1, mean(left, critic)), (-1, mean(right, critic)))",
        "_sum((-1, mean(left, critic)), (1, mean(right, critic)))",
    ),
    Misreading(
        "the sign of the penalty of W_d",
        "W_d",
        CRITICS,
        "terms.Add(((1, total), (-1, weighed)))",
        "terms.Add(((1, total), (1, weighed)))",
    ),
    Misreading(
        "a bare p that keeps what the KL counts",
        "bare names",
        "objective/densities.py",
        "if rest and len(rest) < len(found.atoms):",
        "if False and len(rest) < len(found.atoms):",
    ),
    Misreading(
        "the sign of the log of a quotient",
        "log of a quotient",
        "objective/densities.py",
        "terms.Add(((1, top), (-1, bottom)))",
        "terms.Add(((1, top), (1, bottom)))",
    ),
    Misreading(
        "signs of a sum",
        "bare names",
        RESOLVE,
        "terms.Add(tuple((s, t) for s, t in found if t is not None))",
        "terms.Add(tuple((1, t) for s, t in found if t is not None))",
    ),
    Misreading(
        "factors of a product that share a draw",
        "product",
        "objective/arithmetic.py",
        "term = whole.term(factor, env, context.apart_from(found))",
        "term = whole.term(factor, env, context)",
    ),
    Misreading(
        "a power of an estimate",
        "power",
        RESOLVE,
        "return product(self, (base,) * int(text), env, context)",
        "return terms.Raise(self.term(base, env, context), terms.Constant(Fraction(text)))",
    ),
    Misreading(
        "samples of an expectation ignored",
        "samples",
        "objective/draws.py",
        "    samples, estimator = options\n",
        "    samples, estimator = None, options[1]\n",
    ),
    Misreading(
        "the temperature of a relaxation ignored",
        "relaxed",
        "objective/options.py",
        "return name, float(value)",
        "return name, 0.5",
    ),
    Misreading(
        "detach of a posterior ignored",
        "posterior",
        "objective/draws.py",
        "estimator = replace(estimator, detached=True)",
        "estimator = replace(estimator, detached=False)",
    ),
    Misreading(
        "the sign of a baseline",
        "baseline",
        "plan/lower/objectives.py",
        'advantage = build.binary("sub", value, build.unary("detach", self.lower(baseline[0])))',
        'advantage = build.binary("add", value, build.unary("detach", self.lower(baseline[0])))',
    ),
    Misreading(
        "a baseline that is left out",
        "baseline of a path",
        "plan/lower/objectives.py",
        'advantage = build.binary("sub", value, build.unary("detach", self.lower(baseline[0])))',
        "advantage = value",
    ),
]
