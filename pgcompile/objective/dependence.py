"""The variables of a term, where each comes from, and what depends on what."""

from collections.abc import Iterable, Iterator

from pgcompile.model.dependence import formula_parents
from pgcompile.model.distributions import Distribution
from pgcompile.model.factors import base_name
from pgcompile.model.model import Model
from pgcompile.model.variable import Variable, variables
from pgcompile.objective import terms
from pgcompile.objective.terms import Draw, Env, Term
from pgcompile.syntax import tree
from pgcompile.syntax.mapped import mapped
from pgcompile.syntax.tree import names_in

Place = tuple[Variable, Env]
"""A variable where a formula speaks of it: its draw is that of the environment."""


def closure(found: Iterable[Variable], model: Model) -> set[Variable]:
    """Variables with everything that the deterministic ones among them are made of."""
    known: set[Variable] = set()
    pending = list(found)
    while pending:
        variable = pending.pop()
        if variable not in known:
            known.add(variable)
            pending.extend(formula_parents(variable, model) or ())
    return known


def variables_in(expr: tree.Expr, model: Model) -> tuple[Variable, ...]:
    """The variables of the model that an expression names, in the order of their names."""
    known = {*model.variables, *model.deterministic, *model.rows}
    return variables(name for name in sorted(names_in(expr)) if name in known)


def pointwise_variables(
    expr: tree.Expr, densities: Iterable[tuple[tree.Expr, Distribution]], model: Model
) -> tuple[Variable, ...]:
    """The variables of an expression, and of the densities that its derivatives hold."""
    scored = [v for at, density in densities for v in ((*density.targets, *density.parents) if _is_scored(at) else ())]
    scored += [v for at, density in densities if not _is_scored(at) for v in density.parents]
    return tuple(dict.fromkeys((*variables_in(without_factors(expr), model), *scored)))


def _is_scored(at: tree.Expr) -> bool:
    """True of a density, which is taken at the value of its variable; a quantile is not."""
    return not (isinstance(at, tree.Call) and at.name == "quantile")


def without_factors(expr: tree.Expr) -> tree.Expr:
    """An expression without the factors in its quantiles, whose variables are not given."""

    def change(node: tree.Expr) -> tree.Expr:
        if isinstance(node, tree.Call) and node.name == "quantile" and node.given is None and len(node.args) == 2:
            return change(node.args[1].value)
        found: tree.Expr = mapped(node, change)
        return found

    return change(expr)


def mentioned(term: Term, model: Model) -> list[Place]:
    """The variables that a term speaks of itself, without the terms inside it."""
    match term:
        case terms.Pointwise(expr, env, _, densities):
            return [(v, env) for v in pointwise_variables(expr, densities, model)]
        case terms.Entries(_, atom, env):
            return [(v, env) for v in (*atom.targets, *atom.parents)]
        case terms.LogDensity(distribution, env):
            return [(v, env) for v in (*distribution.targets, *distribution.parents)]
        case terms.Expectation(draw):
            baseline = draw.estimator.baseline
            outside = () if baseline is None else variables_in(baseline, model)
            return [*_of_draw(draw, model), *((v, draw.env) for v in outside)]
        case terms.Aggregate(draw=draw, atom=atom):
            return [(v, draw.env) for v in atom.parents]
        case terms.Discrepancy(left=one, right=other):
            return [place for draw in (one, other) for place in _of_draw(draw, model)]
        case terms.Divergence(draw=draw, left=left, right=right, env=env):
            inside = env.extended(draw.variables, draw)
            return [(v, inside) for v in (*left.parents, *(right.parents if right is not None else ()))]
        case _:
            return []


def _of_draw(draw: Draw, model: Model) -> list[Place]:
    """The variables that a draw is conditioned on, and the data that it is taken from."""
    if draw.rows:
        return [(own_row(v, model), draw.env) for v in draw.variables]
    data = [t for a in draw.distribution.atoms if a.factor.is_data for t in a.targets]
    return [(v, draw.inside) for v in (*draw.distribution.parents, *data)]


def own_row(variable: Variable, model: Model) -> Variable:
    """`x` for `x'`, which is its value at another row."""
    return Variable(model.rows[variable.name])


def sources(place: Place, model: Model, path: Env | None = None) -> Iterator[Place]:
    """A variable and, through deterministic variables, what it is computed from, up to what is drawn or observed.

    Args:
        place: the variable.
        model: what it belongs to.
        path: where variables at other places of an index come from; those are not gone through without it.
    """
    pending, seen = [place], set()
    while pending:
        here = pending.pop()
        if here in seen:
            continue
        seen.add(here)
        yield here
        variable, env = here
        lag = model.indices.lags.get(variable.name)
        if lag is not None and path is not None:
            starts = [Variable(s.id) for s in lag.starts if isinstance(s, tree.Name) and s.id not in model.tensors]
            pending.extend((v, path) for v in (Variable(lag.of), *starts))
        elif env.get(variable) is None:
            pending.extend((v, env) for v in formula_parents(variable, model) or ())


def carried_along(model: Model) -> set[Variable]:
    """The variables that later places of an index depend on: what is used at another place, and what makes it."""
    found: set[Variable] = set()
    pending = [Variable(lag.of) for lag in model.indices.lags.values() if lag.reach != "all"]
    while pending:
        variable = pending.pop()
        if variable in found:
            continue
        found.add(variable)
        pending += formula_parents(variable, model) or ()
        drawn = (f for f in model.factors if variable.name in f.targets and base_name(f.name) != "p")
        pending += variables(p for factor in drawn for p in factor.parents)
    return found


def path_of(term: Term) -> Env:
    """The environment of variables at other places of an index: what draws each variable in the whole of a term."""
    env = Env()
    for draw in terms.draws_of(term):
        if not draw.rows:
            env = env.extended(tuple(v for v in draw.variables if env.get(v) is None), draw)
    return env


def observed_variables(term: Term, model: Model) -> set[str]:
    """Names of the variables that a formula speaks of and nothing draws: the arguments of its method."""
    found: set[str] = set()
    path = path_of(term) if model.indices.lags else Env()
    for inner in terms.walk(term):
        for place in mentioned(inner, model):
            for variable, env in sources(place, model, path):
                if variable.name in model.indices.lags:
                    continue
                draw = env.get(variable)
                is_data = draw.gives_data(variable) if draw is not None else formula_parents(variable, model) is None
                if is_data and variable.name in model.variables:
                    found.add(variable.name)
    return found


def depends_on(place: Place, draw: Draw, blocked: set[Variable], model: Model) -> bool:
    """True if a variable, through deterministic ones and other draws, depends on some variables of a draw."""
    pending, seen = [place], set()
    while pending:
        here = pending.pop()
        if here in seen:
            continue
        seen.add(here)
        variable, env = here
        source = env.get(variable)
        if source is not None and source == draw:
            if variable in blocked:
                return True
        elif source is not None and source.rows:
            pending.append((own_row(variable, model), source.env))
        elif source is not None:
            parents = source.distribution.parents
            pending.extend((v, where) for v in parents for where in (source.inside, source.env))
        else:
            pending.extend((v, env) for v in formula_parents(variable, model) or ())
    return False


def speaks_of(term: Term, draw: Draw, drawn: set[Variable], model: Model) -> bool:
    """True if a term depends on some variables of a draw."""
    return any(depends_on(place, draw, drawn, model) for inner in terms.walk(term) for place in mentioned(inner, model))
