"""Methods of objectives, of their losses, and of all terms at once."""

from dataclasses import replace

from pgcompile.model.training import OptimiseLine
from pgcompile.objective.derivation import Rewritten
from pgcompile.objective.leaves import AggregateLeaf, BatchMean, BatchSum, ClosedLeaf, DiscrepancyLeaf, NamedLeaf
from pgcompile.plan.builder import Builder
from pgcompile.plan.by_place import by_places
from pgcompile.plan.lower.objectives import ObjectiveLowering
from pgcompile.plan.methods.description import Method
from pgcompile.plan.methods.maker import MethodMaker
from pgcompile.plan.passes.batch_mean import batch_mean
from pgcompile.plan.values import Value


def objective_method(methods: MethodMaker, name: str, formula: str, objectives: dict[str, Rewritten]) -> Method:
    """A method of one objective, or of several that share their draws."""
    lowering = methods.lowering()
    for rewritten in objectives.values():
        methods.take_observed(lowering, rewritten)
    outputs = []
    for key, rewritten in objectives.items():
        with lowering.builder.within(methods.origin(key)):
            value = for_each_row(lowering.builder, ObjectiveLowering(lowering, rewritten).run(), rewritten)
        lowering.builder.name(value, key, materialize=len(objectives) > 1)
        outputs.append((key, value))
    method = methods.finished(name, formula, lowering, outputs)
    return replace(method, by_place=by_places(method.outputs, methods.model.indices.ranges))


def apart(objectives: list[Method]) -> Method:
    """The method of several objectives that calls the methods of each: what they take."""
    arguments = {a.name: a for method in objectives for a in method.arguments}
    taken = sorted(arguments.values(), key=lambda a: (a.is_input, a.optional))
    return replace(
        objectives[0], name="terms", formula="every named term", arguments=tuple(taken), outputs=(), by_place=()
    )


def for_each_row(builder: Builder, value: Value, rewritten: Rewritten) -> Value:
    """A value that turned out not to depend on what is observed, once for each data point.

    What is one number for the whole batch, as an MMD or a `mean` over it, stays one number.
    """
    source = builder.batch_source
    if source is None or is_over_batch(rewritten) or (value.batched and _has_own_row(value)):
        return value
    tensor = builder.tensor(builder.as_tensor(value))
    return builder.make("expand_lead", (tensor, source), shape=(), batched=True, axes=())


def _has_own_row(value: Value) -> bool:
    """True if a value is made of the row that it stands at, and not of the other rows alone."""
    pending, seen = [value], set[int]()
    while pending:
        part = pending.pop()
        if part.number in seen or part.op == "other_rows":
            continue
        if part.op == "argument" and part.batched:
            return True
        seen.add(part.number)
        pending += part.args
    return False


def is_over_batch(rewritten: Rewritten) -> bool:
    """True if a part of an objective is one number for all data points together."""
    return rewritten.expr.has(BatchMean, BatchSum) or any(
        isinstance(leaf, AggregateLeaf)
        or (isinstance(leaf, DiscrepancyLeaf) and leaf.term.kind in ("MMD", "SW"))
        or (isinstance(leaf, NamedLeaf) and is_over_batch(leaf.value))
        for leaf in rewritten.leaves.values()
    )


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
