"""Checks of what speaks of whole sequences, against the program written out place by place.

The module is given sequences of one, two and five places, and the judge the same numbers as variables of their own.
Noise that the module drew for all places is handed over place by place.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import product
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from pgcompile.inference.generative import generative_part
from pgcompile.model.distributions import Distribution
from pgcompile.model.indices import Indices
from pgcompile.model.names import identifier
from pgcompile.model.variable import Variable
from pgcompile.objective.dependence import closure
from pgcompile.objective.terms import OBSERVED, Draw, draws_of
from pgcompile.plan.axes import length_name
from pgcompile.reference.index_reading import place_name
from pgcompile.reference.spaces import values_in
from pgcompile.syntax import tree
from pgcompile.syntax.places import places_of
from pgcompile.verification.checks import (
    EXACT,
    Z_BOUND,
    Check,
    confirmed,
    kolmogorov_smirnov,
    relative,
    score,
    where_finite,
)
from pgcompile.verification.harness import BATCH, Harness
from pgcompile.verification.recording import Call, recording
from pgcompile.verification.written_out import WrittenOut, place_of

if TYPE_CHECKING:
    from pgcompile.compiled import Compiled

_LENGTHS = (1, 2, 5)
_TRIES = 4
_EACH = 10
_SAMPLES = 4000


def lengths_of(indices: Indices) -> tuple[int, ...]:
    """The lengths at which a program is run: short ones, but as long as the places that it names, such as x_3."""
    named = (lag.offset + 1 for lag in indices.lags.values() if lag.reach == "one")
    shortest = max(named, default=1)
    return tuple(sorted({max(length, shortest) for length in _LENGTHS}))


@dataclass
class Sequences:
    """One program at one length of its sequences; padded ones have lengths of their own up to it.

    Args:
        harness: the module and its parameters.
        length: the number of places of every index without a size of its own.
    """

    harness: Harness
    length: int
    given: dict[str, int] = field(init=False)
    data: dict[str, Tensor] = field(init=False)
    judges: list[WrittenOut] = field(init=False)

    def __post_init__(self) -> None:
        ranges = self.harness.model.indices.ranges
        self.given = {name: known.size or self.length for name, known in ranges.items()}
        for name, known in ranges.items():
            if known.total is not None and known.total in self.harness.model.tensors:
                # A bound of bare names counts each data point once, as far as the judge reads it.
                share = 1.0 if self._has_bounds() else 1.7
                self.harness.inputs[known.total] = torch.tensor(share * self.given[name], dtype=torch.float64)
        padded = [known for known in ranges.values() if known.lengths is not None]
        lengths = {k.name: [max(self.given[k.name] - 2 * row, 1) for row in range(BATCH)] for k in padded}
        self.data = self._data({k.lengths: torch.tensor(lengths[k.name]) for k in padded if k.lengths is not None})
        groups: dict[tuple[tuple[str, int], ...], list[int]] = {}
        for row in range(BATCH):
            groups.setdefault(tuple((name, own[row]) for name, own in lengths.items()), []).append(row)
        self.judges = [
            WrittenOut(self.harness, self.given, {**self.given, **dict(own)}, rows, self.data)
            for own, rows in groups.items()
        ]
        for name in self.data:  # what stands behind the end is nothing
            self._spoil(name, lengths)

    def _has_bounds(self) -> bool:
        """True if a formula sums over places without a sum of its own."""
        found = tree.walk(*(o.expr for o in self.harness.model.objectives.values()))
        return any(
            isinstance(n, tree.Whole) or (isinstance(n, tree.Functional) and not isinstance(n.left, tree.Call))
            for n in found
        )

    @property
    def program(self) -> Compiled:
        """The program."""
        return self.harness.program

    def _data(self, lengths: dict[str, Tensor]) -> dict[str, Tensor]:
        """Sequences for the module."""
        model, generator = self.harness.model, torch.Generator().manual_seed(self.length)
        found = dict(lengths)
        for name in model.variables:
            space = model.spaces.get(name)
            if space is not None and name not in model.indices.lags:
                sizes = tuple(self.given[i] for i in model.indices.of(name))
                shape = (BATCH, *sizes, *space.shape)
                found[identifier(name)] = values_in(space.kind, shape, space.categories, generator)
        return found

    def _spoil(self, name: str, lengths: dict[str, list[int]]) -> None:
        """Put what is no number behind the ends of a padded sequence."""
        model = self.harness.model
        own = next((v for v in model.variables if identifier(v) == name), None)
        carried = () if own is None else model.indices.of(own)
        if own is None or own in model.deterministic or not self.data[name].is_floating_point():
            return
        value = self.data[name].clone()
        for at, index in enumerate(carried):
            for row, length in enumerate(lengths.get(index, [])):
                value[row].narrow(at, length, value.shape[1 + at] - length).fill_(torch.nan)
        self.data[name] = value

    # --- the module ---

    def call(self, name: str) -> Any:
        """A method on the data that it asks for."""
        method = getattr(self.harness.module, identifier(name))
        values = {**self.data, **{identifier(k): v for k, v in self.harness.inputs.items()}}
        wanted = inspect.signature(method).parameters
        return method(**{k: v for k, v in values.items() if k in wanted})

    # --- checks ---

    def checks(self) -> Iterator[Check]:
        """The joint log-density, the objectives, the losses and the terms."""
        module, suffix = self.harness.module, f" of {self.length} places"
        first = self.judges[0]
        part = generative_part(first.model, first.resolver)
        if hasattr(module, "log_prob") and part is not None:
            found, expected = self.call("log_prob"), self._together(lambda judge: _log_prob(judge))
            yield Check(f"log_prob{suffix}", relative(found, expected), EXACT)
            yield self._slopes(f"gradient of log_prob{suffix}", found, expected)
        for name in self.program.analysis.objectives:
            yield from self._objective(f"{name}{suffix}", name, "", 0, name)
        runs = any(lag.is_run for lag in self.harness.model.indices.lags.values())
        drawn = self.length == lengths_of(self.harness.model.indices)[-2:][0]
        if hasattr(module, "sample") and part is not None and drawn and not runs:
            yield from self._sampler(first, part)
        lines = [o for o in self.harness.model.optimise if o.objective in first.terms]
        for method in self.program.losses:
            line = next((o for o in lines if method in ("loss", f"loss_{o.objective}")), None)
            if line is not None:
                sign = -1 if line.direction == "maximize" else 1
                yield from self._objective(f"{method}{suffix}", method, "", sign, line.objective)
        if "terms" in self.program.noise and len(first.terms) > 1:
            for name in self.program.analysis.objectives:
                yield from self._objective(f"terms: {name}{suffix}", "terms", name, 0, name)

    def _sampler(self, judge: WrittenOut, part: Distribution) -> Iterator[Check]:
        """Draws of every variable at every place, and of random combinations of all, against the judge's own."""
        needed = closure(part.parents, judge.model)
        conditions = [v.name for v in needed if v.name not in judge.model.deterministic]
        conditions = [name for name in conditions if Variable(name) not in part.targets]
        given = {n: self.data[n][0] for n in self.data if self._is_condition(n, conditions)}
        inputs = self.harness.inputs_of(part)
        method = self.harness.module.sample
        asked = inspect.signature(method).parameters
        sizes = {length_name(known): self.given[i] for i, known in self.harness.model.indices.ranges.items()}
        with torch.no_grad():
            found = method((_SAMPLES,), {**given, **inputs} or None, **{k: v for k, v in sizes.items() if k in asked})
            observed = {v: value[:1] for v, value in judge.observed.items() if v in conditions}
            reference = judge.reference(observed=observed)
            draw = Draw(part, _SAMPLES, OBSERVED)
            inside = OBSERVED.extended(draw.variables, draw)
            columns: list[tuple[Tensor, Tensor]] = []
            for name in self.harness.model.variables:
                split = places_of(name)
                if identifier(name) not in found or name in self.harness.model.deterministic:
                    continue
                mine = found[identifier(name)]
                grid = product(*(range(self.given[i]) for i in self.harness.model.indices.of(name)))
                for at in grid:
                    own = place_name(split[0], tuple(k + 1 for k in at)) if split is not None else name
                    if Variable(own) not in part.targets:
                        continue
                    theirs = reference.variable(Variable(own), inside).tensor.reshape(_SAMPLES, -1)
                    here = place_of(mine, at).reshape(_SAMPLES, -1)
                    columns += [(here[:, i].double(), theirs[:, i].double()) for i in range(min(here.shape[1], 4))]
        if columns:
            columns += _combined(columns)
            distances = [kolmogorov_smirnov(a, b) for a, b in columns]
            yield Check(f"sample of {self.length} places", max(d for d, _ in distances), distances[0][1], "KS")

    def _is_condition(self, name: str, conditions: list[str]) -> bool:
        for own in self.harness.model.variables:
            if identifier(own) == name:
                split = places_of(own)
                base = own if split is None else place_name(split[0], (1,) * len(split[1]))
                return base in conditions
        return False

    def _objective(self, what: str, method: str, key: str, sign: int, name: str) -> Iterator[Check]:
        """Draw by draw, with divergences averaged over the same draws or known; else by the means of many runs."""
        found, calls = self._runs(method, key, sign, _TRIES)
        tried = []
        for integrates in (True, False):
            expected = self._term(method, name, sign, calls, integrates=integrates)
            slopes = self._slopes(f"gradient of {what}", found, expected)
            exact = [Check(what, relative(found, expected), EXACT), slopes]
            tried.append(exact)
            if all(check.passed for check in exact):
                yield from exact
                return
        own = draws_of(self.program.analysis.objectives[name])
        # The judge may take every value of what the module draws, and weighs by a score function.
        once = all(draw.samples == 1 and not draw.scored for draw in (*draws_of(self.judges[0].terms[name]), *own))
        if once and not self.program.closed_in(method):
            yield from tried[1]
            return
        yield from confirmed(partial(self._by_means, what, method, key, sign, name))

    def _runs(self, method: str, key: str, sign: int, count: int) -> tuple[Tensor, list[list[Call]]]:
        results, calls = [], []
        for _ in range(count):
            with recording(self.harness.module) as made:
                result = self.call(method)
            results.append(result[key] if key else result)
            calls.append(made)
        return torch.stack([r.reshape(1) if sign else r for r in results]), calls

    def _by_means(self, what: str, method: str, key: str, sign: int, name: str, groups: int) -> list[Check]:
        differences, slopes, sizes, slope_sizes = [], [], [], []
        for _ in range(groups):
            results, calls = self._runs(method, key, sign, _EACH)
            found = results.mean(0)
            expected = self._term(method, name, sign, calls, integrates=False).mean(0)
            mine, theirs = self.harness.slopes(found.mean()), self.harness.slopes(expected.mean())
            differences.append((found - expected).detach())
            slopes.append(mine - theirs)
            sizes.append(expected.detach())
            slope_sizes.append(theirs)
        values = score(differences, sizes)
        gradients = score(slopes, slope_sizes)
        steepest = float(gradients.max()) if gradients.numel() else 0.0
        return [Check(what, float(values.max()), Z_BOUND, "z"), Check(f"gradient of {what}", steepest, Z_BOUND, "z")]

    def _term(self, method: str, name: str, sign: int, calls: list[list[Call]], *, integrates: bool) -> Tensor:
        """An objective of all data points, `[runs, batch]`; its mean over them for a loss."""

        def one(judge: WrittenOut) -> Tensor:
            noise = judge.noise(method, calls, judge.terms[name])
            reference = judge.reference(len(calls), noise, shared=not integrates, integrates=integrates)
            return judge.value(reference, name)

        value = self._together(one)
        return sign * value.mean(-1, keepdim=True) if sign else value

    def _together(self, one: Callable[[WrittenOut], Tensor]) -> Tensor:
        """The values of all rows, each from the judge of its length."""
        rows = [row for judge in self.judges for row in judge.rows]
        value = torch.cat([one(judge) for judge in self.judges], -1)
        return value[..., torch.tensor(rows).argsort()]

    def _slopes(self, what: str, found: Tensor, expected: Tensor) -> Check:
        found, expected = where_finite(found, expected)
        weights = torch.randn(found.shape, dtype=torch.float64)
        mine, theirs = (self.harness.slopes((weights * value).sum(), again=True) for value in (found, expected))
        worst = [relative(a, b) for a, b in zip(mine, theirs, strict=True)]
        return Check(what, max(worst, default=0.0), EXACT)


def _log_prob(judge: WrittenOut) -> Tensor:
    part = generative_part(judge.model, judge.resolver)
    assert part is not None
    value = judge.reference().log_density(part, OBSERVED)
    return value.expand(*value.shape[:-1], len(judge.rows))


def _combined(columns: list[tuple[Tensor, Tensor]]) -> list[tuple[Tensor, Tensor]]:
    """Random combinations of all columns, each in units of its own spread."""
    mine, theirs = (torch.stack(side) for side in zip(*columns, strict=True))
    centre, spread = theirs.mean(1, keepdim=True), theirs.std(1, keepdim=True) + 1e-9
    weights = torch.randn(8, len(columns), dtype=torch.float64)
    return list(zip(weights @ ((mine - centre) / spread), weights @ ((theirs - centre) / spread), strict=True))
