"""Checks of everything an emitted module computes: log-densities, objectives, gradients, losses, samplers.

What is deterministic given its noise must agree to rounding: the reference is given the noise that the module drew.
Where the module knows a closed form the reference draws for itself, and the means of paired differences must vanish.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from pgcompile.model.distributions import Distribution
from pgcompile.model.factors import FactorInstance
from pgcompile.model.kinds import kind_of, unscored
from pgcompile.model.learned import learned_in
from pgcompile.model.names import identifier
from pgcompile.model.nets import ExternNetwork
from pgcompile.model.training import loss_name
from pgcompile.objective import terms
from pgcompile.objective.terms import OBSERVED, Draw, DrawKey, Term
from pgcompile.reference import Reference
from pgcompile.reference.draws import Noise
from pgcompile.reference.formulas import Formulas
from pgcompile.reference.integrals import BeyondBruteForce
from pgcompile.verification.checks import (
    EXACT,
    GROUPS,
    Z_BOUND,
    Check,
    confirmed,
    kolmogorov_smirnov,
    relative,
    score,
    where_finite,
)
from pgcompile.verification.harness import BATCH, Harness
from pgcompile.verification.recording import DrawsDiffer
from pgcompile.verification.sequences import Sequences, lengths_of

if TYPE_CHECKING:
    from pgcompile.compiled import Compiled

_TRIES = 6  # runs compared draw by draw
_FEW = 10  # runs of a group where they must be made one by one
_INNER = 1000  # draws with which the reference averages a divergence, over the runs of a group
_MANY_INNER = 20_000  # the same where something nonlinear acts on the divergence, so that its bias is below the noise
_SAMPLES = 4000
_COORDINATES = 8


def verify(
    program: Compiled,
    supplied: Mapping[str, nn.Module] | None = None,
    *,
    seed: int = 0,
    runs: int = 2400,
    progress: Callable[[str], None] = lambda what: None,
) -> list[Check]:
    """Compare a program's emitted module with the reference interpreter.

    Args:
        program: the compiled program.
        supplied: its extern parts, by the names of the constructor's arguments.
        seed: of parameters, data and noise.
        runs: evaluations of each sampled quantity on either side.
        progress: told what is about to be checked.
    """
    with torch.random.fork_rng():
        verifier = _Verifier(Harness(program, supplied, seed), max(runs // GROUPS, 1))
        checks: list[Check] = []
        for what, found in verifier.checks():
            progress(what)
            try:
                checks += found()
            except BeyondBruteForce as reason:
                checks.append(Check(what, 0.0, 0.0, skipped=str(reason).replace("′", "")))
        return checks


@dataclass
class _Verifier:
    harness: Harness
    each: int
    differences: list[str] = field(default_factory=list)

    def checks(self) -> Iterator[tuple[str, Callable[[], list[Check]]]]:
        """The checks of everything that the module computes, by the name of what is checked."""
        program, module = self.harness.program, self.harness.module
        analysis = program.analysis
        for factor in analysis.model.factors:
            if not factor.targets or unscored(factor, analysis.model.spaces[factor.targets[0]]) is None:
                yield factor.label, partial(self._density, factor.label, Distribution((FactorInstance(factor),)))
        for named in analysis.model.named:
            if named.label in program.scored:
                yield named.label, partial(self._density, named.label, named.distribution)
        if analysis.model.indices.ranges:
            for length in lengths_of(analysis.model.indices):
                yield f"sequences of {length} places", partial(self._sequences, length)
            return
        if hasattr(module, "log_prob"):
            yield "log_prob", self._joint
        for name, term in analysis.objectives.items():
            yield name, partial(self._sampled, name, name, term)
        for name, term, sign in self._losses():
            yield name, partial(self._sampled, name, name, term, sign)
        if "terms" in program.noise:
            for name, term in analysis.objectives.items():
                yield f"terms: {name}", partial(self._sampled, f"terms: {name}", "terms", term, 0, name)
        if hasattr(module, "sample"):
            yield "sample", self._sampler
            yield "sample_mean", self._means

    def _sequences(self, length: int) -> list[Check]:
        return list(Sequences(self.harness, length).checks())

    def _losses(self) -> Iterator[tuple[str, Term, int]]:
        objectives = self.harness.program.analysis.objectives
        lines = [line for line in self.harness.model.optimise if line.objective in objectives]
        for name, line in {loss_name(line, lines): line for line in reversed(lines)}.items():
            yield name, objectives[line.objective], -1 if line.direction == "maximize" else 1

    # --- exact quantities ---

    def _density(self, label: str, distribution: Distribution) -> list[Check]:
        # A density is of values that are there.
        complete = {v: self.harness.complete[v] for v in distribution.target_names if v in self.harness.complete}
        lacking = {v for v in complete if self.harness.model.spaces[v].optional}
        reference = self.harness.reference(observed={**self.harness.observed, **{v: complete[v] for v in lacking}})
        wanted = (*distribution.targets, *distribution.parents)
        values = {v.name: reference.variable(v, OBSERVED).tensor for v in wanted}
        # What a factor is conditioned on may be missing, and its nets are told.
        values |= {v.name: reference.observed[v.name] for v in distribution.parents if v.name in reference.observed}
        values |= self.harness.inputs_of(distribution)
        found = self.harness.module.log_prob_of(label, **{identifier(name): v for name, v in values.items()})
        expected = reference.log_density(distribution, OBSERVED)
        return [Check(f"log {label}", relative(found, expected), EXACT)]

    def _joint(self) -> list[Check]:
        part = self.harness.program.generative
        assert part is not None
        found, expected = self.harness.call("log_prob"), self.harness.reference().log_density(part, OBSERVED)
        return [Check("log_prob", relative(found, expected), EXACT), self._exact_slopes("log_prob", found, expected)]

    def _exact_slopes(self, what: str, found: Tensor, expected: Tensor) -> Check:
        """Gradients of all entries at once, each with a weight of its own."""
        found, expected = where_finite(found, expected)
        weights = torch.randn(found.shape, dtype=torch.float64)
        mine, theirs = (self.harness.slopes((weights * value).sum()) for value in (found, expected))
        worst = [relative(a, b) for a, b in zip(mine, theirs, strict=True)]
        return Check(f"gradient of {what}", max(worst, default=0.0), EXACT, detail=self._worst(worst))

    def _worst(self, deviations: list[float]) -> str:
        names = list(self.harness.parameters)
        return f"worst for {names[deviations.index(max(deviations))]}" if names else ""

    # --- sampled quantities ---

    def _sampled(self, what: str, method: str, term: Term, sign: int = 0, key: str = "") -> list[Check]:
        """An objective, or (with a sign) the loss made of it, or (with a key) one of the terms.

        Compared draw by draw, and by the means of paired differences where a closed form makes that impossible.
        """
        if _enumerates(term):
            return confirmed(partial(self._by_means, what, method, term, sign, key))
        results, calls = self.harness.runs(method, _TRIES)
        try:
            noise = self.harness.noise(method, calls)
        except DrawsDiffer as difference:
            return [Check(what, float("inf"), EXACT, detail=str(difference))]
        reference = self.harness.reference(_TRIES, 1, noise, self._observed(method), shared=True)
        expected = _shaped(self._term(reference, term), _TRIES, sign)
        found = torch.stack([_one(result[key] if key else result, sign) for result in results])
        checks = [
            Check(f"what {variable} of {what} is drawn with", relative(a, b), EXACT)
            for variable, a, b in reference.compared
        ]
        # The slopes come first: a baseline is moved in place, and what was made with it cannot be gone back through.
        exact = [Check(what, relative(found, expected), EXACT), self._exact_slopes(what, found, expected)]
        checks += self._baselines(what, method, term, sign, key)
        checks = [*self._differing(what), *(check for check in checks if not check.passed)]
        closed = self.harness.program.closed_in(method)
        if not (closed or reference.own_draws or _scores(term)) or all(check.passed for check in exact):
            return [*checks, *exact]
        return [*checks, *confirmed(partial(self._by_means, what, method, term, sign, key))]

    def _baselines(self, what: str, method: str, term: Term, sign: int, key: str) -> list[Check]:
        """The change of each run's gradient when a fitted baseline is moved; the mean would not show the baseline."""
        compared = self._compared(term)
        fitted = [p for p, kept in zip(self.harness.parameters.values(), compared, strict=True) if not kept]
        if not fitted:
            return []
        slopes = []
        for shift in (0.0, 0.5):
            with torch.no_grad():
                for parameter in fitted:
                    parameter.add_(shift)
            torch.manual_seed(1)
            results, calls = self.harness.runs(method, _TRIES)
            noise = self.harness.noise(method, calls)
            reference = self.harness.reference(_TRIES, 1, noise, self._observed(method), shared=True)
            expected = _shaped(self._term(reference, term), _TRIES, sign)
            found = torch.stack([_one(result[key] if key else result, sign) for result in results])
            weights = torch.randn(found.shape, dtype=torch.float64)
            slopes.append(torch.stack([self.harness.slopes((weights * value).sum()) for value in (found, expected)]))
        with torch.no_grad():
            for parameter in fitted:
                parameter.sub_(0.5)
        gained = (slopes[1] - slopes[0]) * compared
        return [Check(f"baseline of {what}", relative(gained[0], gained[1]), EXACT)]

    def _by_means(self, what: str, method: str, term: Term, sign: int, key: str, groups: int) -> list[Check]:
        rows = self._by_rows(method, term)
        each = self.each if rows else min(self.each, _FEW)
        nonlinear = _nonlinear(term)
        inner = _MANY_INNER if nonlinear else max(_INNER // each, 10)
        differences, slopes, sizes, slope_sizes = [], [], [], []
        for _ in range(groups):
            found, noise = self._mean_of_runs(method, key, sign, each, rows=rows)
            if _enumerates(term):
                noise = {}  # what is drawn for each enumerated value is no single draw
            # Where the module draws nothing there is nothing to pair: the reference may as well draw more.
            replicates = each if noise else max(each, 80)
            reference = self.harness.reference(replicates, inner, noise, self._observed(method), integrates=nonlinear)
            expected = _shaped(self._term(reference, term), replicates, sign).mean(0)
            mine, theirs = self.harness.slopes(found.mean()), self.harness.slopes(expected.mean())
            differences.append((found - expected).detach())
            slopes.append((mine - theirs) * self._compared(term))
            sizes.append(expected.detach())
            slope_sizes.append(theirs)
        values = score(differences, sizes)
        gradients = score(slopes, slope_sizes)
        worst = [float(g) for g in gradients]
        return [
            *self._differing(what),
            Check(what, float(values.max()), Z_BOUND, "z"),
            Check(f"gradient of {what}", max(worst, default=0.0), Z_BOUND, "z", self._worst(worst)),
        ]

    def _observed(self, method: str) -> dict[str, Tensor] | None:
        """Nothing for a method that asks for no variable: its draws have no batch, nor have the reference's then."""
        return None if self.harness.asks(method) else {}

    def _differing(self, what: str) -> list[Check]:
        """A failed check for each draw of the compiler that is not what the formula says."""
        return [Check(f"draws of {what}", float("inf"), EXACT, detail=text) for text in self.differences]

    def _term(self, reference: Reference, term: Term) -> Tensor:
        """The value of a term, `[replicates, batch]`, without the dimensions that it does not depend on."""
        analysis = self.harness.program.analysis
        formulas = Formulas(reference, analysis.resolver, term)
        value = formulas.whole(next(name for name, known in analysis.objectives.items() if known is term))
        self.differences = formulas.differences
        return value.unsqueeze(-1) if value.ndim == 1 and not reference.observed else value

    def _compared(self, term: Term) -> Tensor:
        """1 for the parameters that an objective says something of, 0 for those of a baseline, which is only fitted."""
        baselines = [draw.estimator.baseline for draw in terms.draws_of(term)]
        fitted = {name for expr in baselines if expr is not None for name in learned_in(expr, self.harness.model)}
        attributes = {self.harness.program.attributes.get(name, name) for name in fitted}
        return torch.tensor(
            [float(name.split(".")[0] not in attributes) for name in self.harness.parameters], dtype=torch.float64
        )

    def _by_rows(self, method: str, term: Term) -> bool:
        """True if each data point has its draws and value to itself, so that many runs are one run of more data."""
        harness = self.harness
        if not all(noise.batched for noise in harness.program.noise[method]):
            return False
        supplied = any(kind_of(f).supplied for f in harness.model.factors)
        supplied = supplied or any(isinstance(net, ExternNetwork) for net in harness.model.nets.values())
        return not (supplied or _over_batch(term))

    def _mean_of_runs(
        self, method: str, key: str, sign: int, count: int, *, rows: bool
    ) -> tuple[Tensor, dict[DrawKey, tuple[Noise, ...]]]:
        """The mean of several runs of a method, and their noise."""
        if rows:
            result, noise = self.harness.replicated(method, count)
            value = result[key] if key else result
            return (value if sign else value.expand(count, BATCH).mean(0)), noise
        results, calls = self.harness.runs(method, count)
        values = [_one(result[key] if key else result, sign) for result in results]
        return torch.stack(values).mean(0), self.harness.noise(method, calls)

    # --- samplers ---

    def _sampler(self) -> list[Check]:
        """Draws of every variable, and of random combinations of all, against the reference's own."""
        part = self.harness.program.generative
        assert part is not None
        given = self.harness.conditions()
        with torch.no_grad():
            inputs = self.harness.inputs_of(part)
            found = self.harness.module.sample((_SAMPLES,), given={**given, **inputs} or None)
            reference = self.harness.reference(observed={v: value.unsqueeze(0) for v, value in given.items()})
            draw = Draw(part, _SAMPLES, OBSERVED)
            expected = {
                v.name: reference.variable(v, OBSERVED.extended(draw.variables, draw)).tensor.reshape(_SAMPLES, -1)
                for v in part.targets
            }
        checks = []
        columns: list[tuple[Tensor, Tensor]] = []
        for name, theirs in expected.items():
            mine = found[name].reshape(_SAMPLES, -1)
            pairs = [(mine[:, i].double(), theirs[:, i].double()) for i in range(min(mine.shape[1], _COORDINATES))]
            columns += pairs
            checks.append(self._distance(f"sample: {name}", pairs))
        if len(columns) > 1:
            checks.append(self._distance("sample: jointly", list(_combined(columns))))
        return checks

    def _distance(self, what: str, pairs: list[tuple[Tensor, Tensor]]) -> Check:
        found = [kolmogorov_smirnov(a, b) for a, b in pairs]
        return Check(what, max(d for d, _ in found), found[0][1], "KS")

    def _means(self) -> list[Check]:
        """Means passed from parents to children."""
        part = self.harness.program.generative
        assert part is not None
        given = self.harness.conditions()
        with torch.no_grad():
            found = self.harness.module.sample_mean((), given={**given, **self.harness.inputs_of(part)} or None)
            reference = self.harness.reference(observed={v: value.unsqueeze(0) for v, value in given.items()})
            draw = Draw(part, 1, OBSERVED)
            expected = {v.name: reference.centre(draw, v).tensor.reshape(-1) for v in part.targets}
        return [
            Check(f"sample_mean: {v}", relative(found[v].reshape(-1).double(), e.double()), EXACT)
            for v, e in expected.items()
        ]


def _shaped(value: Tensor, replicates: int, sign: int) -> Tensor:
    """A term of the reference as `[replicates, batch]`, or the loss that is made of it as `[replicates]`."""
    while value.ndim < 2:
        value = value.unsqueeze(0)
    whole = value.expand(replicates, BATCH)
    return sign * whole.mean(1) if sign else whole


def _one(value: Tensor, sign: int) -> Tensor:
    return value if sign else value.expand(BATCH)


def _combined(columns: list[tuple[Tensor, Tensor]]) -> Iterator[tuple[Tensor, Tensor]]:
    """Random combinations of coordinates, each brought to its ranks first so that none outweighs the others."""
    generator = torch.Generator().manual_seed(0)
    ranked = []
    for mine, theirs in columns:
        points = theirs.sort().values
        scaled = [torch.searchsorted(points, x.contiguous(), right=True) / len(points) for x in (mine, theirs)]
        ranked.append(scaled)
    for _ in range(_COORDINATES):
        weights = torch.randn(len(ranked), generator=generator, dtype=torch.float64)
        sides = [sum((w * pair[i] for w, pair in zip(weights, ranked, strict=True)), torch.zeros(())) for i in (0, 1)]
        yield sides[0], sides[1]


def _nonlinear(term: Term) -> bool:
    """True if something nonlinear acts on a mean, so that an average of it is not the value of its average."""
    return any(map(_acts_on_average, terms.walk(term)))


def _acts_on_average(term: Term) -> bool:
    match term:
        case terms.Multiply(factors):
            return sum(map(_has_average, factors)) > 1
        case terms.Apply(function, arguments):
            return function not in ("mean", "sum", "detach") and any(map(_has_average, arguments))
        case terms.Divide(_, bottom):
            return _has_average(bottom)
        case terms.Raise():
            return _has_average(term)
        case _:
            return False


def _enumerates(term: Term) -> bool:
    """True if a variable takes every value in turn."""
    return any(draw.enumerated for draw in terms.draws_of(term))


def _scores(term: Term) -> bool:
    """True if a gradient is carried by a score function or leaves parts out that are zero in the mean."""
    return any(draw.scored or draw.estimator.grad in ("stl", "dreg") for draw in terms.draws_of(term))


def _over_batch(term: Term) -> bool:
    """True if a term takes a mean or a sum over the batch."""
    totals = (isinstance(inner, terms.Apply) and inner.function in ("mean", "sum") for inner in terms.walk(term))
    penalties = (isinstance(inner, terms.Discrepancy) for inner in terms.walk(term))
    return any(terms.over_rows(term)) or any(totals) or any(penalties)


def _has_average(term: Term) -> bool:
    """True if a term has a mean in it that the module knows exactly and the reference averages."""
    return any(
        isinstance(inner, terms.Divergence) or (isinstance(inner, terms.Expectation) and inner.draw.enumerated)
        for inner in terms.walk(term)
    )
