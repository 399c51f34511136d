"""Divergences that a net estimates: `JS_d`, `KL_d` and `W_d`, with a discriminator or critic `d`.

`d(x)` is the log-odds that x came from the left side (Goodfellow et al. 2014; Nowozin et al. 2016), or for `W_d` a
critic that is large on the left (Arjovsky et al. 2017).
"""

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING

from pgcompile.diagnostics import InternalError, suggest
from pgcompile.inference.mixtures import components
from pgcompile.model.distributions import Distribution
from pgcompile.model.factors import data_of
from pgcompile.model.learned import factors_behind, learnables_of
from pgcompile.model.nets import ExternNetwork, ModuleSegment, Net
from pgcompile.model.variable import Variable, shown, variables
from pgcompile.objective import terms
from pgcompile.objective.context import Context
from pgcompile.objective.draws import average, draw_of, sampling_distribution
from pgcompile.objective.options import read_options, read_settings
from pgcompile.objective.terms import Draw, Env, Estimator, Term
from pgcompile.syntax import tree
from pgcompile.syntax.format import format_expr
from pgcompile.vocabulary.functional import Functional
from pgcompile.vocabulary.functionals import net_of

if TYPE_CHECKING:
    from pgcompile.objective.resolve import Objectives


class Adversarial:
    """Divergences of one program's objectives that a net estimates.

    Args:
        whole: resolves what is inside them.
        opposite: the right side of a divergence, by what is on the left.
    """

    def __init__(self, whole: "Objectives", opposite: Callable[[tree.Expr, Distribution], Distribution | None]) -> None:
        self.whole = whole
        self.model = whole.model
        self.sink = whole.sink
        self.opposite = opposite

    def term(self, expr: tree.Functional, functional: Functional, env: Env, context: Context) -> Term | None:
        """The estimate as expectations of the net over both sides; None after a report."""
        name = net_of(expr.kind)
        net = self._critic(expr, name)
        if net is None:
            return None
        if expr.right is None:
            self._report(expr, f"{expr.kind} compares two distributions", f"write {expr.kind}[p || data]", "PGC311")
            return None
        sides = self._sides(expr, net)
        settings = read_settings(expr, functional, self.model.constants, self.sink)
        if sides is None or settings is None:
            return None
        found, rest = settings
        options = read_options(rest, self.model.constants, self.sink, expr.kind, functional.setting_names)
        left, right, variables = sides
        critic = self._call(expr, name, variables)
        if options is None or critic is None or not self._penalised(expr, net):
            return None

        def mean(side: Distribution, value: tree.Expr | None) -> Term | None:
            def body(inner: Env) -> Term | None:
                if value is None:
                    return terms.Constant(Fraction(0))
                found = self.whole.plain(value, inner)
                return replace(found, text=format_expr(value)) if isinstance(found, terms.Pointwise) else found

            return average(self.whole, side, *options, env, context, expr.span, body)

        match functional.name:
            case "JS_d":
                return self._jensen_shannon(expr, str(found["form"]), (left, right), critic, mean, env)
            case "KL_d":
                return _sum((1, mean(left, critic)), (1, mean(right, None)))
            case "W_d":
                total = _sum((1, mean(left, critic)), (-1, mean(right, critic)))
                penalty = found["penalty"]
                if not isinstance(penalty, Fraction) or not penalty or total is None:
                    return total
                slope = self._slope(expr, name, (left, right), variables, options, env, context)
                weighed = None if slope is None else terms.Multiply((terms.Constant(penalty), slope))
                return None if weighed is None else terms.Add(((1, total), (-1, weighed)))
            case _:
                raise InternalError(f"no estimate by a net of {functional.name}")

    def _jensen_shannon(
        self,
        expr: tree.Functional,
        form: str,
        sides: tuple[Distribution, Distribution],
        critic: tree.Expr,
        mean: Callable[[Distribution, tree.Expr | None], Term | None],
        env: Env,
    ) -> Term | None:
        """The forms of `JS_d`, with the log-odds `critic` of the left side."""
        left, right = sides
        match form:
            case "saturating":
                # log 2 + (E_left[log D] + E_right[log(1 - D)]) / 2, with D = sigmoid(d)
                there, here = (
                    mean(side, tree.Negative(_apply("softplus", arg, expr), span=expr.span))
                    for side, arg in ((left, tree.Negative(critic, span=expr.span)), (right, critic))
                )
                if there is None or here is None:
                    return None
                half = terms.Constant(Fraction(1, 2))
                two = self.whole.plain(_apply("log", tree.Number("2", span=expr.span), expr), env)
                assert two is not None
                return terms.Add(((1, two), (1, terms.Multiply((half, there))), (1, terms.Multiply((half, here)))))
            case "nonsaturating":
                # -log of the probability that a generated side is taken for the other (Goodfellow et al. 2014)
                taken = (critic, tree.Negative(critic, span=expr.span))
                generated = self._generated(sides)
                values = [_apply("softplus", t, expr) if g else None for t, g in zip(taken, generated, strict=True)]
                return _sum((1, mean(left, values[0])), (1, mean(right, values[1])))
            case _:
                # Lim and Ye 2017
                there = mean(left, _apply("relu", _one(critic, -1, expr), expr))
                here = mean(right, _apply("relu", _one(critic, 1, expr), expr))
                return _sum((-1, there), (-1, here))

    def _generated(self, sides: tuple[Distribution, Distribution]) -> tuple[bool, bool]:
        """The sides that are learned: of `q(z|x) data(x)` and a fixed prior, the first; of a BiGAN's, both."""
        learned = [any(learnables_of(f, self.model) for f in factors_behind(side)) for side in sides]
        if any(learned):
            return learned[0], learned[1]
        return not _is_data(sides[0]), _is_data(sides[0])

    def _report(self, expr: tree.Node, message: str, hint: str, code: str = "PGC405") -> None:
        self.sink.add(code, expr.span, message, help=hint)

    def _critic(self, expr: tree.Functional, name: str) -> Net | ExternNetwork | None:
        """The net that a subscript names."""
        if name in self.model.nets:
            return self.model.nets[name]
        otherwise = f"declare it: `net {name} = Linear(64) >> ReLU >> Linear(1)`"
        self.sink.add(
            "PGC101",
            expr.span,
            f"{expr.kind} is estimated by the net {name}, and there is none of that name",
            **suggest(name, expr.span, (), otherwise),
        )
        return None

    def _sides(
        self, expr: tree.Functional, net: Net | ExternNetwork
    ) -> tuple[Distribution, Distribution, tuple[Variable, ...]] | None:
        """Both sides, and the variables that the net compares."""
        assert expr.right is not None
        data_left = isinstance(expr.left, tree.Name) and expr.left.id == "data"
        first, second = (expr.right, expr.left) if data_left else (expr.left, expr.right)
        one = sampling_distribution(self.whole, first)
        if one is None:
            return None
        wanted = self._compared(one, net)
        if isinstance(second, tree.Name) and second.id == "data":
            other: Distribution | None = Distribution((data_of(wanted, second.span),))
        else:
            other = self.opposite(second, one)
        if other is None:
            return None
        found = tuple(v for v in wanted if v in other.targets)
        missing = [v for v in wanted if v not in other.targets]
        if (net.inputs is not None and missing) or not found:
            self._report(
                expr,
                f"{expr.kind} compares draws of the same variables, and {other.label} does not generate "
                + shown(missing or wanted),
                f"compare {one.label} with a distribution of {shown(wanted)}, such as data({shown(wanted)})",
            )
            return None
        return (other, one, found) if data_left else (one, other, found)

    def _compared(self, side: Distribution, net: Net | ExternNetwork) -> tuple[Variable, ...]:
        """The variables that the net names, or else the variables that nothing of the side is conditioned on."""
        named = variables(net.inputs or ())
        if named and all(variable in side.targets for variable in named):
            return named
        above = {p for atom in side.atoms for p in atom.parents}
        return tuple(t for t in side.targets if t not in above) or side.targets

    def _penalised(self, expr: tree.Functional, net: Net | ExternNetwork) -> bool:
        """True if a net that is given a gradient penalty has one that can be computed; reported otherwise."""
        option = next((o for o in expr.options if o.name == "penalty"), None)
        layers = isinstance(net, Net) and all(
            isinstance(s, ModuleSegment) and s.batch_rank is None and not s.cell_states for s in net.segments or ()
        )
        if option is None or (layers and isinstance(net, Net) and len(net.segments or ()) == 1):
            return True
        self._report(
            option,
            "the penalty asks for the gradient of a net of layers only",
            "write the critic as one pipeline of one input: `net d = Linear(64) >> LeakyReLU(0.2) >> Linear(1)`",
            "PGC408",
        )
        return False

    def _call(self, expr: tree.Functional, name: str, compared: tuple[Variable, ...]) -> tree.Expr | None:
        """`d(x)`, or `d(x)[0]`; None after a report."""
        span = expr.span
        arguments = tuple(tree.Argument(None, tree.Name(v.name, span=span), span=span) for v in compared)
        call = tree.Call(name, arguments, span=span, name_span=span)
        shape = self.whole.shape_of(call)
        if shape not in ((), (1,), None):
            self._report(
                expr,
                f"{name} gives {list(shape)} numbers a data point, and {expr.kind} needs one",
                f"end it with Linear(1): `net {name} = ... >> Linear(1)`",
                "PGC402",
            )
            return None
        return tree.Index(call, (tree.Number("0", span=span),), span=span) if shape == (1,) else call

    def _slope(
        self,
        expr: tree.Functional,
        name: str,
        sides: tuple[Distribution, Distribution],
        compared: tuple[Variable, ...],
        options: tuple[int | None, Estimator],
        env: Env,
        context: Context,
    ) -> Term | None:
        """(||grad d|| - 1)^2 between draws of both sides (Gulrajani et al. 2017)."""
        if len(compared) > 1 or any(components(side, self.model) is not None for side in sides):
            self._report(expr, "the penalty is between draws of one variable", "leave penalty out", "PGC408")
            return None
        draws: list[tuple[Draw, Env] | None] = [
            draw_of(self.whole, side, *options, env, context, expr.span) for side in sides
        ]
        if draws[0] is None or draws[1] is None:
            return None
        settings = terms.Settings(name, (), 0)
        label = f"gradient penalty of {name}"
        return terms.Discrepancy(
            "GP", draws[0][0], draws[1][0], draws[0][1], draws[1][1], compared, settings, label, expr.span
        )


def _is_data(side: Distribution) -> bool:
    return all(atom.factor.is_data for atom in side.atoms)


def _apply(function: str, value: tree.Expr, expr: tree.Functional) -> tree.Expr:
    if function == "log":
        return tree.Log(value, span=expr.span)
    return tree.Call(function, (tree.Argument(None, value, span=expr.span),), span=expr.span, name_span=expr.span)


def _one(value: tree.Expr, sign: int, expr: tree.Functional) -> tree.Expr:
    """1 + value, or 1 - value."""
    return tree.Sum(((1, tree.Number("1", span=expr.span)), (sign, value)), span=expr.span)


def _sum(*items: tuple[int, Term | None]) -> Term | None:
    found = [(sign, term) for sign, term in items if term is not None]
    return terms.Add(tuple(found)) if len(found) == len(items) else None
