"""Rewritten objectives as plan values: means over draws, sums over enumerated variables, score-function gradients."""

from sympy import Add, Expr, Mul, Symbol

from pgcompile.diagnostics import InternalError
from pgcompile.objective.rewrite import ClosedLeaf, Leaf, LogDensityLeaf, NamedLeaf, PlainLeaf, Rewritten
from pgcompile.objective.terms import Draw
from pgcompile.plan.environment import Environment
from pgcompile.plan.formulas import FormulaLowering
from pgcompile.plan.values import Axis, Value


class ObjectiveLowering:
    """One rewritten objective in an environment."""

    def __init__(self, environment: Environment, rewritten: Rewritten) -> None:
        self.environment = environment
        self.rewritten = rewritten
        self.values: dict[Symbol, Value] = {}

    def run(self) -> Value:
        build = self.environment.builder
        for symbol, leaf in self.rewritten.leaves.items():
            self.values[symbol] = self._leaf(leaf)
        expr = self._mean_over(self.rewritten.expr)
        value = FormulaLowering(build, self.values).lower(expr)
        if value.axes:
            raise InternalError("a draw axis was left in an objective")
        return value

    def _leaf(self, leaf: Leaf) -> Value:
        match leaf:
            case LogDensityLeaf(atom, env, detached):
                return self.environment.log_density(atom, env, detached=detached)
            case ClosedLeaf():
                return self.environment.closed(leaf)
            case PlainLeaf(expr, env):
                return self.environment.plain(expr, env)
            case NamedLeaf(name, inner):
                value = ObjectiveLowering(self.environment, inner).run()
                return self.environment.builder.name(value, name, keep=True)

    def _mean_over(self, expr: Expr) -> Expr:
        """Means over draws and over the batch become values of their own, innermost first."""
        if not expr.args:
            return expr
        args = [self._mean_over(arg) for arg in expr.args]
        name = expr.func.__name__
        build = self.environment.builder
        if name == "MeanOver":
            return self._as_symbol(expr, self._average(expr.args[0], args[1:]))
        if name == "Fitted":
            return self._as_symbol(expr, self._fitted(expr.args[0], args[1:]))
        if name in ("BatchMean", "BatchSum"):
            inner = FormulaLowering(build, self.values).lower(args[0])
            op = "batch_mean" if name == "BatchMean" else "batch_sum"
            return self._as_symbol(expr, build.make(op, (inner,), shape=(), batched=False))
        if isinstance(expr, Add | Mul) or args != list(expr.args):
            return expr.func(*args)
        return expr

    def _average(self, symbol: Symbol, args: list[Expr]) -> Value:
        """The mean over the samples of a draw and the weighted sum over its enumerated variables."""
        draw = self.rewritten.draws[symbol]
        body, weights, *surrogates = args
        total = self._weighted(self._lower(body), weights)
        for surrogate in surrogates:
            total = self.environment.builder.binary("add", total, self._surrogate(draw, list(surrogate.args[1:])))
        return self._mean_over_samples(draw, total)

    def _lower(self, expr: Expr) -> Value:
        return FormulaLowering(self.environment.builder, self.values).lower(expr)

    def _weighted(self, value: Value, weights: Expr) -> Value:
        """The sum over enumerated variables, each value weighted by its probability."""
        build = self.environment.builder
        if weights == 0:
            return value
        axes = {axis for leaf in self._weighed(weights) for axis in leaf}
        with build.section(f"weighted by {self._label(weights)}"):
            probability = build.name(build.unary("exp", self._lower(weights)), "probs", keep=True)
            total = build.binary("mul", probability, value)
            for axis in sorted(axes, key=lambda a: -a.draw):
                if axis in total.axes:
                    total = self._reduce("sum_axis", total, axis)
        return build.name(total, "expected")

    def _weighed(self, weights: Expr) -> list[tuple[Axis, ...]]:
        found = []
        for symbol in weights.free_symbols:
            leaf = self.rewritten.leaves[symbol]
            assert isinstance(leaf, LogDensityLeaf)
            found.append(self.environment.variable(leaf.atom.targets[0], leaf.env).axes)
        return found

    def _label(self, weights: Expr) -> str:
        leaves = [self.rewritten.leaves[s] for s in sorted(weights.free_symbols, key=str)]
        return " ".join(leaf.atom.label for leaf in leaves if isinstance(leaf, LogDensityLeaf))

    def _reduce(self, op: str, value: Value, axis: Axis) -> Value:
        rest = tuple(a for a in value.axes if a is not axis)
        return self.environment.builder.make(op, (value,), (value.axes.index(axis),), shape=value.shape, axes=rest)

    def _mean_over_samples(self, draw: Draw, value: Value) -> Value:
        axis = next((a for a in value.axes if a.draw == draw.number), None)
        return value if axis is None else self._reduce("mean_axis", value, axis)

    def _surrogate(self, draw: Draw, args: list[Expr]) -> Value:
        """Zero, with the gradient of the score function: `(log q - [log q]) [f - baseline]`, brackets detached.

        The mean of the other draws is the baseline of each (Kool, van Hoof & Welling 2019): with K draws,
        `f_k - mean of the others` is `(f_k - mean) K / (K - 1)`.
        """
        build = self.environment.builder
        log_density, cost, below, above, *baseline = args
        log_q = self._lower(log_density)
        leaf = self.rewritten.leaves[log_density]
        assert isinstance(leaf, LogDensityLeaf)
        variable = leaf.atom.targets[0]
        with build.section(f"the gradient through {variable}: a score function"):
            value = build.unary("detach", self._weighted(self._lower(cost), below))
            axis = next((a for a in value.axes if a.draw == draw.number), None)
            if baseline:
                advantage = build.binary("sub", value, build.unary("detach", self._lower(baseline[0])))
            elif axis is not None:
                mean = build.make("mean_axis_keep", (value,), (value.axes.index(axis),), shape=value.shape)
                scale = build.constant(draw.samples / (draw.samples - 1))
                advantage = build.binary("mul", scale, build.binary("sub", value, mean))
            else:
                advantage = value
            advantage = build.name(advantage, "advantage", keep=True)
            zero = build.binary("sub", log_q, build.unary("detach", log_q))
            surrogate = build.binary("mul", zero, advantage)
        return self._weighted(surrogate, above)

    def _fitted(self, symbol: Symbol, args: list[Expr]) -> Value:
        """Zero, with the gradient of the squared distance of a learned baseline from what it stands for."""
        build = self.environment.builder
        draw = self.rewritten.draws[symbol]
        baseline, cost, weights, sign = args
        with build.section("the baseline is fitted to what it stands for"):
            value = build.unary("detach", self._weighted(self._lower(cost), weights))
            distance = build.unary("square", build.binary("sub", value, self._lower(baseline)))
            distance = build.name(self._mean_over_samples(draw, distance), "distance", keep=True)
            zero = build.binary("sub", distance, build.unary("detach", distance))
        return zero if sign > 0 else build.unary("neg", zero)

    def _as_symbol(self, expr: Expr, value: Value) -> Symbol:
        symbol = Symbol(f"m{len(self.values):05d}", real=True)
        self.values[symbol] = value
        return symbol
