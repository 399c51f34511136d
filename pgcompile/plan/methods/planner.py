"""The plan of a class: its objectives and losses, factors, log-densities and sampler."""

from pgcompile.model.distributions import Distribution
from pgcompile.model.kinds import kind_of
from pgcompile.model.model import Model
from pgcompile.model.training import loss_name
from pgcompile.objective.derivation import Rewritten
from pgcompile.objective.terms import OBSERVED
from pgcompile.plan.check import check_plan
from pgcompile.plan.methods.densities import add_log_densities
from pgcompile.plan.methods.description import LossMethod, ModulePlan
from pgcompile.plan.methods.factors import add_factors
from pgcompile.plan.methods.maker import MethodMaker
from pgcompile.plan.methods.objectives import apart, has_closed_form, mean_method, objective_method
from pgcompile.plan.methods.samplers import sampler_of
from pgcompile.plan.methods.sequence_samplers import sequence_sampler_of
from pgcompile.plan.module_attributes import ModuleAttributes
from pgcompile.plan.passes.delegation import delegate
from pgcompile.plan.passes.procedures import share
from pgcompile.syntax.format import format_expr


def plan_module(model: Model, generative: Distribution | None, objectives: dict[str, Rewritten]) -> ModulePlan:
    """The plan of a class.

    Args:
        model: what the program declares.
        generative: the product of its generative factors, None where they are no product.
        objectives: its objectives after every rule, by name.
    """
    methods = MethodMaker(model, ModuleAttributes(model))
    plan = ModulePlan(model, methods.tensors, generative=generative)
    for name, rewritten in objectives.items():
        formula = " ".join(format_expr(model.objectives[name].expr).split())
        plan.objectives.append(objective_method(methods, name, formula, {name: rewritten}))
    plan.closed = frozenset(name for name, rewritten in objectives.items() if has_closed_form(rewritten))
    _add_losses(methods, plan, objectives)
    if len({rewritten.path for rewritten in objectives.values()} - {OBSERVED}) > 1:
        # What is drawn along a sequence is drawn for each of them.
        plan.terms, plan.terms_one_by_one = apart(plan.objectives), True
    elif len(objectives) > 1:
        plan.terms = objective_method(methods, "terms", "every named term, in one pass", objectives)
    add_factors(methods, plan)
    add_log_densities(methods, plan, generative)
    if (
        generative is not None
        and not model.indices.carried
        and all(kind_of(atom.factor).normalised for atom in generative.atoms)
    ):
        plan.sampler = sampler_of(methods, generative, plan.factors)
    if generative is not None and model.indices.carried and all(kind_of(a.factor).normalised for a in generative.atoms):
        plan.sequences = sequence_sampler_of(methods, generative, plan.factors)
    check_plan(plan)
    delegate(plan)
    share(plan)
    check_plan(plan)
    return plan


def _add_losses(methods: MethodMaker, plan: ModulePlan, objectives: dict[str, Rewritten]) -> None:
    """Add the scalar that each optimisation line minimises; lines that minimise the same share it."""
    by_name = {method.name: method for method in plan.objectives}
    lines = [line for line in methods.model.optimise if line.objective in by_name]
    for line in lines:
        name = loss_name(line, lines)
        if all(loss.name != name for loss in plan.losses):
            mean = mean_method(methods, name, line, objectives[line.objective])
            plan.losses.append(LossMethod(name, line, by_name[line.objective], mean))
