"""Learned parts of a model: the nets, flows and params behind a factor or an expression."""

from pgcompile.model.distributions import Distribution
from pgcompile.model.factors import Factor
from pgcompile.model.flows import referenced_flows, supplied_nets
from pgcompile.model.kinds import expressions_of, flows_of, supplied_in
from pgcompile.model.model import Model
from pgcompile.model.nets import Net
from pgcompile.syntax import tree
from pgcompile.syntax.tree import calls_in, names_in


def flows_in(name: str, model: Model) -> set[str]:
    """The flows that a flow is made from."""
    sized = model.flows[name].sized
    return {f for other in (referenced_flows(sized.steps) if sized else ()) for f in (other, *flows_in(other, model))}


def learnables_of(factor: Factor, model: Model) -> set[str]:
    """Nets, flows and params that a factor's parameters are computed with, and labels of what Python supplies."""
    flows = flows_of(factor)
    found = {*flows, *supplied_in(factor), *(inner for flow in flows for inner in flows_in(flow, model))}
    for expr in expressions_of(factor):
        found |= {call.name for call in calls_in(expr) if call.name in model.nets}
        found |= {name for name in names_in(expr) if name in model.nets}  # as in weight(f)
        found |= {name for name in names_in(expr) if name in model.tensors and model.tensors[name].kind == "param"}
    return with_inner_nets(found, model)


def owned_by(names: set[str], model: Model) -> set[str]:
    """Nets, flows and params that a `wrt` stands for: those it names, and those its distributions are computed with."""
    found = with_inner_nets(names, model)
    for factor in model.factors:
        if factor.name in names or factor.label in names:
            found |= learnables_of(factor, model)
    for named in model.named:
        if named.name in names or named.label in names:
            for factor in factors_behind(named.distribution):
                found |= learnables_of(factor, model)
    return found


def factors_behind(distribution: Distribution) -> list[Factor]:
    """The factors of a distribution, and those that it was solved from."""
    origin = distribution.origin
    return [a.factor for part in (distribution, origin) if part is not None for a in part.atoms]


def with_inner_nets(names: set[str], model: Model) -> set[str]:
    """Names with the nets that the nets among them are made from, and those that Python supplies to the flows."""
    found = set(names)
    stack = list(found)
    while stack:
        name = stack.pop()
        net = model.nets.get(name)
        flow = model.flows.get(name)
        if flow is not None and flow.sized is not None:
            found |= {each.name for each in supplied_nets(flow.sized.steps)}
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
