"""The names of the stages of a flow, and what they lead to."""

from pgcompile.model.flows import FlowNet
from pgcompile.model.model import Model
from pgcompile.syntax import tree


def stage_name(expr: tree.Expr) -> str:
    """The name of a stage as it is written, with its `.inv`; empty where it has none."""
    return expr.id if isinstance(expr, tree.Name) else expr.name if isinstance(expr, tree.Call) else ""


def flow_name(expr: tree.Expr) -> str:
    """The name of a stage without `.inv`."""
    return stage_name(expr).removesuffix(".inv")


def splits(stages: tuple[tree.Expr | tree.Repeat, ...]) -> bool:
    """True if a `Split` is among some stages, or among those that they repeat."""
    return any(splits(s.stages) if isinstance(s, tree.Repeat) else flow_name(s) == "Split" for s in stages)


def mentions(flow: FlowNet, name: str, model: Model) -> bool:
    """True if a flow is made from another, directly or not."""
    pending, seen = list(flow.stages), {flow.name}
    while pending:
        stage = pending.pop()
        if isinstance(stage, tree.Repeat):
            pending += stage.stages
            continue
        found = flow_name(stage)
        if found == name:
            return True
        if found in model.flows and found not in seen:
            seen.add(found)
            pending += model.flows[found].stages
    return False
