"""Methods that compute what another method computes already call it."""

from dataclasses import replace

from pgcompile.plan.builder import Builder
from pgcompile.plan.methods.description import Delegate, Form, LossMethod, Method, ModulePlan, TableMethod
from pgcompile.plan.structure import Structures, count_operations
from pgcompile.plan.values import Value
from pgcompile.syntax.tree import names_in
from pgcompile.vocabulary.spaces import FINITE_KINDS

FEWEST_SAVED = 2
"""A loss or the terms have statements of their own where these save as many kernels forward, and as many backward."""


def delegate(plan: ModulePlan) -> None:
    """Let losses, terms and log-densities call other methods of the class where their own statements save little."""
    plan.losses = [_loss(loss) for loss in plan.losses]
    plan.log_densities = [(label, _density(plan, label, method)) for label, method in plan.log_densities]
    scored = {label: method.same_as for label, method in plan.log_densities}
    plan.tables = [_table(plan, table, scored.get(table.label)) for table in plan.tables]
    if plan.terms is not None and not plan.terms_one_by_one:
        plan.terms_one_by_one = _saved_by_terms(plan, plan.terms) < FEWEST_SAVED
    if plan.terms is not None and not plan.terms_one_by_one:
        plan.objectives = [_objective(plan, objective, plan.terms) for objective in plan.objectives]


def _values(method: Method) -> list[Value]:
    return [value for _, value in method.outputs]


def _loss(loss: LossMethod) -> LossMethod:
    """`-self.elbo(x).mean()`, where one sum over the whole batch is hardly cheaper."""
    objective = loss.objective
    minus = loss.line.direction == "maximize"
    whole = count_operations(_values(objective)) + (2 if minus else 1)
    if not objective.batched or whole - count_operations(_values(loss.mean)) >= FEWEST_SAVED:
        return loss
    names = tuple(argument.name for argument in objective.arguments)
    form = Form.MINUS_MEAN if minus else Form.MEAN
    return replace(loss, mean=replace(loss.mean, same_as=Delegate(objective.name, form, names)))


def _objective(plan: ModulePlan, objective: Method, terms: Method) -> Method:
    """`self.terms(x)["total"]`, for an objective whose formula has others in it and that is made of all there is."""
    if not names_in(plan.model.objectives[objective.name].expr) & plan.model.objectives.keys():
        return objective
    values, every = _values(objective), _values(terms)
    names = tuple(argument.name for argument in terms.arguments)
    if {a.name for a in objective.arguments} != {*names} or count_operations(values) < count_operations(every):
        return objective
    structures = Structures()
    among = {structures.of(value) for value in every}
    if any(structures.of(value) not in among for value in values):
        return objective
    return replace(objective, same_as=Delegate(terms.name, Form.TERM, names))


def _density(plan: ModulePlan, label: str, method: Method) -> Method:
    """The log-density that an objective is already, or that of a table which the class can make."""
    structures = Structures()
    (value,) = _values(method)
    for objective in plan.objectives:
        same = {a.name for a in objective.arguments} == {a.name for a in method.arguments}
        if same and structures.of(_values(objective)[0]) == structures.of(value):
            names = tuple(argument.name for argument in objective.arguments)
            return replace(method, same_as=Delegate(objective.name, Form.VALUE, names))
    table = next((table for table in plan.tables if table.label == label), None)
    return method if table is None else replace(method, same_as=_of_table(table))


def _table(plan: ModulePlan, table: TableMethod, scored: Delegate | None) -> TableMethod:
    """A table without conditions as what an objective is at every value of its variables."""
    if scored is None or scored.form is not Form.VALUE or table.method.arguments:
        return table
    if count_operations(_values(table.method)) <= len(table.variables) + FEWEST_SAVED:
        return table
    builder = Builder()
    sizes = table.sizes
    values: dict[str, Value] = {}
    for place, ((variable, space), size) in enumerate(zip(table.variables, sizes, strict=True)):
        kind, others = FINITE_KINDS.get(space.kind, "boolean"), sizes[:place] + sizes[place + 1 :]
        shape = sizes + ((size,) if space.kind == "one_hot" else ())
        anchor = plan.tensors.like(builder)
        made = builder.make("grid", (anchor,), (kind, size, others, place), shape=shape, batched=False, axes=())
        values[variable] = builder.name(made, variable, materialize=True)
    given = tuple(values[name] for name in scored.arguments)
    value = builder.make("procedure", given, (scored.name, 1), shape=sizes, batched=False, axes=())
    value = builder.name(value, "logits")
    return replace(table, method=replace(table.method, outputs=((table.method.name, value),), builder=builder))


def _of_table(table: TableMethod) -> Delegate:
    names = tuple(argument.name for argument in table.method.arguments)
    return Delegate(table.method.name, Form.LOG_PROB, names)


def _saved_by_terms(plan: ModulePlan, terms: Method) -> int:
    alone = sum(count_operations(_values(method)) for method in plan.objectives)
    return alone - count_operations(_values(terms))
