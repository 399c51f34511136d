"""The whole model at a glance: its generative part, its graph, and what a careful reviewer would remark on."""

from collections.abc import Mapping

import networkx as nx

from pgcompile.diagnostics import InternalError, Sink
from pgcompile.inference.algebra import find_cycle
from pgcompile.inference.distributions import Resolver
from pgcompile.model.values import (
    Atom,
    Data,
    Deterministic,
    Distribution,
    Evidence,
    Extern,
    Factor,
    FamilyUse,
    FlowUse,
    LogDensityUse,
    Mixture,
    Model,
    Net,
    Pushforward,
    Undefined,
    base_name,
    factor_label,
    other_flows,
)
from pgcompile.objective import terms
from pgcompile.objective.terms import Term
from pgcompile.syntax import tree
from pgcompile.typing.expressions import calls_in, names_in


def generative_part(model: Model, resolver: Resolver) -> Distribution | None:
    """The product of all `p` factors (or, where none is called p, those named as the first factor is).

    None where they are no product: a variable is generated twice, or they condition on each other.
    """
    if model.structure is not None:
        return model.structure
    if not model.factors:
        return None
    names = [base_name(f.name) for f in model.factors]
    atoms = resolver.family("p" if "p" in names else names[0])
    atoms = [a for a in atoms if not isinstance(a.factor.definition, Data)]
    product = Distribution(tuple(atoms))
    sound = len(set(product.targets)) == len(product.targets) and find_cycle(product) is None
    return product if atoms and sound else None


def graph_of(model: Model, distribution: Distribution | None) -> nx.DiGraph:
    """Variables as nodes (each with the `factor` that generates it, if one does), edges from parent to child."""
    graph = nx.DiGraph()
    atoms: list[Atom | Factor] = (
        list(distribution.atoms) if distribution is not None else [Atom(f) for f in model.factors]
    )
    mentioned = {str(v) for atom in atoms for v in (*atom.targets, *atom.parents)}
    atoms += [f for name, f in model.deterministic.items() if name in mentioned or {*f.parents} <= mentioned]
    for atom in atoms:
        targets, parents = [str(v) for v in atom.targets], [str(v) for v in atom.parents]
        for target in targets:
            label = atom.label if atom.label[0] != "(" else f"{target} = f({','.join(parents)})"
            graph.add_node(target, factor=label)
        for parent in parents:
            if parent not in graph:
                graph.add_node(parent, factor=None)
            graph.add_edges_from((parent, target) for target in targets)
    return graph


def check_model(model: Model, resolver: Resolver, objectives: Mapping[str, Term], sink: Sink) -> None:
    """Warnings about the model as a whole."""
    if model.is_structure:
        return
    _unused_nets(model, sink)
    _unused_parents(model, sink)
    if objectives:
        _unused_factors(model, resolver, objectives, sink)
        _untrained(model, sink)


def _unused_nets(model: Model, sink: Sink) -> None:
    for net in model.nets.values():
        if isinstance(net, Net) and net.input_spaces is None:
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


def _unused_parents(model: Model, sink: Sink) -> None:
    """A parent that no parameter of the factor depends on."""
    for factor in model.factors:
        definition = factor.definition
        if not isinstance(definition, FamilyUse | FlowUse):
            continue
        bound = {name.id: names_in(b.value) for b in definition.bindings for name in b.names}
        used: set[str] = set()
        exprs = list(definition.arguments) if isinstance(definition, FlowUse) else []
        inner = definition.base.definition if isinstance(definition, FlowUse) else definition
        exprs += [expr for _, expr in inner.parameters] if isinstance(inner, FamilyUse) else []
        pending = [name for expr in exprs for name in names_in(expr)]
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
    used |= {atom.factor for named in model.named for atom in _all_atoms(named.distribution)}
    used |= {expert for label, experts in model.experts.items() for expert in experts}
    for factor in model.factors:
        if factor not in used:
            sink.add(
                "W108", factor.span, f"no objective uses {factor.label}", help="remove it, or use it in an objective"
            )


def _untrained(model: Model, sink: Sink) -> None:
    lines = model.optimise
    if not lines or any(line.wrt is None for line in lines):
        return
    named = {name for line in lines for name in line.wrt or ()}
    covered = owned_by(named, model)
    for name, net in model.nets.items():
        if name not in covered and isinstance(net, Net) and net.input_spaces is not None:
            sink.add(
                "W109",
                net.span,
                f"net {name} is in no `wrt`, so it is never trained",
                help=f"add {name} to one of them",
            )
    for name, flow in model.flows.items():
        if name not in covered and flow.sized is not None:
            sink.add(
                "W109",
                flow.span,
                f"flow {name} is in no `wrt`, so it is never trained",
                help=f"add {name} to one of them",
            )
    for name, tensor in model.tensors.items():
        if tensor.kind == "param" and name not in covered:
            sink.add(
                "W109",
                tensor.span,
                f"param {name} is in no `wrt`, so it is never trained",
                help=f"add {name} to one of them",
            )


def flows_in(name: str, model: Model) -> set[str]:
    """The flows that a flow is made from."""
    sized = model.flows[name].sized
    return {f for other in (other_flows(sized.steps) if sized else ()) for f in (other, *flows_in(other, model))}


def learnables_of(factor: Factor, model: Model) -> set[str]:
    """Nets, flows and params that a factor's parameters are computed with."""
    found: set[str] = set()
    match factor.definition:
        case FamilyUse(parameters=parameters, bindings=bindings):
            exprs = [e for _, e in parameters] + [b.value for b in bindings]
        case Deterministic(expr, bindings):
            exprs = [expr, *(b.value for b in bindings)]
        case Extern():
            return {factor.label}
        case Evidence(prior=prior, likelihood=likelihood):
            return learnables_of(prior.factor, model) | learnables_of(likelihood.factor, model)
        case Pushforward(base=base, forward=forward):
            return learnables_of(base.factor, model) | learned_in(forward, model)
        case Mixture(weights, components):
            parts = {n for c in components for n in learnables_of(c, model)}
            return parts | {n for w in weights for n in names_in(w) if n in model.tensors}
        case FlowUse(flow=flow, arguments=arguments, base=base):
            exprs = list(arguments)
            found = {flow, *flows_in(flow, model), *learnables_of(base, model)}
        case LogDensityUse(expr, bindings):
            exprs = [expr, *(b.value for b in bindings)]
        case Undefined() | Data():
            return set()
        case _:
            raise InternalError("an unknown kind of factor")
    for expr in exprs:
        found |= {call.name for call in calls_in(expr) if call.name in model.nets}
        found |= {name for name in names_in(expr) if name in model.tensors and model.tensors[name].kind == "param"}
        found |= {name for name in names_in(expr) if name in model.nets}  # as in weight(f)
    return with_inner_nets(found, model)


def owned_by(names: set[str], model: Model) -> set[str]:
    """Nets, flows and params that a `wrt` stands for: those it names, and those its distributions are computed with."""
    found = with_inner_nets(names, model)
    for factor in model.factors:
        if factor.name in names or factor.label in names:
            found |= learnables_of(factor, model)
    return found


def with_inner_nets(names: set[str], model: Model) -> set[str]:
    """Names with the nets that those among them that are nets are made from."""
    found = set(names)
    stack = list(found)
    while stack:
        net = model.nets.get(stack.pop())
        if isinstance(net, Net):
            inner = {c.name for stage in net.stages for c in calls_in(stage) if c.name in model.nets}
            inner |= {n for stage in net.stages for n in names_in(stage) if n in model.nets}
            stack += [n for n in inner if n not in found]
            found |= inner
    return found


def learned_in(expr: tree.Expr, model: Model) -> set[str]:
    """Nets and params in an expression, leaving out what is detached."""
    found: set[str] = set()
    pending: list[tree.Node] = [expr]
    while pending:
        node = pending.pop()
        if isinstance(node, tree.Call) and node.name == "detach":
            continue
        if isinstance(node, tree.Call) and node.name in model.nets:
            found.add(node.name)
        if isinstance(node, tree.Name) and node.id in model.tensors and model.tensors[node.id].kind == "param":
            found.add(node.id)
        pending += tree.children(node)
    return found


def signed(term: Term, sign: int = 1) -> list[tuple[int, Term]]:
    """The terms of a sum with their signs, through references and constant factors."""
    match term:
        case terms.Add(items):
            return [pair for s, item in items for pair in signed(item, sign * s)]
        case terms.Reference(_, inner):
            return signed(inner, sign)
        case terms.Multiply(factors):
            rest = [f for f in factors if not isinstance(f, terms.Constant | terms.Plain)]
            constants = [f.value for f in factors if isinstance(f, terms.Constant)]
            for value in constants:
                sign = -sign if value < 0 else sign
            return signed(rest[0], sign) if len(rest) == 1 else [(sign, term)]
        case _:
            return [(sign, term)]


def _all_atoms(distribution: Distribution) -> list[Atom]:
    """The factors of a distribution, those included that it was solved from."""
    origin = distribution.origin
    return [*distribution.atoms, *(origin.atoms if origin is not None else ())]


def atoms_in(term: Term) -> list[Atom]:
    """Every factor that a term speaks of."""
    match term:
        case terms.LogDensity(distribution):
            return _all_atoms(distribution)
        case terms.Expectation(draw, body):
            return [*_all_atoms(draw.distribution), *atoms_in(body)]
        case terms.Aggregate(atom=atom):
            return [atom]
        case terms.Discrepancy(left=one, right=other):
            return [*one.distribution.atoms, *other.distribution.atoms]
        case terms.Divergence(draw=draw, left=left, right=right):
            return [a for d in (draw.distribution, left, right) if d is not None for a in _all_atoms(d)]
        case terms.Add(items):
            return [a for _, item in items for a in atoms_in(item)]
        case terms.Multiply(items) | terms.Apply(arguments=items):
            return [a for item in items for a in atoms_in(item)]
        case terms.Divide(top, bottom) | terms.Raise(top, bottom):
            return [*atoms_in(top), *atoms_in(bottom)]
        case terms.Reference(_, inner):
            return atoms_in(inner)
        case _:
            return []
