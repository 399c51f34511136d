"""Builds the model of a program: collects what it declares, resolves names, checks every factor."""

import re
from dataclasses import replace
from fractions import Fraction

from pgcompile.declare.training_lines import read_lines, read_ramp
from pgcompile.diagnostics import Sink, Span, nearest, suggest
from pgcompile.inference.distributions import Resolver
from pgcompile.inference.exact import Exact
from pgcompile.inference.experts import Expert, NotClosed, product
from pgcompile.inference.heads import head_variables, label_key
from pgcompile.inference.mixtures import split_weight
from pgcompile.model.literals import evaluate, space
from pgcompile.model.values import (
    Atom,
    Deterministic,
    Distribution,
    Extern,
    ExternNetwork,
    Factor,
    FamilyUse,
    FlowNet,
    FlowUse,
    LogDensityUse,
    Mixture,
    Model,
    NamedDistribution,
    Net,
    Objective,
    TensorValue,
    Undefined,
    factor_label,
)
from pgcompile.model.variable import shown, variables
from pgcompile.syntax import tree
from pgcompile.syntax.tree import names_in
from pgcompile.typing.expressions import Typer
from pgcompile.typing.factors import check_factor
from pgcompile.typing.flows import read_flow
from pgcompile.typing.initial_values import check_initial
from pgcompile.vocabulary.families import families
from pgcompile.vocabulary.family import Family
from pgcompile.vocabulary.functions import FUNCTIONS
from pgcompile.vocabulary.layers import LAYERS
from pgcompile.vocabulary.reserved import HELPERS, METHODS
from pgcompile.vocabulary.synonyms import PARAMETERS


def build(program: tree.Program, sink: Sink, constants: dict[str, int | float] | None = None) -> tuple[Model, Resolver]:
    """The model of a program and the resolver of its distributions. Faults are in the sink.

    Args:
        program: the tree.
        sink: where faults go.
        constants: values that replace those of `const` declarations, by name.
    """
    model = Model()
    collector = _Collector(model, sink)
    collector.constants(program, constants or {})
    for statement in program.statements:
        collector.declare(statement)
    for statement in program.statements:
        collector.define(statement)
    for statement in program.statements:
        if isinstance(statement, tree.Proportional):
            collector.experts(statement)
        if isinstance(statement, tree.Definition) and isinstance(statement.left, tree.Call):
            collector.mixture(statement.left, statement.right)
    collector.deterministic_or_objective()
    resolver = collector.resolve_algebra()
    typer = Typer(model, sink)
    if not model.is_structure:
        for factor in (*model.factors, *model.deterministic.values()):
            check_factor(factor, typer)
        collector.check_renames()
        if not sink.has_errors:
            resolver.exact = Exact(model, sink.source)
            collector.finish_algebra(resolver)
            model.named = [replace(n, distribution=resolver.exact.solve(n.distribution)) for n in model.named]
    read_lines(collector.optimise, model, sink)
    return model, resolver


class _Collector:
    """One pass over the statements for each kind of fact."""

    def __init__(self, model: Model, sink: Sink) -> None:
        self.model = model
        self.sink = sink
        self.taken: dict[str, Span] = {}
        self.factors: dict[tuple[str, frozenset[str], frozenset[str]], Factor] = {}
        self.algebra: list[tuple[str, tuple[str, ...], tuple[str, ...], tree.Expr, Span]] = []
        self.formulas: dict[str, tuple[tree.Expr, Span]] = {}
        self.optimise: list[tree.Optimise] = []
        self.structures: list[tree.Structure] = []
        self.defined: set[str] = set()

    # --- sizes ---

    def constants(self, program: tree.Program, overrides: dict[str, int | float]) -> None:
        """Named sizes, in any order; values from outside replace those written."""
        declared = {s.name.id: s for s in program.statements if isinstance(s, tree.ConstDeclaration)}
        for name in overrides:
            if name not in declared:
                close = nearest(name, declared)
                self.sink.add(
                    "PGC101",
                    Span(0, 0),
                    f"the program has no constant {name} to set",
                    help=f"did you mean {close}?" if close else f"declare it: `const {name} = 64`",
                )
        self.model.constants.update({k: Fraction(str(v)) for k, v in overrides.items() if k in declared})
        waiting = [s for s in declared.values() if s.name.id not in self.model.constants]
        while waiting:
            left = []
            for statement in waiting:
                value = evaluate(statement.value, self.model.constants)
                if isinstance(value, Fraction):
                    self.model.constants[statement.name.id] = value
                else:
                    left.append(statement)
            if len(left) == len(waiting):
                for statement in left:
                    text = self.sink.source.snippet(statement.value.span)
                    self.sink.add(
                        "PGC310",
                        statement.value.span,
                        f"`{text}` is not a number known at compile time",
                        help="write `const D = 64`",
                    )
                return
            waiting = left

    def _take(self, name: tree.Name, what: str) -> bool:
        """Reserve a name for one declaration."""
        if name.id in self.taken:
            self.sink.add(
                "PGC107",
                name.span,
                f"{name.id} is declared twice",
                related=[(self.taken[name.id], "first declared here")],
                help=f"remove one, or call this {what} something else",
            )
            return False
        self.taken[name.id] = name.span
        return True

    # --- declarations ---

    def declare(self, statement: tree.Statement) -> None:
        """Names that stand for spaces, sizes, tensors and nets."""
        model, sink = self.model, self.sink
        if isinstance(statement, tree.NetDeclaration | tree.ExternNet) and statement.name.id in FUNCTIONS:
            hidden = statement.name.id
            sink.add(
                "W114",
                statement.name.span,
                f"net {hidden} hides the function {hidden} in this program",
                help=f"call it something else, such as {hidden}_net",
            )
        match statement:
            case tree.ConstDeclaration(name, _):
                self._take(name, "size")
            case tree.SpaceDeclaration(names, expr):
                found = space(expr, model.constants, sink)
                for name in names:
                    if self._take(name, "variable"):
                        model.variables[name.id] = name.span
                        if found is not None:
                            model.spaces[name.id] = found
            case tree.TensorDeclaration(kind, names, expr, initial):
                found = space(expr, model.constants, sink)
                for name in names:
                    if self._take(name, kind) and found is not None:
                        if kind == "input" and initial is not None:
                            read_ramp(name.id, initial, model, sink)
                            initial = None
                        tensor = TensorValue(kind, name.id, found, initial, statement.span)
                        if kind == "buffer" and initial is None:
                            sink.add(
                                "PGC112",
                                statement.span,
                                f"buffer {name.id} has no value, and nothing will give it one",
                                help=f"write `{self.sink.source.snippet(statement.span)} = ...`, or make it a param",
                            )
                        check_initial(tensor, model.constants, sink)
                        model.tensors[name.id] = tensor
            case tree.NetDeclaration(name, inputs, body):
                if self._take(name, "net"):
                    model.nets[name.id] = Net(
                        name.id, None if inputs is None else tuple(n.id for n in inputs), body.stages, name.span
                    )
            case tree.FlowDeclaration(name, inputs, stages):
                if self._take(name, "flow"):
                    model.flows[name.id] = FlowNet(name.id, tuple(n.id for n in inputs or ()), stages, name.span)
            case tree.ExternNet(name, inputs, outputs):
                spaces = [(None if n is None else n.id, space(e, model.constants, sink)) for n, e in outputs]
                if self._take(name, "net"):
                    known = tuple((n, s) for n, s in spaces if s is not None)
                    model.nets[name.id] = ExternNetwork(name.id, tuple(n.id for n in inputs), known, name.span)
            case tree.Unsupported(what):
                sink.add(
                    "PGC010",
                    statement.span,
                    f"{what} are not part of this version",
                    help="see docs/language.md for what is",
                )
            case tree.Optimise():
                self.optimise.append(statement)
            case tree.Structure():
                self.structures.append(statement)
            case _:
                pass

    def define(self, statement: tree.Statement) -> None:
        """Factors, their algebra, deterministic variables and objectives."""
        match statement:
            case tree.Definition(tree.Call(given=None) as head, right) if _is_formula(right):
                # `L(theta, phi; x) = E_q[...]`: papers write what an objective depends on.
                self.define(tree.Definition(tree.Name(head.name, span=head.name_span), right, span=statement.span))
            case tree.Definition(tree.Call() as head, right):
                self._factor(head, right, statement.span)
            case tree.Definition(tree.Name(id=name) as left, right):
                if name in self.formulas:
                    self.sink.add(
                        "PGC107",
                        left.span,
                        f"{name} is defined twice",
                        related=[(self.formulas[name][1], "first defined here")],
                        help="remove one, or call this one something else",
                    )
                    return
                if name in self.taken and name not in self.model.variables:
                    self._take(left, "objective")
                    return
                self.formulas[name] = (right, left.span)
            case tree.Definition(left, _):
                text = self.sink.source.snippet(left.span)
                self.sink.add(
                    "PGC212",
                    left.span,
                    f"`{text}` cannot be defined",
                    help="the left side is a factor such as p(x|z), or a name",
                )
            case tree.ExternFactor(head):
                variables = head_variables(head, self.sink)
                if variables is not None:
                    self._add_factor(Factor(head.name, *variables, Extern(), head.span))
            case _:
                pass

    def _factor(self, head: tree.Call, right: tree.Expr, span: Span) -> None:
        variables = head_variables(head, self.sink)
        if variables is None:
            return
        targets, parents = variables
        value, bindings = (right.value, right.bindings) if isinstance(right, tree.Where) else (right, ())
        if isinstance(value, tree.Call) and value.name == "LogDensity" and value.given is None:
            self._unnormalised(head, targets, parents, value, bindings)
            return
        if isinstance(value, tree.Call) and value.name == "Flow" and value.given is None:
            self._flow(head, targets, parents, value, bindings)
            return
        if isinstance(value, tree.Call) and value.given is None and self._is_family(value, head):
            definition = self._family_use(value, bindings)
            if len(targets) != 1:
                self.sink.add(
                    "PGC212",
                    head.span,
                    f"{value.name} generates one variable, the left side has {len(targets)}",
                    help="give each variable its factor and multiply them",
                )
                definition = None
            if definition is None:
                self._undeclared(value, head, bindings)
            if definition is not None:
                self._add_factor(Factor(head.name, targets, parents, definition, head.span))
            else:
                for v in (*targets, *parents):
                    self.model.variables.setdefault(v, head.span)
                self._add_factor(Factor(head.name, targets, parents, Extern(), head.span))
            return
        if isinstance(value, tree.Sum) and not bindings:
            return  # a mixture, whose components may be declared further down
        if bindings:
            self.sink.add(
                "PGC212",
                bindings[0].span,
                "`where` belongs to a family's parameters",
                help="as in `Normal(m, s) where (m, s) = f(x)`",
            )
        self.algebra.append((head.name, targets, parents, value, head.span))
        self.defined.add(label_key(head.name, targets, parents))

    def experts(self, statement: tree.Proportional) -> None:
        """`q(z|x,y) ∝ q_1(z|x) q_2(z|y)`: a factor of the experts' family, if that is closed under products."""
        left = statement.left
        head = head_variables(left, self.sink) if isinstance(left, tree.Call) else None
        if head is None or not isinstance(left, tree.Call):
            text = " ".join(self.sink.source.snippet(left.span).split())
            self.sink.add("PGC212", left.span, f"`{text}` is no factor", help="write q(z|x,y) ∝ q_1(z|x) q_2(z|y)")
            return
        targets, parents = head
        parts = statement.right.factors if isinstance(statement.right, tree.Product) else (statement.right,)
        found: list[Expert] = []
        for part in parts:
            expert = self._expert(part, targets, "product", "PGC215")
            if expert is None:
                self.sink.unread.add(left.name)
                return
            found.append(expert)
        label = factor_label(left.name, targets, parents)
        declared = {*self.model.tensors, *self.model.constants, "pi"}
        weighing = [n for e in found if e.power is not None for n in sorted(names_in(e.power)) if n not in declared]
        needed = tuple(dict.fromkeys([*(p for e in found for p in e.factor.parents), *weighing]))
        if {*needed} != {*parents}:
            means = factor_label(left.name, targets, needed)
            self.sink.add(
                "PGC208",
                left.span,
                f"the left side is {label}, but the product is conditioned on {', '.join(needed) or 'nothing'}",
                help=f"write {means} on the left",
            )
            return
        try:
            use = product(found, statement.span)
        except NotClosed as reason:
            self.sink.add(
                "PGC215",
                statement.right.span,
                f"the product {label} cannot be normalised",
                reasons=[str(reason)],
                help="use experts of one family, such as Normal",
            )
            return
        self.model.experts[label] = tuple(expert.factor for expert in found)
        self.model.products[label] = tuple((expert.factor, expert.power) for expert in found)
        self._add_factor(Factor(left.name, targets, parents, use, left.span))

    def _unnormalised(
        self,
        head: tree.Call,
        targets: tuple[str, ...],
        parents: tuple[str, ...],
        value: tree.Call,
        bindings: tuple[tree.Binding, ...],
    ) -> None:
        """`p(x) = LogDensity(expr)`: a density by its logarithm, up to a constant."""
        if len(value.args) != 1 or value.args[0].name is not None:
            self.sink.add(
                "PGC311",
                value.span,
                f"LogDensity takes one expression, not {len(value.args)}",
                help=f"write {head.name}({targets[0]}) = LogDensity(-0.5 * sum({targets[0]}^2))",
            )
            for variable in (*targets, *parents):
                self.model.variables.setdefault(variable, head.span)
            self.sink.unread.add(head.name)
            return
        definition = LogDensityUse(value.args[0].value, bindings)
        self._add_factor(Factor(head.name, targets, parents, definition, head.span))

    def _flow(
        self,
        head: tree.Call,
        targets: tuple[str, ...],
        parents: tuple[str, ...],
        value: tree.Call,
        bindings: tuple[tree.Binding, ...],
    ) -> None:
        """`p(x|c) = Flow(Normal(0, 1), f(c))`: a base seen through a flow."""
        read = read_flow(value, parents, self.model, self.sink) if len(targets) == 1 else None
        if len(targets) != 1:
            self.sink.add(
                "PGC212",
                head.span,
                f"a flow generates one variable, the left side has {len(targets)}",
                help="give each variable its factor and multiply them",
            )
        use = self._family_use(read.base, bindings) if read is not None else None
        if read is None or use is None:
            for variable in (*targets, *parents):
                self.model.variables.setdefault(variable, head.span)
            self._add_factor(Factor(head.name, targets, parents, Extern(), head.span))
            return
        others = [f.definition.base_name for f in self.model.factors if isinstance(f.definition, FlowUse)]
        base_name = f"{targets[0]} (base {len(others) + 1})"  # no program can write that
        base = Factor(head.name, (base_name,), parents, use, read.base.span, shown=targets)
        definition = FlowUse(read.flow, read.inverted, read.arguments, base, bindings)
        self._add_factor(Factor(head.name, targets, parents, definition, head.span))

    def mixture(self, left: tree.Call, right: tree.Expr) -> None:
        """`q(z|x,y) = 0.5 q_1(z|x) + 0.5 q_2(z|y)`: a factor that is one of others, chosen by chance."""
        if not isinstance(right, tree.Sum) or (left.given is None and _is_formula(right)):
            return
        head = head_variables(left, self.sink)
        if head is None:
            return
        targets, parents = head
        weights: list[tree.Expr] = []
        found: list[Factor] = []
        for sign, term in right.terms:
            split = split_weight(term)
            if split is None or sign < 0:
                text = " ".join(self.sink.source.snippet(term.span).split())
                self.sink.add(
                    "PGC216",
                    term.span,
                    f"`{text}` is no component of a mixture" if sign > 0 else f"`{text}` has a negative weight",
                    help=_share_help(term, self.sink) or "a mixture is written 0.3 q_1(z|x) + 0.7 q_2(z|y)",
                )
                self.sink.unread.add(left.name)
                return
            expert = self._expert(split[1], targets, "mixture", "PGC216")
            if expert is None:
                self.sink.unread.add(left.name)
                return
            weights.append(split[0])
            found.append(expert.factor)
        numbers = [evaluate(w, self.model.constants) for w in weights]
        known = [n for n in numbers if isinstance(n, Fraction)]
        if len(known) == len(numbers) and (abs(float(sum(known)) - 1) > 1e-6 or any(n <= 0 for n in known)):
            total = float(sum(known))
            self.sink.add(
                "PGC216",
                right.span,
                f"the weights of the mixture {factor_label(left.name, targets, parents)} sum to {total:g}, not to 1",
                help=f"divide each by {total:g}"
                if all(n > 0 for n in known)
                else "a weight is positive: leave the others out",
            )
            self.sink.unread.add(left.name)
            return
        named = {n for w in weights for n in names_in(w)}
        needed = tuple(dict.fromkeys(p for f in found for p in f.parents))
        mentioned = {n for n in named if n not in self.model.tensors and n not in self.model.constants}
        if {*needed} | mentioned != {*parents}:
            means = factor_label(left.name, targets, (*needed, *(m for m in sorted(mentioned) if m not in needed)))
            self.sink.add(
                "PGC208",
                left.span,
                f"the left side is {factor_label(left.name, targets, parents)}, but the mixture is conditioned on "
                f"{', '.join((*needed, *sorted(mentioned))) or 'nothing'}",
                help=f"write {means} on the left",
            )
            self.sink.unread.add(left.name)
            return
        self.model.experts[factor_label(left.name, targets, parents)] = tuple(found)
        self._add_factor(Factor(left.name, targets, parents, Mixture(tuple(weights), tuple(found)), left.span))

    def _expert(self, part: tree.Expr, targets: tuple[str, ...], what: str, code: str) -> Expert | None:
        """One factor of a product, perhaps to a power; None after a report."""
        power: tree.Expr | None = None
        if isinstance(part, tree.Power):
            power = part.exponent
            part = part.base
        head = head_variables(part, self.sink) if isinstance(part, tree.Call) else None
        text = " ".join(self.sink.source.snippet(part.span).split())
        if head is None or not isinstance(part, tree.Call):
            self.sink.add("PGC212", part.span, f"`{text}` is no factor", help="experts are factors such as q_1(z|x)")
            return None
        factor = self.factors.get((part.name, frozenset(head[0]), frozenset(head[1])))
        if factor is None:
            known = ", ".join(f.label for f in self.model.factors if set(f.targets) == set(targets))
            self.sink.add(
                "PGC108",
                part.span,
                f"there is no factor {text}",
                help=f"define it first; factors of {', '.join(targets)} are {known or 'none'}",
            )
            return None
        if set(factor.targets) != set(targets):
            self.sink.add(
                code,
                part.span,
                f"{factor.label} is over {', '.join(factor.targets)}, the {what} over {', '.join(targets)}",
                help="every factor of it speaks of the same variable"
                + ("; a joint is a product, without the plus" if what == "mixture" else ""),
            )
            return None
        return Expert(factor, power)

    def _is_family(self, value: tree.Call, head: tree.Call) -> bool:
        """Whether the right side is a family rather than another factor."""
        if value.name in families():
            return True
        if value.name in self.model.nets or value.name in FUNCTIONS:
            return not any(value.name == f.name for f in self.model.factors)
        keyword = any(a.name is not None or not isinstance(a.value, tree.Name) for a in value.args)
        return keyword or value.name[:1].isupper()

    def _family_use(self, call: tree.Call, bindings: tuple[tree.Binding, ...]) -> FamilyUse | None:
        known = families()
        family = known.get(call.name)
        if family is None:
            self._unknown_family(call)
            return None
        found: dict[str, tree.Expr] = {}
        sound = True
        names = [p.name for p in family.parameters]
        if len(call.args) == 1 and call.args[0].name is None and isinstance(call.args[0].value, tree.Call):
            spread = self._spread(call.args[0].value, names)
            if spread is not None:
                binding, found = spread
                return FamilyUse(family, tuple((n, found[n]) for n in names if n in found), (*bindings, binding))
        for position, argument in enumerate(call.args):
            if argument.name is None and position >= len(names):
                self.sink.add(
                    "PGC311",
                    argument.span,
                    f"{family.name} takes {len(names)} parameters ({', '.join(names)}), and this is one more",
                    help=_decimal_help(call, self.sink) or f"write {family.name}({', '.join(names)})",
                )
                return None
            name: str = argument.name or names[position]
            if name not in names:
                also = {**PARAMETERS[""], **PARAMETERS.get(family.name, {})}
                place = Span(argument.span.start, argument.span.start + len(name))
                self.sink.add(
                    "PGC104",
                    argument.span,
                    f"{family.name} has no parameter {name}",
                    **suggest(name, place, names, f"its parameters are {', '.join(names)}", also),
                )
                sound = False
                continue
            if name in found:
                self.sink.add("PGC313", argument.span, f"{name} is given twice", help="give it once")
                sound = False
            found[name] = argument.value
        self._keep_logits(family, found)
        given = [name for name in family.one_of if name in found]
        if len(given) > 1:
            self.sink.add(
                "PGC313",
                call.span,
                f"{family.name} takes one of {' and '.join(given)}, not both",
                help=f"leave out {given[0]}",
            )
            sound = False
        if family.one_of and not given and sound:
            self.sink.add(
                "PGC312",
                call.span,
                f"{family.name} needs {' or '.join(family.one_of)}",
                help=f"write {family.name}({family.one_of[-1]} = ...)",
            )
            sound = False
        for parameter in family.parameters:
            if parameter.name in found or parameter.name in family.one_of:
                continue
            if parameter.default is not None:
                found[parameter.name] = tree.Number(parameter.default, span=call.span)
            elif sound:
                self.sink.add(
                    "PGC312",
                    call.span,
                    f"{family.name} needs {parameter.name}",
                    help=_comma_help(call, self.sink) or f"its parameters are {', '.join(names)}",
                )
                sound = False
        if not sound:
            return None
        literal = {n: _literal_behind(expr, bindings, self.model.constants) for n, expr in found.items()}
        return FamilyUse(family, tuple((n, literal[n]) for n in names if n in literal), bindings)

    def _unknown_family(self, call: tree.Call) -> None:
        """A name that is no family, and what else is wrong in its brackets."""
        known = families()
        also = {other: f.name for f in known.values() for other in f.also_called}
        if call.name in self.model.nets:
            text = " ".join(self.sink.source.snippet(call.span).split())
            self.sink.add(
                "PGC102",
                call.name_span,
                f"{call.name} is a net, and a factor is a family of distributions",
                help=f"write Normal({text}, 1), say, or Delta({text}) for the value itself",
            )
            return
        if call.name in FUNCTIONS:
            text = " ".join(self.sink.source.snippet(call.span).split())
            self.sink.add(
                "PGC102",
                call.name_span,
                f"{call.name} is a function, and a factor is a family of distributions",
                help=f"write Delta({text}) for the value itself, or Normal({text}, 1), say",
            )
            return
        otherwise = f"families are {', '.join(known)}"
        if call.name in LAYERS:
            otherwise = f"{call.name} is a layer: declare `net f = {call.name}(...)` and write Normal(f(z), 1), say"
        self.sink.add(
            "PGC102",
            call.name_span,
            f"there is no family called {call.name}",
            **suggest(call.name, call.name_span, () if call.name in LAYERS else known, otherwise, also),
        )

    def _undeclared(self, call: tree.Call, head: tree.Call, bindings: tuple[tree.Binding, ...]) -> None:
        """Names that the parameters of an unsound factor use and nothing declares: its types are never looked at."""
        nets = {*self.model.nets, *FUNCTIONS}
        variables = [a.value.id for a in (*head.args, *(head.given or ())) if isinstance(a.value, tree.Name)]
        declared = {*self.model.variables, *self.model.tensors, *self.model.constants, *variables, "pi"}
        bound = {n.id for b in bindings for n in b.names}
        for node in tree.walk(*(a.value for a in call.args), *(b.value for b in bindings)):
            if isinstance(node, tree.Name) and node.id not in declared | bound | nets:
                self.sink.add(
                    "PGC101",
                    node.span,
                    f"{node.id} is not declared",
                    **suggest(node.id, node.span, declared, f"declare it, as in `param {node.id} : real`"),
                )
            if isinstance(node, tree.Call) and node.given is None and node.name not in nets | LAYERS.keys():
                self.sink.add(
                    "PGC103",
                    node.name_span,
                    f"there is no function or net called {node.name}",
                    **suggest(node.name, node.name_span, nets, f"declare it: `net {node.name} = Linear(64)`"),
                )

    def _keep_logits(self, family: Family, found: dict[str, tree.Expr]) -> None:
        """`probs = sigmoid(l)` is `logits = l`: probabilities would lose digits and be logged again."""
        probs = found.get("probs")
        inverse = "softmax" if "logits" in family.one_of and family.parameter("logits").rank else "sigmoid"
        if "logits" in found or not isinstance(probs, tree.Call) or probs.name != inverse or len(probs.args) != 1:
            return
        found["logits"] = probs.args[0].value
        del found["probs"]
        text = self.sink.source.snippet(probs.args[0].value.span)
        self.sink.add("N104", probs.span, f"probs = {inverse}({text}) is kept as logits = {text}")

    def _spread(self, call: tree.Call, names: list[str]) -> tuple[tree.Binding, dict[str, tree.Expr]] | None:
        """`Normal(encoder(x))` where the extern net's results are named as the parameters are."""
        net = self.model.nets.get(call.name)
        if not isinstance(net, ExternNetwork) or len(net.outputs) < 2 or not all(n in names for n, _ in net.outputs):
            return None
        results = tuple(tree.Name(f"{name}", span=call.span) for name, _ in net.outputs if name)
        return tree.Binding(results, call, span=call.span), {name.id: name for name in results}

    def _add_factor(self, factor: Factor) -> None:
        key = (factor.name, frozenset(factor.targets), frozenset(factor.parents))
        other = self.factors.setdefault(key, factor)
        if other is not factor:
            self.sink.add(
                "PGC107",
                factor.span,
                f"{factor.label} is defined twice",
                related=[(other.span, "first defined here")],
                help=f"remove one, or give it a subscript: `{factor.name}_2({factor.label.split('(', 1)[1]}`",
            )
            return
        self.model.factors.append(factor)
        for variable in factor.targets:
            tensor = self.model.tensors.get(variable)
            if tensor is not None:
                self.sink.add(
                    "PGC107",
                    factor.span,
                    f"{variable} is a {tensor.kind}, and {factor.label} generates a variable of that name",
                    related=[(tensor.span, "first declared here")],
                    help=f"call one of them something else; a {tensor.kind} is not drawn",
                )
        for variable in (*factor.targets, *factor.parents):
            self.model.variables.setdefault(variable, factor.span)

    # --- names that stand for formulas ---

    def _variables_scored(self) -> None:
        """Formulas that an objective scores, as in `log p(y)`, are variables."""
        names = {f.name for f in self.factors.values()}
        roots = [expr for expr, _ in self.formulas.values()] + [line.objective for line in self.optimise]
        for node in tree.walk(*roots):
            if isinstance(node, tree.Call) and node.name in names and node.name not in self.model.nets:
                for argument in (*node.args, *(node.given or ())):
                    if isinstance(argument.value, tree.Name) and argument.value.id in self.formulas:
                        self.model.variables.setdefault(argument.value.id, self.formulas[argument.value.id][1])

    def deterministic_or_objective(self) -> None:
        """`name = expr` is a variable if the model uses the name as one, else an objective."""
        self._variables_scored()
        for name, (expr, span) in self.formulas.items():
            if name in self.model.variables:
                value, bindings = (expr.value, expr.bindings) if isinstance(expr, tree.Where) else (expr, ())
                local = {n.id for b in bindings for n in b.names}
                used = (names_in(value) | {n for b in bindings for n in names_in(b.value)}) - local
                parents = tuple(sorted(used & ({*self.model.variables, *self.formulas} - {name})))
                for parent in parents:
                    self.model.variables.setdefault(parent, span)
                self.model.deterministic[name] = Factor("", (name,), parents, Deterministic(value, bindings), span)
                clash = next((f for f in self.model.factors if name in f.targets and f.name == "p"), None)
                if clash is not None:
                    self.sink.add(
                        "PGC202",
                        span,
                        f"{name} is generated twice: by this formula and by {clash.label}",
                        related=[(clash.span, "generated here too")],
                        help="remove one",
                    )
            else:
                self.model.objectives[name] = Objective(name, expr, span)

        for name, span in [
            *((n, o.span) for n, o in self.model.objectives.items() if n in METHODS),
            *((n, s) for n, s in self.model.variables.items() if n in HELPERS),
        ]:
            self.sink.add(
                "PGC115",
                span,
                f"{name} is a name that the emitted module has for itself",
                help=f"call it something else, such as {'nll or elbo' if name == 'loss' else f'{name}_1'}",
            )

    # --- algebra ---

    def resolve_algebra(self) -> Resolver:
        """Definitions by product, marginal and rename."""
        resolver = Resolver(self.model, self.sink)
        for name, targets, parents, expr, span in self.algebra:
            key = label_key(name, targets, parents)
            if key in resolver.pending:
                self.sink.add(
                    "PGC107",
                    span,
                    f"{key} is defined twice",
                    related=[(resolver.pending[key][1], "first defined here")],
                )
                continue
            resolver.pending[key] = (expr, span)
            self._declare_free_factors(expr)
        resolver = self._with(resolver)
        for definition in self.algebra:
            name, targets, parents, _, span = definition
            self._define(definition, resolver.define(label_key(name, targets, parents), span))
        for structure in self.structures:
            self._structure(structure, resolver)
        if self.structures:
            resolver = self._with(resolver)
        return resolver

    def _define(
        self,
        definition: tuple[str, tuple[str, ...], tuple[str, ...], tree.Expr, Span],
        distribution: Distribution | None,
    ) -> None:
        """Name a distribution, if it was found."""
        name, targets, parents, expr, span = definition
        for variable in (*targets, *parents):
            self.model.variables.setdefault(variable, span)
        if distribution is not None:
            self._check_head(name, targets, parents, distribution, expr, span)
            self.model.named.append(NamedDistribution(name, _in_order(distribution, targets), span, variables(parents)))

    def finish_algebra(self, resolver: Resolver) -> None:
        """Definitions with a posterior as a factor."""
        found = resolver.resolve_deferred()
        for definition in self.algebra:
            name, targets, parents, _, _ = definition
            key = label_key(name, targets, parents)
            if key in found:
                self._define(definition, found[key])

    def _with(self, resolver: Resolver) -> Resolver:
        fresh = Resolver(self.model, self.sink)
        fresh.pending = resolver.pending
        return fresh

    def _check_head(
        self,
        name: str,
        targets: tuple[str, ...],
        parents: tuple[str, ...],
        found: Distribution,
        expr: tree.Expr,
        span: Span,
    ) -> None:
        if {*found.targets} == {*variables(targets)} and {*found.parents} == {*variables(parents)}:
            return
        means = label_key(name, map(str, found.targets), map(str, found.parents))
        self.sink.add(
            "PGC208",
            span,
            f"the left side is {label_key(name, targets, parents)}, but the right side is a distribution {means}",
            related=[(expr.span, f"this is {means}")],
            help=_head_help(name, targets, found, self.sink.source.snippet(expr.span), means),
        )

    def _declare_free_factors(self, expr: tree.Expr) -> None:
        """In a program without families, factors of a product exist by being written."""
        if self._has_families():
            return
        self._declare_structure(expr)

    def _has_families(self) -> bool:
        return any(not isinstance(f.definition, Undefined) for f in self.model.factors)

    def _declare_structure(self, expr: tree.Expr) -> None:
        match expr:
            case tree.Call():
                head = head_variables(expr, self.sink)
                known = head is not None and (expr.name, frozenset(head[0]), frozenset(head[1])) in self.factors
                if head is not None and not known and label_key(expr.name, *head) not in self.defined:
                    self._add_factor(Factor(expr.name, *head, Undefined(), expr.span))
            case tree.Product(factors):
                for factor in factors:
                    self._declare_structure(factor)
            case tree.Integral(body, _):
                self._declare_structure(body)
            case tree.Rename(base, _):
                self._declare_structure(base)
            case _:
                pass

    def _structure(self, statement: tree.Structure, resolver: Resolver) -> None:
        if not self._has_families():
            self._declare_structure(statement.expr)
            if self.sink.has_errors:
                return
            resolver = self._with(resolver)
        if isinstance(statement.expr, tree.Call | tree.Product | tree.Integral | tree.Rename | tree.Name):
            found = resolver.resolve(statement.expr)
            if found is not None:
                self.model.structure = found
            return
        text = " ".join(self.sink.source.snippet(statement.expr.span).split())
        self.sink.add("PGC212", statement.span, f"`{text}` has no name", help=f"name it: `elbo = {text}`")

    def check_renames(self) -> None:
        """A variable that takes another's place has its space."""
        for named in self.model.named:
            for atom in named.distribution.atoms:
                for old, new in ((n, v.name) for n, v in atom.renaming if v.is_named):
                    spaces = self.model.spaces.get(old), self.model.spaces.get(new)
                    if spaces[0] is not None and spaces[1] is None:
                        self.model.spaces[new] = spaces[0]
                        continue
                    if None not in spaces and spaces[0] != spaces[1]:
                        self.sink.add(
                            "PGC206",
                            named.span,
                            f"{new} takes the place of {old}, and is `{spaces[1]}` where {old} is `{spaces[0]}`",
                            related=[(self.model.variables.get(new, named.span), f"{new} is declared here")],
                            help=f"declare `{new} : {spaces[0]}`",
                        )


def _is_formula(expr: tree.Expr) -> bool:
    """Whether an expression is an objective: expectations, divergences, logarithms and their sums."""
    match expr:
        case tree.Expectation() | tree.Functional() | tree.Log():
            return True
        case tree.Sum(items):
            return any(_is_formula(item) for _, item in items)
        case tree.Product(items):
            return any(_is_formula(item) for item in items)
        case tree.Negative(operand):
            return _is_formula(operand)
        case tree.Quotient(top, _):
            return _is_formula(top)
        case _:
            return False


def _share_help(term: tree.Expr, sink: Sink) -> str | None:
    """`1/3 q(z|x)`, in which the quotient ends only after the factor."""
    match term:
        case tree.Quotient(tree.Number(share), tree.Product((tree.Number(parts), *factors))) if factors:
            rest = sink.source.snippet(factors[0].span.to(factors[-1].span))
            return f"a factor stands right beside the {parts}: write ({share}/{parts}) {' '.join(rest.split())}"
        case _:
            return None


def _comma_help(call: tree.Call, sink: Sink) -> str | None:
    """Values side by side where a parameter is missing: the comma was forgotten."""
    for argument in call.args:
        if isinstance(argument.value, tree.Product):
            first, second = (" ".join(sink.source.snippet(f.span).split()) for f in argument.value.factors[:2])
            if "*" not in sink.source.snippet(argument.value.span):
                return f"is a comma missing between `{first}` and `{second}`?"
    return None


def _head_help(name: str, targets: tuple[str, ...], found: Distribution, text: str, means: str) -> str:
    """The cure of a head that is not what its right side is: often an integral was forgotten."""
    written = variables(targets)
    left = [t for t in found.targets if t not in written]
    if left and {*written} < {*found.targets} and not found.hidden:
        gone = " ".join(f"d{t}" for t in left)
        return f"integrate {shown(left)} out: `∫ {text} {gone}`, or write {means} = ..."
    return f"write {means} = ..., or change the right side"


def _decimal_help(call: tree.Call, sink: Sink) -> str | None:
    """`0,5` where too many parameters are given: a decimal has a point."""
    found = re.search(r"(\d+),(\d+)", sink.source.snippet(call.span))
    return f"if `{found[0]}` is a decimal, write `{found[1]}.{found[2]}`" if found is not None else None


def _in_order(distribution: Distribution, targets: tuple[str, ...]) -> Distribution:
    """Atoms in the order the head names their targets, where it says."""
    rank = {target: index for index, target in enumerate(variables(targets))}

    def key(atom: Atom) -> int:
        return min((rank[t] for t in atom.targets if t in rank), default=len(rank))

    return Distribution(tuple(sorted(distribution.atoms, key=key)), distribution.hidden, distribution.evidence)


def _literal_behind(expr: tree.Expr, bindings: tuple[tree.Binding, ...], constants: dict[str, Fraction]) -> tree.Expr:
    """The literal that a name of `where` stands for: a table of numbers is one, named or not."""
    named = {b.names[0].id: b.value for b in bindings if len(b.names) == 1}
    value = expr
    while isinstance(value, tree.Name) and value.id in named:
        value = named.pop(value.id)
    return expr if value is expr or evaluate(value, constants) is None else value
