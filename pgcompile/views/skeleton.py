"""A program made of a paper's formulas: what they name, with a first guess of spaces, families and nets."""

from dataclasses import dataclass, field, replace
from functools import cached_property
from math import prod

from pgcompile.model.factors import Factor, Undefined, factor_label
from pgcompile.model.model import Model
from pgcompile.syntax import tree
from pgcompile.syntax.format import format_expr, format_statement
from pgcompile.vocabulary.functional import Sides
from pgcompile.vocabulary.functionals import functional_of, net_of
from pgcompile.vocabulary.functions import FUNCTIONS

OBSERVED, DRAWN, CATEGORIES, HIDDEN = 64, 8, 10, 128
"""Sizes of the guess: of what is given, of what is drawn, of an index, and between layers."""

_ONE_PARAMETER = {
    "boolean": "Bernoulli(logits = {})",
    "category": "Categorical(logits = {})",
    "one_hot": "OneHotCategorical(logits = {})",
    "positive": "LogNormal({}, 1)",
    "unit_interval": "LogitNormal({}, 1)",
    "nonnegative_integer": "Poisson(softplus({}))",
    "simplex": "Dirichlet(softplus({}))",
}
"""The family of the guess for a space that is not the reals."""

_WORDS = frozenset({"mean", "sum", "detach", "data", "log", "exp", "abs", "min", "max"})


def missing(model: Model) -> str:
    """The parts that a bare structure lacks before code can be made of it, in a sentence."""
    factors = [f.label for f in model.factors if isinstance(f.definition, Undefined)]
    spaces = [name for name in model.variables if name not in model.spaces]
    found = [f"the {'families' if len(factors) > 1 else 'family'} of {', '.join(factors)}"] if factors else []
    if spaces:
        found.insert(0, f"the space{'s' * (len(spaces) > 1)} of {', '.join(spaces)}")
    return f"not said yet: {' and '.join(found)}; `pgc init` writes a program with a first guess of them"


def skeleton(program: tree.Program, model: Model) -> str:
    """The text of a program that fills in what a bare structure leaves open."""
    return _Skeleton(program, model).text()


def _arguments(call: tree.Call) -> set[str]:
    """The names that a call is given before any bar."""
    return {a.value.id for a in call.args if isinstance(a.value, tree.Name)}


def _drawn_side(functional: tree.Functional) -> tree.Expr:
    """The side of a functional that is drawn from: the guide of a bound, else the left one."""
    found = functional_of(functional.kind)
    guided = found is not None and found.sides is Sides.MODEL_AND_GUIDE and functional.right is not None
    return functional.right if guided and functional.right is not None else functional.left


@dataclass
class _Skeleton:
    """One skeleton: lines are collected by the kind of their statement."""

    program: tree.Program
    model: Model
    spaces: dict[str, str] = field(default_factory=dict)
    numbers: dict[str, str] = field(default_factory=dict)
    nets: dict[str, str] = field(default_factory=dict)
    params: list[str] = field(default_factory=list)
    factors: list[str] = field(default_factory=list)

    def text(self) -> str:
        """The whole text."""
        for factor in self.model.factors:
            if isinstance(factor.definition, Undefined):
                self._define(factor)
        for expr in self._formulas:
            self._read(expr)
        kept = [
            format_statement(s)
            for s in self.program.statements
            if not isinstance(s, tree.Structure | tree.Optimise | tree.Definition)
        ]
        groups = [
            ["# A first guess of what the formulas leave open: put your spaces, families and nets in their places."],
            [*kept, *(f"{name} : {space}" for name, space in self.spaces.items())],
            [*self.numbers.values(), *self.params],
            [f"net {name} = {layers}" for name, layers in self.nets.items()],
            self.factors,
            [*(f"{name} = {format_expr(o.expr)}" for name, o in self.model.objectives.items()), *self._training()],
        ]
        return "\n\n".join("\n".join(group) for group in groups if group) + "\n"

    # --- what the formulas say ---

    @cached_property
    def _formulas(self) -> list[tree.Expr]:
        return [objective.expr for objective in self.model.objectives.values()]

    @cached_property
    def _drawn(self) -> set[str]:
        """Variables that some expectation or divergence draws, or that a structure starts from."""
        over = [n.over for n in tree.walk(*self._formulas) if isinstance(n, tree.Expectation) and n.over is not None]
        over += [_drawn_side(n) for n in tree.walk(*self._formulas) if isinstance(n, tree.Functional)]
        every = [n for n in tree.walk(*self._formulas) if isinstance(n, tree.Call)]
        data = {name for call in every if call.name == "data" for name in _arguments(call)}
        calls = (n for n in tree.walk(*over) if isinstance(n, tree.Call))
        found = {name for call in calls for name in _arguments(call)} - data
        above = {parent for factor in self.model.factors for parent in factor.parents}
        generated = {t for factor in self.model.factors for t in factor.targets}
        return found if self._formulas else above & generated

    @cached_property
    def _indices(self) -> set[str]:
        """Variables that a formula sums over."""
        sums = (n for n in tree.walk(self.program.statements) if isinstance(n, tree.Integral) and n.is_sum)
        return {name.id for n in sums for name in n.variables}

    def _shape(self, variable: str) -> tuple[int, ...]:
        """The shape of a variable, as declared or by the guess."""
        known = self.model.spaces.get(variable)
        if known is not None:
            return known.shape
        return (DRAWN if variable in self._drawn else OBSERVED,)

    def _one_hot_shape(self, variable: str) -> tuple[int, ...]:
        """The shape of an index as a one-hot vector."""
        known = self.model.spaces.get(variable)
        return (CATEGORIES,) if known is None else (*known.shape, known.categories or CATEGORIES)

    def _kind(self, variable: str) -> str:
        known = self.model.spaces.get(variable)
        return known.kind if known is not None else "category" if variable in self._indices else "real"

    def _declare(self, variable: str) -> None:
        variable = self.model.rows.get(variable, variable)
        if variable in self.model.spaces or variable in self.spaces:
            return
        index = self._kind(variable) == "category"
        self.spaces[variable] = f"category[{CATEGORIES}]" if index else f"real[{self._shape(variable)[0]}]"

    # --- factors ---

    def _define(self, factor: Factor) -> None:
        """A factor of one variable; one of several as the product of such factors."""
        for variable in (*factor.parents, *factor.targets):
            self._declare(variable)
        if len(factor.targets) == 1:
            self.factors.append(self._one(factor.name, factor.targets[0], factor.parents))
            return
        ordered = sorted(factor.targets, key=lambda name: name not in self._drawn)
        made, labels = list(factor.parents), []
        for target in ordered:
            parents = tuple(sorted(made))
            self.factors.append(self._one(factor.name, target, parents))
            labels.append(factor_label(factor.name, (target,), parents))
            made.append(target)
        self.factors.append(f"{factor.label} = {' '.join(reversed(labels))}")

    def _one(self, name: str, target: str, parents: tuple[str, ...]) -> str:
        head, shape, kind = factor_label(name, (target,), parents), self._shape(target), self._kind(target)
        if kind == "category":
            shape = self._one_hot_shape(target)
        if kind in _ONE_PARAMETER:
            return f"{head} = {_ONE_PARAMETER[kind].format(self._value(name, target, parents, shape))}"
        if not parents and target in self._drawn:
            return f"{head} = Normal(0, 1)"
        if not parents:
            return f"{head} = Normal({self._value(name, target, parents, shape)}, 1)"
        if not shape:
            return f"{head} = Normal(m[0], softplus(m[1])) where m = {self._value(name, target, parents, (2,))}"
        twice = (*shape[:-1], 2 * shape[-1])
        return f"{head} = Normal(m, softplus(s)) where (m, s) = {self._value(name, target, parents, twice)}"

    def _value(self, name: str, target: str, parents: tuple[str, ...], shape: tuple[int, ...]) -> str:
        """The call of a net of its own, or a param where there is nothing to call one with."""
        if not parents:
            sizes = ", ".join(map(str, shape))
            self.params.append(f"param {name}_of_{target} : real{f'[{sizes}]' if shape else ''}")
            return f"{name}_of_{target}"
        net = f"{target}_from_{'_'.join(parents)}"
        if net in self.nets:
            net = f"{name}_{net}"
        last = f" >> Unflatten([{', '.join(map(str, shape))}])" if len(shape) > 1 else ""
        self.nets[net] = f"Linear({HIDDEN}) >> ReLU >> Linear({prod(shape)}){last}"
        end = "" if shape else "[0]"
        return f"{net}({', '.join(map(self._argument, parents))}){end}"

    def _argument(self, parent: str) -> str:
        """A variable as a net takes it, a vector: an index by its one-hot vector, a picture flat."""
        shape, value = self._shape(parent), parent
        if self._kind(parent) == "category":
            shape = self._one_hot_shape(parent)
            value = f"one_hot({parent})"
        return value if len(shape) == 1 else f"reshape({value}, [{prod(shape)}])"

    # --- what stands in the objectives besides distributions ---

    def _read(self, expr: tree.Node, beside: tuple[tree.Node, ...] = ()) -> None:
        """Declare the nets, variables and numbers that a formula names; `beside` are the terms of its sum."""
        match expr:
            case tree.Call(name=name, given=None) if self._is_net(name):
                for argument in sorted(_arguments(expr)):
                    self._declare(argument)
                sizes = (prod(self._shape(n.id)) for n in beside if isinstance(n, tree.Name) and n.id in self.spaces)
                self.nets.setdefault(name, f"Linear({HIDDEN}) >> ReLU >> Linear({next(sizes, OBSERVED)})")
            case tree.Call(name="data"):
                for argument in sorted(_arguments(expr)):
                    self._declare(argument)
            case tree.Functional(kind) if (found := functional_of(kind)) is not None and found.takes_net:
                self.nets.setdefault(net_of(kind), f"Linear({HIDDEN}) >> ReLU >> Linear(1)")
            case tree.Name(id) if self._is_number(id):
                self.numbers[id] = f"const {id} = 1"
            case tree.Log(operand) if (net := self._scored_net(operand)) is not None:
                # `log d(x)`, `log(1 - d(x))`: a net whose result is a probability.
                self.nets.setdefault(net, f"Linear({HIDDEN}) >> ReLU >> Linear(1) >> Sigmoid")
        for child in tree.children(expr):
            self._read(child, tuple(item for _, item in expr.terms) if isinstance(expr, tree.Sum) else ())

    def _scored_net(self, expr: tree.Expr) -> str | None:
        """The net whose result a logarithm is taken of, or of one minus it."""
        parts = [item for _, item in expr.terms] if isinstance(expr, tree.Sum) else [expr]
        calls = [p.name for p in parts if isinstance(p, tree.Call) and p.given is None and self._is_net(p.name)]
        others = [p for p in parts if not isinstance(p, tree.Call | tree.Number)]
        return calls[0] if len(calls) == 1 and not others else None

    def _is_net(self, name: str) -> bool:
        known = name in FUNCTIONS or name in _WORDS or name in self.model.nets or name in self.model.objectives
        return not known and not any(factor.name == name for factor in self.model.factors)

    def _is_number(self, name: str) -> bool:
        model = self.model
        known = {*model.variables, *self.spaces, *model.constants, *model.tensors, *model.objectives, *model.nets}
        known |= {*self.nets, *_WORDS, *self.model.rows}
        return name not in known and not any(factor.name == name for factor in model.factors)

    # --- training ---

    def _training(self) -> list[str]:
        """The lines of the program; where it has none, one for its last objective."""
        written = [format_statement(s) for s in self.program.statements if isinstance(s, tree.Optimise)]
        if written or not self.model.objectives:
            return written
        name, objective = next(reversed(self.model.objectives.items()))
        if isinstance(objective.expr, tree.Functional) and (critic := net_of(objective.expr.kind)):
            return self._players(name, objective.expr, critic)
        word = "maximize" if self._direction(objective.expr) > 0 else "minimize"
        return [f"{word} {name} using Adam(lr = 1e-3)"]

    def _players(self, name: str, expr: tree.Functional, critic: str) -> list[str]:
        """A critic that finds the sides apart, and a generator that hides it."""
        params = [line.split()[1] for line in self.params]
        others = ", ".join([*(net for net in self.nets if net != critic), *params])
        lines = [f"maximize {name} wrt {critic} using Adam(lr = 1e-3)"]
        if not others:
            return lines
        if not expr.kind.startswith("JS_"):
            return [*lines, f"minimize {name} wrt {others} using Adam(lr = 1e-3)"]
        form = tree.Option("form", tree.Name("nonsaturating"))
        fool = format_expr(replace(expr, options=(*expr.options, form)))
        return [f"fool = {fool}", *lines, f"minimize fool wrt {others} using Adam(lr = 1e-3)"]

    def _direction(self, expr: tree.Expr) -> int:
        """1 for what is better when larger, such as a log-likelihood; -1 for a divergence, a distance; 0 unknown."""
        match expr:
            case tree.Log():
                return 1
            case tree.Expectation(body=body):
                return self._direction(body)
            case tree.Functional(kind):
                return 1 if kind in ("ELBO", "IWAE", "H") else -1
            case tree.Negative(operand):
                return -self._direction(operand)
            case tree.Sum(items):
                signs = (sign * self._direction(item) for sign, item in items)
                return next((sign for sign in signs if sign), 0)
            case tree.Product(items):
                return next((sign for item in items if (sign := self._direction(item))), 0)
            case tree.Quotient(top, _):
                return self._direction(top)
            case tree.Power() | tree.Call(name="sum" | "norm" | "abs"):
                return -1
            case tree.Name(id) if id in self.model.objectives:
                return self._direction(self.model.objectives[id].expr)
            case _:
                return 0
