"""The sampler of a model with indices: what is shared, then place after place, or all places of plates at once."""

from fractions import Fraction

from pgcompile.inference.algebra import order_atoms
from pgcompile.model.distributions import Distribution, names_of
from pgcompile.model.factors import Deterministic, Factor, FactorInstance, base_name
from pgcompile.model.literals import evaluate
from pgcompile.plan.methods.description import Carry, FactorMethod, SampleStep, SequenceSampler
from pgcompile.plan.methods.maker import MethodMaker
from pgcompile.plan.methods.samplers import conditions_of, step_of, with_deterministic
from pgcompile.syntax import tree


def sequence_sampler_of(
    methods: MethodMaker, generative: Distribution, factors: list[FactorMethod]
) -> SequenceSampler | None:
    """The sampler of a model with indices.

    None where it would have to go both ways through an index, or through two indices one inside the other.
    """
    indices = methods.model.indices
    by_factor = {method.factor: method for method in factors if not method.first}
    atoms = order_atoms(generative)
    generated = {name for atom in atoms for name in names_of(atom)[0]}
    order = with_deterministic(methods, atoms, generated)
    made = [name for item in order for name in names_of(item)[0]]
    used = {p for item in order for p in names_of(item)[1]}
    lags = {name: lag for name, lag in indices.lags.items() if name in used}
    ones = {name: lag for name, lag in lags.items() if lag.reach == "one"}
    times = dict.fromkeys(lag.index for name, lag in lags.items() if name not in ones)
    behind = any((lag.offset > 0 and not lag.reach) or lag.reach == "all" for lag in lags.values())
    if len(times) > 1 or behind or any(lag.reach and lag.of not in made for lag in lags.values()):
        return None
    runs = {name: lag for name, lag in lags.items() if lag.reach}
    late = _descendants(order, {*ones})
    if any(indices.of(name) for name in late):
        return None  # a place that needs a later one, or an end that is not known yet
    if any(isinstance(item, Factor) and (runs.keys() - ones.keys()) & {*item.parents} for item in order):
        return None  # a formula of a run is computed where all places are known
    named = [s.id for lag in lags.values() for s in lag.starts if isinstance(s, tree.Name)]
    starts = [s for s in named if _literal(methods, s) is None]
    missing = [methods.model.deterministic[s] for s in starts if s in methods.model.deterministic and s not in made]
    literals = [i for i in order if isinstance(i, Factor) and _literal(methods, i.targets[0]) is not None]
    order = [*dict.fromkeys(missing), *(item for item in order if item not in literals)]
    made += [f.targets[0] for f in missing]
    conditioned = conditions_of(order, generated) - lags.keys()
    conditioned |= {lag.of for lag in lags.values() if lag.of not in made}
    conditioned |= {s for s in starts if s not in made and s not in methods.model.tensors}
    steps = {
        name: step_of(methods, item, by_factor, one_place=True) for item in order for name in names_of(item)[0][:1]
    }
    shared = [step for name, step in steps.items() if not indices.of(name) and name not in late]
    placed = [step for name, step in steps.items() if indices.of(name)]
    time = next(iter(times), None)
    if any(time not in (None, *indices.of(step.variable)) for step in placed):
        return None  # a plate beside a sequence is drawn by neither
    plates = tuple(i for i in indices.ranges if i != time and any(i in indices.of(s.variable) for s in placed))
    inputs = tuple(dict.fromkeys(i for step in steps.values() for i in step.inputs))
    return SequenceSampler(
        generative.spelled,
        tuple(shared),
        tuple(placed),
        tuple(step for name, step in steps.items() if name in late),
        tuple((name, lag.of, lag.offset) for name, lag in ones.items()),
        time,
        plates,
        _carried(methods, [name for name in lags if name not in runs]),
        _guides(methods, factors, {s.variable for s in placed if s.factor is not None}),
        _firsts(methods, factors, {(a.factor.name, a.factor.targets) for a in atoms}),
        tuple(v for v in methods.model.variables if v in conditioned),
        inputs,
    )


def _descendants(order: "list[FactorInstance | Factor]", names: set[str]) -> set[str]:
    """Variables computed from some variables."""
    found: set[str] = set()
    for item in order:
        targets, parents = names_of(item)
        if (names | found) & {*parents}:
            found |= {*targets}
    return found


def _literal(methods: MethodMaker, name: str) -> Fraction | None:
    """The number that a deterministic variable is, where it is one."""
    factor = methods.model.deterministic.get(name)
    if factor is None or not isinstance(factor.definition, Deterministic) or factor.definition.bindings:
        return None
    found = evaluate(factor.definition.expr, methods.model.constants)
    return found if isinstance(found, Fraction) else None


def _carried(methods: MethodMaker, names: list[str]) -> tuple[Carry, ...]:
    """Carried variables, the farthest first, so that each takes the value of the next before that changes."""
    indices = methods.model.indices
    found: list[Carry] = []
    bases = dict.fromkeys(indices.lags[n].of for n in names)
    for base in bases:
        own = {-lag.offset: (name, lag) for name, lag in indices.lags_of(base) if not lag.reach}
        farthest = max(own)
        starts = own[farthest][1].starts
        for distance in range(farthest, 0, -1):
            name = own[distance][0] if distance in own else f"{base}_back_{distance}"
            nearer = own[distance - 1][0] if distance - 1 in own else f"{base}_back_{distance - 1}"
            start = starts[farthest - distance]
            named = start.id if isinstance(start, tree.Name) else None
            written = evaluate(start, methods.model.constants)
            number = _literal(methods, named) if named is not None else written
            if isinstance(number, Fraction):
                named = None
            found.append(
                Carry(
                    name,
                    base if distance == 1 else nearer,
                    named,
                    float(number) if isinstance(number, Fraction) else 0.0,
                )
            )
    return tuple(found)


def _guides(methods: MethodMaker, factors: list[FactorMethod], drawn: set[str]) -> tuple[tuple[str, SampleStep], ...]:
    """A factor of the posterior for each drawn variable that has one over what a place may know."""
    found = []
    later = {name for name, lag in methods.model.indices.lags.items() if lag.offset > 0 or lag.is_run or lag.reach}
    for method in factors:
        factor = method.factor
        if base_name(factor.name) == "p" or len(factor.targets) != 1 or factor.targets[0] not in drawn:
            continue
        if not {*factor.parents} & later:
            found.append(
                (factor.targets[0], step_of(methods, FactorInstance(factor), {factor: method}, one_place=True))
            )
    return tuple(found)


def _firsts(
    methods: MethodMaker, factors: list[FactorMethod], generated: set[tuple[str, tuple[str, ...]]]
) -> tuple[tuple[str, SampleStep], ...]:
    found = []
    for method in factors:
        if method.first and (method.factor.name, method.factor.targets) in generated:
            factor: Factor = method.factor
            found.append(
                (factor.targets[0], step_of(methods, FactorInstance(factor), {factor: method}, one_place=True))
            )
    return tuple(found)
