"""Methods of objectives, of their losses, and of all terms at once."""

from pgcompile.model.training import OptimiseLine
from pgcompile.objective.derivation import Rewritten
from pgcompile.objective.leaves import ClosedLeaf, NamedLeaf
from pgcompile.plan.lower.objectives import ObjectiveLowering
from pgcompile.plan.methods.description import Method
from pgcompile.plan.methods.maker import MethodMaker
from pgcompile.plan.passes.batch_mean import batch_mean


def objective_method(methods: MethodMaker, name: str, formula: str, objectives: dict[str, Rewritten]) -> Method:
    """A method of one objective, or of several that share their draws."""
    lowering = methods.lowering()
    for rewritten in objectives.values():
        methods.take_observed(lowering, rewritten)
    outputs = []
    for key, rewritten in objectives.items():
        with lowering.builder.within(methods.origin(key)):
            value = ObjectiveLowering(lowering, rewritten).run()
        lowering.builder.name(value, key, materialize=len(objectives) > 1)
        outputs.append((key, value))
    return methods.finished(name, formula, lowering, outputs)


def mean_method(methods: MethodMaker, name: str, line: OptimiseLine, rewritten: Rewritten) -> Method:
    """The method that a training step minimises: the objective's mean over the batch, with its sign."""
    lowering = methods.lowering()
    methods.take_observed(lowering, rewritten)
    with lowering.builder.within(methods.origin(line.objective)):
        value = ObjectiveLowering(lowering, rewritten).run()
        mean = batch_mean(lowering.builder, value, -1 if line.direction == "maximize" else 1)
    return methods.finished(name, line.objective, lowering, [(name, mean)])


def has_closed_form(rewritten: Rewritten) -> bool:
    """True if an expectation of an objective is taken in closed form."""
    return any(
        isinstance(leaf, ClosedLeaf) or (isinstance(leaf, NamedLeaf) and has_closed_form(leaf.value))
        for leaf in rewritten.leaves.values()
    )
