"""The modules and parameters that each training line trains, as attributes of the emitted class."""

from dataclasses import dataclass

from pgcompile.model.kinds import kind_of
from pgcompile.model.learned import flows_in, owned_by
from pgcompile.model.model import Model
from pgcompile.model.names import attribute_name, factor_attribute
from pgcompile.model.nets import Net
from pgcompile.model.training import OptimiseLine
from pgcompile.plan.module_attributes import ModuleAttributes


@dataclass(frozen=True)
class Trained:
    """The parts of a class that a line trains: modules, and parameters of its own."""

    modules: tuple[str, ...]
    parameters: tuple[str, ...]


def trained_by(line: OptimiseLine, model: Model, tensors: ModuleAttributes) -> Trained | None:
    """The modules and parameters that `wrt` names; None for everything.

    A distribution stands for all that its parameters are computed with.
    """
    if line.wrt is None:
        return None
    owners = owned_by(set(line.wrt), model)
    named = [f for f in model.factors if f.name in line.wrt or f.label in line.wrt]
    labels = {factor_attribute(f) for f in named if kind_of(f).supplied}
    owners |= {inner for name in owners if name in model.flows for inner in flows_in(name, model)}
    segments = {
        segment.attribute: name
        for name, net in model.nets.items()
        if isinstance(net, Net)
        for segment in net.segments or ()
        if hasattr(segment, "attribute")
    }
    modules = [name for name in tensors.modules if segments.get(name) in owners]
    modules += [name for name in tensors.externs if name in owners or name in labels]
    modules += [name for name in tensors.flows if name in owners]
    mine = [attribute_name(t) for t in tensors.parameters.values() if t.kind == "param" and t.name in owners]
    everything = len(modules) == len(tensors.modules) + len(tensors.externs) + len(tensors.flows) and len(mine) == sum(
        t.kind == "param" for t in tensors.parameters.values()
    )
    return None if everything else Trained(tuple(modules), tuple(mine))
