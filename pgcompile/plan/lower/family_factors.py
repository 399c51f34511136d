"""Factors of a family: their parameters, log-densities and draws, from the formulas of the family."""

from fractions import Fraction
from math import prod
from typing import TYPE_CHECKING

from sympy import Add, Expr, Symbol

from pgcompile.diagnostics import InternalError
from pgcompile.model.factors import FactorInstance, FamilyUse
from pgcompile.model.literals import evaluate, flatten
from pgcompile.model.names import density_name
from pgcompile.objective.terms import Env
from pgcompile.plan.builder import in_order, merge_axes
from pgcompile.plan.expansion import expand_full, standard_noise
from pgcompile.plan.lower.expressions import ExpressionLowering
from pgcompile.plan.lower.formulas import FormulaLowering
from pgcompile.plan.lower.requests import DrawRequest
from pgcompile.plan.meaning import meaning, times
from pgcompile.plan.origin import origin_of
from pgcompile.plan.values import Axis, Value
from pgcompile.syntax import tree
from pgcompile.vocabulary.family import Parameter
from pgcompile.vocabulary.symbols import DIM, X

if TYPE_CHECKING:
    from pgcompile.plan.lower.environment import FactorLowering


def parameter_value(
    lowering: "FactorLowering",
    expressions: ExpressionLowering,
    use: FamilyUse,
    parameter: Parameter,
    expr: tree.Expr,
    target: str,
) -> Value:
    literal = evaluate(expr, lowering.model.constants)
    if literal is None or (isinstance(literal, Fraction) and parameter.rank == 0):
        value = expressions.number(expr)
        simplex = parameter.constraint == "simplex" and use.types[parameter.name].space.kind not in (
            "simplex",
            "one_hot",
        )
        return normalised(lowering, value) if simplex else value
    shape = lowering.model.spaces[target].shape
    numbers = [float(x) for x in flatten(literal)]
    wide = table_shape(use, parameter, shape, lowering.model.spaces[target].categories)
    own = wide[len(wide) - max(parameter.rank, len(use.types[parameter.name].shape)) :]
    if isinstance(literal, Fraction):
        numbers = numbers * prod(own)
    if parameter.constraint == "simplex":
        width = own[-1]
        rows = [numbers[i : i + width] for i in range(0, len(numbers), width)]
        numbers = [x / sum(row) for row in rows for x in row]
    # Every element of the variable has the same table: written out, so that dimensions need no lining up.
    table = tuple(numbers * (prod(wide) // prod(own)))
    return lowering.builder.attribute(lowering.tensors.constant(table, wide), wide, table)


def table_shape(use: FamilyUse, parameter: Parameter, shape: tuple[int, ...], width: int | None) -> tuple[int, ...]:
    """The shape of a literal parameter that every element of a variable has for itself."""
    own = use.types[parameter.name].shape
    if use.family.index_valued and parameter.rank == 1:
        return (*shape, own[-1] if own else width or 1)
    if parameter.rank == 2 and use.family.event_rank == 2:
        return shape
    if parameter.rank == 2:
        return (*shape, own[-1] if parameter.wide else shape[-1])
    return shape


def normalised(lowering: "FactorLowering", probs: Value) -> Value:
    """Probabilities that are not known to sum to one are divided by their sum, as torch does."""
    total = lowering.builder.make("sum_keep", (probs,), shape=(*probs.shape[:-1], 1))
    return lowering.builder.binary("div", probs, total)


def summed(lowering: "FactorLowering", formula: FormulaLowering, expr: Expr, lead: tuple[int, ...]) -> Value:
    """A density's formula summed over independent elements; its constant is counted once, outside the sum."""
    build = lowering.builder
    if formula.dim is not None:
        expr = expr.subs(DIM, formula.dim)
    if expr not in lowering.constants:
        constant = Add(*(term for term in Add.make_args(expr) if term.is_number))
        number = float(constant.evalf(25))
        lowering.constants[expr] = (expr - constant, number, meaning(-constant if number < 0 else constant))
    rest, number, text = lowering.constants[expr]
    value = formula.lower(rest)
    total = reduced(lowering, value, lead)
    number *= prod(lead)
    if number == 0:
        return total
    return build.binary("add" if number > 0 else "sub", total, build.constant(abs(number), times(prod(lead), text)))


def reduced(lowering: "FactorLowering", value: Value, lead: tuple[int, ...]) -> Value:
    """Sum over independent elements; a sign or a factor is taken out of the sum."""
    build = lowering.builder
    if not lead:
        return value
    if value.op == "neg":
        return build.unary("neg", reduced(lowering, value.args[0], lead))
    if value.op == "mul" and value.args[0].constant is not None:
        return build.binary("mul", value.args[0], reduced(lowering, value.args[1], lead))
    if value.op == "bernoulli_log_prob" and value.shape == lead:
        return build.make("bernoulli_log_prob", value.args, (len(lead),))
    return build.sum_to_scalar(value, lead)


def from_noise(
    lowering: "FactorLowering",
    expr: Expr,
    atom: FactorInstance,
    bindings: dict[Symbol, Value],
    axes: tuple[Axis, ...],
    identity: object,
) -> Value:
    """A draw's formula; its noise has the dimensions of the variable."""
    build = lowering.builder
    everything = merge_axes(tuple(bindings.values()))
    wanted = in_order((*everything, *axes))
    shape = lowering.shape(atom)
    like = next((v for v in bindings.values() if build.is_full(v, shape, wanted)), None)

    def noise(head: str, args: tuple[Expr, ...], formula: FormulaLowering) -> Value:
        fresh = (identity, head, str(args))
        kinds = {"StandardNormal": "randn", "StandardUniform": "rand", "StandardExponential": "exponential"}
        if head in kinds:
            return standard_noise(build, kinds[head], shape, wanted, list(bindings.values()), fresh)
        if head == "StandardGammaOfRow":
            row = expand_full(build, formula.lower(args[0]), shape[:-1], wanted, None)
            return build.make("standard_gamma", (row,), shape=shape[:-1], fresh=fresh)
        if head == "StandardNormalFor":
            columns = (*shape[:-1], formula.lower(args[0]).shape[-1])
            return standard_noise(build, "randn", columns, wanted, list(bindings.values()), fresh)
        # A second argument of a gamma only tells two draws apart.
        taken = args[:1] if head == "StandardGamma" else args
        values = [formula.lower(arg) for arg in taken]
        return noise_of(lowering, head, values, shape, wanted, like, fresh)

    return FormulaLowering(build, bindings, lowering.width(atom), noise).lower(expr)


def noise_of(
    lowering: "FactorLowering",
    head: str,
    values: list[Value],
    shape: tuple[int, ...],
    axes: tuple[Axis, ...],
    like: Value | None,
    fresh: object,
) -> Value:
    """Draws that take their parameters directly."""
    build = lowering.builder
    match head:
        case "CategoryDraw":
            # The value is an index: the logits have one dimension more. For a one-hot value they have the same.
            logits = values[0]
            lead = logits.shape[:-1]
            full = expand_full(build, logits, logits.shape, axes, None)
            return build.make("category", (full,), shape=lead, fresh=fresh)
        case "MultinomialDraw":
            count, logits = values
            full = expand_full(build, logits, shape, axes, like)
            if count.constant is None:
                numbers = expand_full(build, count, shape[:-1], axes, None)
                return build.make("counts", (full, numbers), shape=shape, fresh=fresh)
            return build.make("multinomial", (full,), (int(count.constant or 0),), shape=shape, fresh=fresh)
        case "SphereLackDraw":
            concentration = expand_full(build, values[0], shape[:-1], axes, None)
            lack = build.make("sphere_lack", (concentration,), (shape[-1],), shape=shape[:-1], fresh=fresh)
            return build.make("special", (lack, concentration), ("sphere_lack", shape[-1]), shape=shape[:-1])
        case "ContinuousBernoulliDraw":
            logits, uniform = values
            logits, uniform = build.align(build.tensor(logits), uniform)
            return build.make("special", (logits, uniform), ("continuous_bernoulli_draw",), shape=uniform.shape)
        case _:
            ops = {
                "StandardGamma": "standard_gamma",
                "BernoulliDraw": "bernoulli",
                "PoissonDraw": "poisson",
                "BinomialDraw": "binomial",
                "VonMisesDraw": "von_mises",
            }
            full_values = tuple(expand_full(build, v, shape, axes, like) for v in values)
            return build.make(ops[head], full_values, shape=shape, fresh=fresh)


def log_density_of_family(
    lowering: "FactorLowering",
    atom: FactorInstance,
    env: Env,
    *,
    detached: bool = False,
    within: str | None = None,
    by_entry: bool = False,
    of: str = "observed",
) -> Value:
    """log of a factor of a family, summed over its event shape.

    Args:
        lowering: the method.
        atom: the factor.
        env: the values of its variables.
        detached: whether gradients are kept from its parameters.
        within: the formula that it is a part of, if it has no name of its own.
        by_entry: whether its entries stay apart.
        of: `cdf` or `survival` for the logarithm of that probability; any other for the log-density.
    """
    build = lowering.builder
    facts, _ = lowering.facts(atom)
    bindings = lowering.bindings(atom, env)
    if detached:
        bindings = {s: v if v.constant is not None else build.unary("detach", v) for s, v in bindings.items()}
    x = lowering.variable(atom.targets[0], env)
    with build.section(within or f"log {atom.label}", origin_of(atom)):
        formula = FormulaLowering(build, {**bindings, X: x}, lowering.width(atom))
        lead = () if by_entry else lowering.independent_shape(atom)
        scored = {"cdf": facts.log_cdf, "survival": facts.log_survival}.get(of, facts.log_density)
        if scored is None:
            raise InternalError(f"no formula of the {of} of {atom.label}")
        total = summed(lowering, formula, scored, lead)
        if by_entry:
            total = build.raise_rank(build.tensor(total), len(lowering.independent_shape(atom)))
        if x.batched and not total.batched and not by_entry:
            total = expand_full(build, build.tensor(total), (), x.axes, None)
    return total if within is not None else build.name(total, density_name(atom), materialize=True)


def draw_of_family(lowering: "FactorLowering", atom: FactorInstance, env: Env, request: DrawRequest) -> Value:
    """A draw from a factor of a family, as a formula of noise and its parameters."""
    facts, _ = lowering.facts(atom)
    bindings = lowering.bindings(atom, env)
    with lowering.builder.section(request.comment, origin_of(atom)):
        value = from_noise(lowering, facts.draw, atom, bindings, request.axes, request.identity)
        if value.constant is not None:
            value = expand_full(lowering.builder, value, lowering.shape(atom), request.axes, None)
    return lowering.builder.name(value, request.hint or str(atom.targets[0]), materialize=True)
