"""Rewritten objectives as plan values: means over draws, sums over enumerated variables, score-function gradients."""

from math import log

from sympy import Add, Expr, Mul, Symbol

from pgcompile.diagnostics import InternalError
from pgcompile.inference.elimination import states
from pgcompile.model.variable import Variable
from pgcompile.objective.derivation import Rewritten
from pgcompile.objective.leaves import (
    AggregateLeaf,
    ClosedLeaf,
    DiscrepancyLeaf,
    EntriesLeaf,
    Leaf,
    LogDensityLeaf,
    MarginalLeaf,
    NamedLeaf,
    PointwiseLeaf,
    label_of,
)
from pgcompile.objective.terms import Draw
from pgcompile.plan.builder import in_order
from pgcompile.plan.lower.aggregates import aggregate, log_mean_of
from pgcompile.plan.lower.discrepancies import discrepancy
from pgcompile.plan.lower.environment import FactorLowering
from pgcompile.plan.lower.formulas import FormulaLowering
from pgcompile.plan.lower.marginals import log_marginal
from pgcompile.plan.lower.path_scores import PlacedCost, path_scores, scored_along
from pgcompile.plan.lower.places import over_places, path_mean, place_count
from pgcompile.plan.lower.score_functions import bound_surrogate, fitted_baseline, gradient_of, outer_score
from pgcompile.plan.origin import Origin
from pgcompile.plan.values import Axis, AxisKind, Value


class ObjectiveLowering:
    """One rewritten objective in an environment."""

    def __init__(self, lowering: FactorLowering, rewritten: Rewritten) -> None:
        self.lowering = lowering
        self.rewritten = rewritten
        self.values: dict[Symbol, Value] = {}
        self.costs: list[PlacedCost] = []
        self.scored = {variable: draw for draw, variable in scored_along(lowering)}

    def run(self) -> Value:
        """The objective, one number for each data point."""
        value = self.value()
        if value.axes:
            raise InternalError("a draw axis was left in an objective")
        return value

    def value(self) -> Value:
        """The objective where it stands: inside an expectation it has the axes of the draws around it."""
        build = self.lowering.builder
        for symbol, leaf in self.rewritten.leaves.items():
            label = label_of(leaf)
            places = [Origin(span, label) for span in self.rewritten.spans.get(symbol, ())]
            with build.within(*places):
                self.values[symbol] = self._leaf(leaf)
        expr = self._mean_over(self.rewritten.expr)
        value = FormulaLowering(build, self.values).lower(expr)
        if not self.scored:
            return value
        value = path_mean(self.lowering, build.tensor(value))
        apart = {symbol for symbol, leaf in self.rewritten.leaves.items() if isinstance(leaf, NamedLeaf)}
        for zero in path_scores(self, expr, self.costs, apart):
            value = build.binary("add", value, zero)
        return value

    def _leaf(self, leaf: Leaf) -> Value:
        match leaf:
            case LogDensityLeaf(atom, env, detached):
                return self.lowering.log_density(atom, env, detached=detached)
            case EntriesLeaf():
                return self.lowering.score_of_entries(leaf)
            case ClosedLeaf():
                return self.lowering.closed(leaf)
            case PointwiseLeaf(expr, env, densities=densities):
                value = self.lowering.plain(expr, env, dict(densities))
                if not value.rank:
                    return value
                # A baseline may be a net that ends in one unit.
                return self.lowering.builder.make("select", (value,), (value.rank, 0), shape=())
            case NamedLeaf(name, inner):
                value = ObjectiveLowering(self.lowering, inner).value()
                return self.lowering.builder.name(value, name, materialize=True)
            case MarginalLeaf(distribution, env):
                return log_marginal(self.lowering, distribution, env)
            case AggregateLeaf(term):
                return aggregate(self.lowering, term)
            case DiscrepancyLeaf(term):
                return discrepancy(self.lowering, term)

    def _mean_over(self, expr: Expr) -> Expr:
        """Means over draws and over the batch become values of their own, innermost first."""
        if not expr.args:
            return expr
        around = self._samples_of(expr) - self.lowering.inside
        self.lowering.inside |= around
        args = [self._mean_over(arg) for arg in expr.args]
        self.lowering.inside -= around
        name = expr.func.__name__
        build = self.lowering.builder
        if name == "MeanOver":
            return self._as_symbol(expr, self._average(expr.args[0], args[1:]))
        if name == "LogMean":
            return self._as_symbol(expr, self._log_mean(expr.args[0], args[1:], expr.args[1]))
        if name == "OuterScoreTerm":
            return self._as_symbol(expr, outer_score(self, args[1:]))
        if name == "BaselineLoss":
            return self._as_symbol(expr, fitted_baseline(self, expr.args[0], args[1:]))
        if name == "OverPlaces":
            index = str(args[0]).removeprefix("index_")
            each = self.lower(args[1])
            symbol = self._as_symbol(expr, path_mean(self.lowering, over_places(self.lowering, each, index)))
            if self.scored:
                self.costs.append(PlacedCost(symbol, index, build.tensor(each)))
            return symbol
        if name == "PlaceCount":
            return self._as_symbol(expr, place_count(self.lowering, str(args[0]).removeprefix("index_")))
        if name in ("BatchMean", "BatchSum"):
            inner = FormulaLowering(build, self.values).lower(args[0])
            op = "batch_mean" if name == "BatchMean" else "batch_sum"
            return self._as_symbol(expr, build.make(op, (inner,), shape=(), batched=False))
        if isinstance(expr, Add | Mul) or args != list(expr.args):
            return expr.func(*args)
        return expr

    def _samples_of(self, expr: Expr) -> set[Axis]:
        """The axis of samples that a mean takes."""
        if expr.func.__name__ not in ("MeanOver", "LogMean"):
            return set()
        draw = self.rewritten.draws[expr.args[0]]
        return {self.lowering.axes.samples(draw)} if draw.samples > 1 else set()

    def _average(self, symbol: Symbol, args: list[Expr]) -> Value:
        """The mean over the samples of a draw and the weighted sum over its enumerated variables."""
        draw = self.rewritten.draws[symbol]
        body, weights, *surrogates = args
        total = self.weighted(self.lower(body), weights, draw)
        for surrogate in surrogates:
            if not self._is_along_path(surrogate.args[1]):
                total = self.lowering.builder.binary("add", total, self._surrogate(draw, list(surrogate.args[1:])))
        if draw in self.scored.values():
            return total  # whose samples are told apart in later places too
        return self.mean_over_samples(draw, total)

    def _is_along_path(self, log_density: Expr) -> bool:
        """True if the draw that a score function is of is weighed by later places too."""
        leaf = self.rewritten.leaves[log_density]
        assert isinstance(leaf, LogDensityLeaf)
        return leaf.atom.targets[0] in self.scored

    def _log_mean(self, symbol: Symbol, args: list[Expr], written: Expr) -> Value:
        """log of the mean of exp(body) over samples, or of its weighted sum over enumerated variables."""
        build = self.lowering.builder
        draw = self.rewritten.draws[symbol]
        body, weights, *surrogates = args
        log_w = build.name(self.lower(body), "log_w", materialize=True)
        if draw.estimator.grad == "dreg":
            return self._doubly_reparameterised(draw, written, log_w)
        if weights != 0:
            log_w = build.name(build.binary("add", log_w, self.lower(weights)), "log_joint", materialize=True)
        if draw.rows == "mean" and (axis := self.lowering.axes.pairs(draw)) in log_w.axes:
            return log_mean_of(self.lowering, log_w, axis)
        total = log_w
        own = self.lowering.axes.of(draw) | ({self.lowering.axes.pairs(draw)} if draw.rows else set())
        for axis in log_w.axes:
            if axis in own:
                total = self.reduce("logsumexp_axes", total, axis)
                if axis.kind is AxisKind.SAMPLE:
                    total = build.binary("sub", total, build.constant(log(axis.size), f"math.log({axis.size})"))
        total = build.name(total, "log_mean", materialize=bool(surrogates))
        bound = total
        for surrogate in surrogates:
            total = build.binary("add", total, bound_surrogate(self, draw, surrogate, log_w, bound))
        return total

    def _doubly_reparameterised(self, draw: Draw, body: Expr, log_w: Value) -> Value:
        """The bound, with a gradient whose variance does not grow with the samples (Tucker et al. 2019).

        Where the weights are w, the model gets `sum w d log w` and a draw gets `sum w^2 d log w`: the body is computed
        again with the gradient of the draws scaled by w, the densities of q having detached parameters already.
        """
        build = self.lowering.builder
        axis = self.lowering.axes.samples(draw)
        total = self.reduce("logsumexp_axes", log_w, axis)
        bound = build.name(
            build.binary("sub", total, build.constant(log(axis.size), f"math.log({axis.size})")),
            "bound",
            materialize=True,
        )
        with build.section("the gradient of each draw, scaled by its weight once more"):
            at = log_w.axes.index(axis)
            fixed = build.unary("detach", log_w)
            share = build.make("softmax_axis", (fixed,), (at,), shape=())
            share = build.name(share, "share", materialize=True)
        again = self.lowering.copy()
        for variable in draw.variables:
            value = self.lowering.variable(variable, draw.inside)
            with build.section("the gradient of each draw, scaled by its weight once more"):
                still = build.unary("detach", value)
                moved = build.binary("add", still, build.binary("mul", share, build.binary("sub", value, still)))
            again.override(variable, draw, build.name(moved, f"{variable}_scaled", materialize=True))
        leaves = {s: leaf for s, leaf in self.rewritten.leaves.items() if s in body.free_symbols}
        other = ObjectiveLowering(again, self.rewritten)
        other.values = {s: other._leaf(leaf) for s, leaf in leaves.items()}
        weighed = self.reduce("sum_axis", build.binary("mul", share, other.lower(other._mean_over(body))), axis)
        weighed = build.name(weighed, "weighed", materialize=True)
        return build.binary("add", build.unary("detach", bound), gradient_of(build, weighed))

    def lower(self, expr: Expr) -> Value:
        """A formula over leaves and means that are computed already."""
        return FormulaLowering(self.lowering.builder, self.values).lower(expr)

    def weighted(self, value: Value, weights: Expr, draw: Draw) -> Value:
        """The sum over enumerated variables, each value weighted by its probability."""
        build = self.lowering.builder
        if weights == 0:
            return value
        if draw.distribution.evidence:
            axes = {self.lowering.axes.values(draw, v, self._count(draw, v)) for v in draw.enumerated}
        else:
            axes = {axis for leaf in self._weighed(weights) for axis in leaf}
        with build.section(f"weighted by {self._label(weights)}"):
            log_probs = self.lower(weights)
            if draw.estimator.detached:
                log_probs = build.unary("detach", log_probs)
            probability = build.name(build.unary("exp", log_probs), "probs", materialize=True)
            total = self._weigh(probability, value) if draw.distribution.evidence else None
            total = build.binary("mul", probability, value) if total is None else total
            for axis in in_order(axes):
                if axis in total.axes:
                    total = self.reduce("sum_axis", total, axis)
        return build.name(total, "expected")

    def _weigh(self, probability: Value, value: Value) -> Value | None:
        """A product that is 0 where the probability is, whatever the value; None of a number."""
        if value.constant is not None:
            return None
        a, b = self.lowering.builder.align(probability, value)
        return self.lowering.builder.make("special", (a, b), ("weigh",), shape=value.shape)

    def _count(self, draw: Draw, variable: Variable) -> int:
        atom = draw.atom_of(variable)
        assert atom is not None
        return states(atom, self.lowering.model) or 1

    def _weighed(self, weights: Expr) -> list[tuple[Axis, ...]]:
        found = []
        for symbol in weights.free_symbols:
            leaf = self.rewritten.leaves[symbol]
            assert isinstance(leaf, LogDensityLeaf)
            found.append(self.lowering.variable(leaf.atom.targets[0], leaf.env).axes)
        return found

    def _label(self, weights: Expr) -> str:
        leaves = [self.rewritten.leaves[s] for s in sorted(weights.free_symbols, key=str)]
        return " ".join(leaf.atom.label for leaf in leaves if isinstance(leaf, LogDensityLeaf))

    def reduce(self, op: str, value: Value, axis: Axis) -> Value:
        """A value without one of its axes."""
        rest = tuple(a for a in value.axes if a != axis)
        return self.lowering.builder.make(op, (value,), (value.axes.index(axis),), shape=value.shape, axes=rest)

    def mean_over_samples(self, draw: Draw, value: Value) -> Value:
        """A value without the samples of a draw, or the rows that it goes over."""
        if draw.rows:
            return self._over_rows(draw, value)
        axis = self._sample_axis(draw, value)
        return value if axis is None else self.reduce("mean_axis", value, axis)

    def _over_rows(self, draw: Draw, value: Value) -> Value:
        axis = self.lowering.axes.pairs(draw)
        if axis not in value.axes:
            return value
        return self.reduce("mean_axis" if draw.rows == "mean" else "sum_axis", value, axis)

    def _sample_axis(self, draw: Draw, value: Value) -> Axis | None:
        """The axis of the samples of a draw, where a value has it."""
        axis = self.lowering.axes.samples(draw)
        return axis if axis in value.axes else None

    def _surrogate(self, draw: Draw, args: list[Expr]) -> Value:
        """Zero, with the gradient of the score function: `(log q - [log q]) [f - baseline]`, brackets detached.

        The mean of the other draws is the baseline of each (Kool, van Hoof & Welling 2019): with K draws,
        `f_k - mean of the others` is `(f_k - mean) K / (K - 1)`.
        """
        build = self.lowering.builder
        log_density, cost, below, above, *baseline = args
        log_q = self.lower(log_density)
        leaf = self.rewritten.leaves[log_density]
        assert isinstance(leaf, LogDensityLeaf)
        variable = leaf.atom.targets[0]
        with build.section(f"the gradient through {variable}: a score function"):
            value = build.unary("detach", self.weighted(self.lower(cost), below, draw))
            axis = self._sample_axis(draw, value)
            if baseline:
                advantage = build.binary("sub", value, build.unary("detach", self.lower(baseline[0])))
            elif axis is not None:
                mean = build.make("mean_axis_keep", (value,), (value.axes.index(axis),), shape=value.shape)
                scale = build.constant(draw.samples / (draw.samples - 1))
                advantage = build.binary("mul", scale, build.binary("sub", value, mean))
            else:
                advantage = value
            advantage = build.name(advantage, "advantage", materialize=True)
            surrogate = build.binary("mul", gradient_of(build, log_q), advantage)
        return self.weighted(surrogate, above, draw)

    def _as_symbol(self, expr: Expr, value: Value) -> Symbol:
        symbol = Symbol(f"m{len(self.values):05d}", real=True)
        self.values[symbol] = value
        return symbol
