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
    "W": (MODEL, "W[q || p]"),
    "SW": (MODEL, "SW[q || p; samples = 2, projections = 4]"),
    "TC": (MODEL, "TC[q(z|x)]"),
    "MI": (MODEL, "MI[q(z|x)]"),
    "JS_d": (MODEL, "JS_d[q(z|x) || p(z)]"),
    "JS_d of data": (MODEL.replace("d(z)", "d(x)"), "JS_d[data || p(x|z) p(z); form = nonsaturating]"),
    "hinge": (MODEL, "JS_d[q(z|x) || p(z); form = hinge]"),
    "KL_d": (MODEL, "KL_d[q(z|x) || p(z)]"),
    "W_d": (MODEL.replace("d(z)", "d"), "W_d[q(z|x) || p(z); penalty = 3]"),
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


FUNCTIONALS = "objective/functionals.py"
CRITICS = "objective/adversarial.py"
RESOLVE = "objective/resolve.py"
_LOG_MEAN = 'terms.Apply("log", (terms.Expectation(draw, terms.Apply("exp", (body,)), span),))'
_SIDES = "return self._divergence(expr.kind, expr, left, right, env, context)"
_DIVERGENCE = "terms.Divergence(kind, drawn[0], drop_barren(left), drop_barren(right), env, label, expr.span)"
_TIMES = "terms.Multiply((terms.Constant(Fraction(draw.samples)), terms.Expectation("
MISREADINGS = [
    Misreading(
        "the sides of the ratio of ELBO",
        "ELBO",
        FUNCTIONALS,
        "lambda inner: self._log_ratio(p, q, inner, expr.span)",
        "lambda inner: self._log_ratio(q, p, inner, expr.span)",
    ),
    Misreading(
        "the sides of the ratio of IWAE",
        "IWAE",
        FUNCTIONALS,
        "_log_mean_exp(draw, self._log_ratio(p, q, inner, expr.span), expr.span)",
        "_log_mean_exp(draw, self._log_ratio(q, p, inner, expr.span), expr.span)",
    ),
    Misreading("IWAE as a mean of logarithms", "IWAE", FUNCTIONALS, _LOG_MEAN, "terms.Expectation(draw, body, span)"),
    Misreading(
        "IWAE as a sum without its mean",
        "IWAE",
        FUNCTIONALS,
        _LOG_MEAN,
        f'terms.Apply("log", ({_TIMES}draw, terms.Apply("exp", (body,)), span))),))',
    ),
    Misreading("the sides of KL", "KL", FUNCTIONALS, _SIDES, _SIDES.replace("left, right", "right, left")),
    Misreading("the sides of CE", "CE", FUNCTIONALS, _SIDES, _SIDES.replace("left, right", "right, left")),
    Misreading(
        "the sides of the log-ratio of KL",
        "KL",
        FUNCTIONALS,
        _DIVERGENCE,
        _DIVERGENCE.replace("drop_barren(left), drop_barren(right)", "drop_barren(right), drop_barren(left)"),
    ),
    Misreading(
        "CE of the side that is drawn",
        "CE",
        FUNCTIONALS,
        _DIVERGENCE,
        _DIVERGENCE.replace("drop_barren(right)", "drop_barren(left)"),
    ),
    Misreading("KL for CE", "CE", FUNCTIONALS, _SIDES, _SIDES.replace("expr.kind, expr", '"KL", expr')),
    Misreading("CE for KL", "KL", FUNCTIONALS, _SIDES, _SIDES.replace("expr.kind, expr", '"CE", expr')),
    Misreading(
        "the sides of Chi2",
        "Chi2",
        FUNCTIONALS,
        'ratio = terms.Apply("exp", (self._log_ratio(left, right, inner, expr.span),))',
        'ratio = terms.Apply("exp", (self._log_ratio(right, left, inner, expr.span),))',
    ),
    Misreading(
        "the sign of the one in Chi2",
        "Chi2",
        FUNCTIONALS,
        "(-1, terms.Constant(Fraction(1)))",
        "(1, terms.Constant(Fraction(1)))",
    ),
    Misreading(
        "the sides of Renyi",
        "Renyi",
        FUNCTIONALS,
        "(terms.Constant(alpha - 1), self._log_ratio(left, right, inner, expr.span))",
        "(terms.Constant(alpha - 1), self._log_ratio(right, left, inner, expr.span))",
    ),
    Misreading(
        "alpha of Renyi off by one inside",
        "Renyi",
        FUNCTIONALS,
        "(terms.Constant(alpha - 1), self._log_ratio",
        "(terms.Constant(alpha), self._log_ratio",
    ),
    Misreading(
        "alpha of Renyi off by one outside",
        "Renyi",
        FUNCTIONALS,
        "terms.Constant(1 / (alpha - 1))",
        "terms.Constant(1 / alpha)",
    ),
    Misreading(
        "the sides of JS",
        "JS",
        FUNCTIONALS,
        "own = densities[0] if side is left else densities[1]",
        "own = densities[1] if side is left else densities[0]",
    ),
    Misreading(
        "the sign of the middle in JS",
        "JS",
        FUNCTIONALS,
        "body = terms.Add(((1, own), (-1, mixture)))",
        "body = terms.Add(((1, own), (1, mixture)))",
    ),
    Misreading(
        "the halves of JS",
        "JS",
        FUNCTIONALS,
        "half = terms.Constant(Fraction(1, 2))",
        "half = terms.Constant(Fraction(1))",
    ),
    Misreading(
        "Jeffreys as KL twice",
        "Jeffreys",
        FUNCTIONALS,
        'back = self._divergence("KL", expr, right, left, env, context)',
        'back = self._divergence("KL", expr, left, right, env, context)',
    ),
    Misreading(
        "the sign in Jeffreys",
        "Jeffreys",
        FUNCTIONALS,
        "terms.Add(((1, there), (1, back)))",
        "terms.Add(((1, there), (-1, back)))",
    ),
    Misreading(
        "the sign of KL of a mixture",
        "KL of a mixture",
        FUNCTIONALS,
        '(1 if kind == "KL" else -1, own)',
        '(-1 if kind == "KL" else -1, own)',
    ),
    Misreading(
        "the sign of H of a mixture",
        "H of a mixture",
        FUNCTIONALS,
        '(1 if kind == "KL" else -1, own)',
        "(1, own)",
    ),
    Misreading(
        "options of a divergence ignored",
        "Chi2",
        FUNCTIONALS,
        "        if options is None or expr.options:\n            return options",
        "        if options is not None and expr.options:\n            return None, PATHWISE\n"
        "        if options is None:\n            return options",
    ),
    Misreading(
        "width of MMD ignored",
        "MMD",
        FUNCTIONALS,
        "terms.Settings(kernel, widths, projections), rest",
        "terms.Settings(kernel, (), projections), rest",
    ),
    Misreading(
        "kernel of MMD ignored",
        "MMD",
        FUNCTIONALS,
        "terms.Settings(kernel, widths, projections), rest",
        "terms.Settings(KERNELS[0], widths, projections), rest",
    ),
    Misreading(
        "samples of a discrepancy ignored",
        "SW",
        FUNCTIONALS,
        "draws.append(self.whole.draw(side, samples, how, env, context, expr.span))",
        "draws.append(self.whole.draw(side, None, how, env, context, expr.span))",
    ),
    Misreading(
        "TC for MI",
        "MI",
        FUNCTIONALS,
        "terms.Aggregate(expr.kind, ",
        'terms.Aggregate("TC", ',
    ),
    Misreading(
        "MI for TC",
        "TC",
        FUNCTIONALS,
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
        "taken = critic if generated is left else",
        "taken = critic if generated is right else",
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
        RESOLVE,
        "if rest and len(rest) < len(found.atoms):",
        "if False and len(rest) < len(found.atoms):",
    ),
    Misreading(
        "the sign of the log of a quotient",
        "log of a quotient",
        RESOLVE,
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
        RESOLVE,
        "term = self.term(factor, env, context.apart_from(found))",
        "term = self.term(factor, env, context)",
    ),
    Misreading(
        "a power of an estimate",
        "power",
        RESOLVE,
        "return self._product((base,) * int(text), env, context)",
        "return terms.Raise(self.term(base, env, context), terms.Constant(Fraction(text)))",
    ),
    Misreading(
        "samples of an expectation ignored",
        "samples",
        RESOLVE,
        "        samples, estimator = options\n",
        "        samples, estimator = None, options[1]\n",
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
        RESOLVE,
        "estimator = replace(estimator, detached=True)",
        "estimator = replace(estimator, detached=False)",
    ),
    Misreading(
        "the sign of a baseline",
        "baseline",
        "plan/objectives.py",
        'advantage = build.binary("sub", value, build.unary("detach", self._lower(baseline[0])))',
        'advantage = build.binary("add", value, build.unary("detach", self._lower(baseline[0])))',
    ),
    Misreading(
        "a baseline that is left out",
        "baseline of a path",
        "plan/objectives.py",
        'advantage = build.binary("sub", value, build.unary("detach", self._lower(baseline[0])))',
        "advantage = value",
    ),
]
