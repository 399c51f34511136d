"""Remarks on the model as a whole: what nothing uses, and what nothing trains."""

from collections.abc import Mapping

from pgcompile.diagnostics import Sink
from pgcompile.inference.distributions import Resolver
from pgcompile.inference.generative import generative_part
from pgcompile.model.factors import factor_label
from pgcompile.model.kinds import expressions_of, kind_of, supplied_in
from pgcompile.model.learned import learnables_of, owned_by, with_inner_nets
from pgcompile.model.model import Model
from pgcompile.model.nets import Net
from pgcompile.objective.terms import Term, atoms_in, every_atom
from pgcompile.syntax import tree
from pgcompile.syntax.subscripts import Literal, subscripts
from pgcompile.syntax.tree import Functional, calls_in, names_in, walk


def check_model(model: Model, resolver: Resolver, objectives: Mapping[str, Term], sink: Sink) -> None:
    """Warnings about the model as a whole.

    Args:
        model: what the program declares.
        resolver: of its distributions.
        objectives: its objectives, resolved.
        sink: where warnings go.
    """
    if model.is_structure:
        return
    _unused_nets(model, sink)
    _unused_parents(model, sink)
    _unused_formulas(model, sink)
    if objectives:
        _unused_factors(model, resolver, objectives, sink)
        _untrained(model, sink)
        _idle_lines(model, objectives, sink)


def _unused_nets(model: Model, sink: Sink) -> None:
    for net in model.nets.values():
        if isinstance(net, Net) and net.input_spaces is None and not net.copied:
            sink.add(
                "W107",
                net.span,
                f"net {net.name} is never called, so its sizes are not known and it is left out",
                help="remove it, or call it",
            )
    for flow in model.flows.values():
        if flow.sized is None:
            sink.add(
                "W107",
                flow.span,
                f"flow {flow.name} is never used, so its sizes are not known and it is left out",
                help=f"remove it, or use it: `p(x) = Flow(Normal(0, 1), {flow.name})`",
            )


def _unused_formulas(model: Model, sink: Sink) -> None:
    """A deterministic variable that nothing uses: perhaps it was meant as an objective."""
    factors = [*model.factors, *model.deterministic.values()]
    used = {name for factor in factors for name in factor.parents}
    # What a factor is conditioned on through a variable is written out in it, as a clause of that name.
    clauses = (b for f in model.factors for b in kind_of(f).bindings(f.definition))
    used |= {name.id for clause in clauses for name in clause.names}
    used |= {v.name for named in model.named for v in (*named.distribution.targets, *named.distribution.parents)}
    used |= {name for objective in model.objectives.values() for name in names_in(objective.expr)}
    for lag, found in model.indices.lags.items():
        if lag in used:
            used |= {found.of, *(name for start in found.starts for name in names_in(start))}
    for name, factor in model.deterministic.items():
        space = model.spaces.get(name)
        if name not in used and space is not None:
            sink.add(
                "W130",
                factor.span,
                f"nothing uses {name}, which is `{space}`",
                help=f"use it in a factor or an objective; an objective is one number: `{name} = sum(...)`"
                if space.shape
                else "use it in a factor or an objective",
            )


def _unused_parents(model: Model, sink: Sink) -> None:
    """A parent that no parameter of the factor depends on."""
    for factor in model.factors:
        kind = kind_of(factor)
        if not kind.parametrised:
            continue
        bindings = kind.bindings(factor.definition)
        bound = {name.id: names_in(b.value) for b in bindings for name in b.names}
        bodies = [binding.value for binding in bindings]
        used: set[str] = set()
        pending = [name for expr in expressions_of(factor) if expr not in bodies for name in names_in(expr)]
        while pending:
            name = pending.pop()
            if name not in used:
                used.add(name)
                pending += bound.get(name, ())
        for parent in factor.parents:
            if parent not in used:
                without = factor_label(factor.name, factor.targets, tuple(p for p in factor.parents if p in used))
                sink.add(
                    "W123",
                    factor.span,
                    f"{factor.label} does not depend on {parent}: no parameter uses it",
                    help=f"use {parent}, or write {without}",
                )


def _unused_factors(model: Model, resolver: Resolver, objectives: Mapping[str, Term], sink: Sink) -> None:
    used = {atom.factor for term in objectives.values() for atom in atoms_in(term)}
    generative = generative_part(model, resolver)
    used |= {atom.factor for atom in generative.atoms} if generative is not None else set()
    used |= {atom.factor for named in model.named for atom in every_atom(named.distribution)}
    used |= {expert for label, experts in model.experts.items() for expert in experts}
    for factor in model.factors:
        if factor not in used:
            sink.add(
                "W108", factor.span, f"no objective uses {factor.label}", help="remove it, or use it in an objective"
            )


def _untrained(model: Model, sink: Sink) -> None:
    """Nets, flows and params that are in no `wrt`, where every line has one."""
    lines = model.optimise
    if not lines or any(line.wrt is None for line in lines):
        return
    covered = owned_by({name for line in lines for name in line.wrt or ()}, model)
    learned = [
        *(
            ("net", n, net.span)
            for n, net in model.nets.items()
            if isinstance(net, Net) and net.input_spaces is not None
        ),
        *(("flow", n, flow.span) for n, flow in model.flows.items() if flow.sized is not None),
        *(("param", n, tensor.span) for n, tensor in model.tensors.items() if tensor.kind == "param"),
    ]
    for kind, name, span in learned:
        if name not in covered:
            sink.add(
                "W109",
                span,
                f"{kind} {name} is in no `wrt`, so it is never trained",
                help=f"add {name} to one of them",
            )


def _idle_lines(model: Model, objectives: Mapping[str, Term], sink: Sink) -> None:
    """Lines whose `wrt` names nothing that their objective depends on: there would be no gradient (PGC410)."""
    for line in model.optimise:
        term = objectives.get(line.objective)
        if line.wrt is None or term is None:
            continue
        trained = {n for n in owned_by(set(line.wrt), model) if _is_learned(n, model)}
        if trained and not trained & _learned_by(line.objective, term, model):
            sink.add(
                "PGC410",
                line.span,
                f"{line.objective} does not depend on {', '.join(line.wrt)}, so this line would train nothing",
                help="name what the objective is made of, or leave wrt out",
            )


def _is_learned(name: str, model: Model) -> bool:
    if name in model.tensors:
        return model.tensors[name].kind == "param"
    supplied = any(name in supplied_in(factor) for factor in model.factors)
    return name in model.nets or name in model.flows or supplied


def _learned_by(objective: str, term: Term, model: Model) -> set[str]:
    """The learned parts of an objective: those of its factors, its text and its deterministic variables."""
    found: set[str] = set()
    for factor in {*(atom.factor for atom in atoms_in(term)), *model.deterministic.values()}:
        found |= learnables_of(factor, model)
    pending, seen = [objective], set[str]()
    while pending:
        name = pending.pop()
        if name in seen or name not in model.objectives:
            continue
        seen.add(name)
        expr = model.objectives[name].expr
        pending += names_in(expr)
        found |= names_in(expr) | {call.name for call in calls_in(expr)}
        found |= {node.kind.partition("_")[2] for node in walk(expr) if isinstance(node, Functional)}  # JS_d
    for factor in model.factors:
        if factor.name in found or factor.label in found:
            found |= learnables_of(factor, model)
    return with_inner_nets(found, model)


def check_declarations(program: tree.Program, model: Model, sink: Sink) -> None:
    """Warnings about params, buffers, inputs and variables that are declared and never named again."""
    used = {name for lag in model.indices.lags.values() for start in lag.starts for name in names_in(start)}
    declared: dict[str, tuple[str, tree.Name]] = {}
    for statement in program.statements:
        own: tuple[tree.Name, ...] = ()
        if isinstance(statement, tree.TensorDeclaration):
            own = statement.names
            declared |= {n.id: (statement.kind, n) for n in own}
        elif isinstance(statement, tree.SpaceDeclaration):
            own = statement.names
            declared |= {n.id: ("variable", n) for n in own}
        elif isinstance(statement, tree.NetDeclaration) and statement.inputs is not None:
            own = statement.inputs
        kept = {id(n) for n in own}
        used |= {n.id for n in tree.walk(statement) if isinstance(n, tree.Name) and id(n) not in kept}
    bases = {found[0] for name in used if (found := subscripts(name, model.indices)) is not None}
    for name, (kind, node) in declared.items():
        base, places = subscripts(name, model.indices) or (name, ())
        start = places[0].named(base) if len(places) == 1 and isinstance(places[0], Literal) else name
        if not used & {name, start} and not (places and base in bases):
            sink.add("W120", node.span, f"{kind} {name} is declared, and nothing uses it", help="remove it, or use it")
