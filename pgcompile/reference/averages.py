"""Means over draws, with the gradient of score functions where draws pass none.

The estimators are written with the magic box of DiCE (Foerster et al. 2018): one, with the gradient of the log-density
of the draws that pass no gradient themselves.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from pgcompile.diagnostics import Span
from pgcompile.model.distributions import Distribution
from pgcompile.objective.terms import Draw, Env
from pgcompile.reference.factors import rough_variables, scored_variables
from pgcompile.reference.fields import Field
from pgcompile.reference.interpreter import Reference
from pgcompile.reference.pairing import Pairing
from pgcompile.reference.readings import Options
from pgcompile.reference.spaces import values_of

Body = Callable[[Env], Tensor]
# Draws of a variable whose gradient a score function carries, where the program does not say how many.
UNASKED = 4


@dataclass(eq=False)
class Averages:
    """The draws of one formula and the means over them.

    Args:
        world: the interpreter of the factors.
        pairing: partners of the draws among those that were recorded.
    """

    world: Reference
    pairing: Pairing
    path: tuple[int, ...] = ()
    paths: set[tuple[int, ...]] = field(default_factory=set)
    made: dict[Draw, None] = field(default_factory=dict)
    weighed_outside: bool = False
    summed: set[Draw] = field(default_factory=set)

    # --- draws ---

    def draw(self, over: Distribution, options: Options, env: Env, span: Span) -> Draw:
        """The draw at a place of the text, the same as in other terms of the same sum."""
        partner = self.pairing.take(span, over)
        rough = rough_variables(over)
        estimator = options.estimator
        samples = options.samples
        if samples is None:
            free = (1, UNASKED) if rough or estimator.grad == "score" else (1,)
            samples = partner.samples if partner is not None and partner.samples in free else 1
        relaxed = rough if estimator.relax is not None else ()
        own = Draw(over, samples, env, estimator, relaxed=relaxed, repetition=self.path)
        if partner is not None:
            own = self.pairing.bind(own, partner)
        self.paths.add(self.path)
        self.made[own] = None
        return own

    @contextmanager
    def apart_from(self, paths: set[tuple[int, ...]]) -> Iterator[None]:
        """Inside, draws are independent of those with some paths."""
        outer = self.path
        if paths:
            number = next(n for n in itertools.count(1) if not any(p[: len(outer) + 1] == (*outer, n) for p in paths))
            self.path = (*outer, number)
        try:
            yield
        finally:
            self.path = outer

    # --- means ---

    def mean(self, draw: Draw, body: Body) -> Tensor:
        """`E[f]`, over the samples of a draw or every value of a posterior."""
        inner = draw.env.extended(draw.variables, draw)
        if draw.distribution.evidence or (self.weighed_outside and self._is_exact(draw)):
            return self._weighted_sum(draw, lambda: body(inner))
        value = body(inner).double()
        if draw.rows == "sum":
            return value.sum(0) if value.ndim == len(self.world.lead(draw)) else value * draw.samples
        if not self.weighed_outside:
            value = value * self._box(draw)
        return value.mean(0) if value.ndim == len(self.world.lead(draw)) else value

    def log_mean(self, draw: Draw, log_body: Body) -> Tensor:
        """`log E[exp f]`, the mean taken inside the logarithm."""
        if draw.distribution.evidence or self._is_exact(draw):
            return self.nonlinear(lambda: self.mean(draw, lambda inner: log_body(inner).exp()).log())

        def value() -> Tensor:
            found = log_body(draw.env.extended(draw.variables, draw))
            if draw.rows == "sum":
                found = found + math.log(draw.samples)  # the sum is the mean times the number
            return found.logsumexp(0) - math.log(len(found)) if found.ndim == len(self.world.lead(draw)) else found

        def drawn() -> Tensor:
            self.made[draw] = None
            return value()

        return self.nonlinear(drawn)

    def nonlinear(self, value: Callable[[], Tensor]) -> Tensor:
        """A nonlinear function: the score functions of the draws inside weigh its value, not what it acts on."""
        if self.weighed_outside:
            return value()
        outside, self.made = self.made, {}
        self.weighed_outside = True
        try:
            found = value()
        finally:
            self.weighed_outside = False
        for draw in self.made:
            if not draw.distribution.evidence:
                log_box = self._box(draw).log()
                left = max((len(self.world.lead(d)) for d in draw.around if d not in self.made), default=0)
                kept = max(left, 1 + len(self.world.batch()))
                while log_box.ndim > kept:
                    log_box = log_box.sum(0)
                found = found * log_box.exp()
                self.summed.add(draw)
        self.made = {**outside, **self.made}
        return found

    def baselines(self) -> Tensor:
        """Zero, with the gradient that baselines take from what the score functions weigh (Williams 1992).

        A baseline stands for the whole of what its draws are weighed by in the objective, so it counts once.
        """
        total = torch.zeros((), dtype=torch.float64)
        for draw in self.made:
            written = draw.estimator.baseline
            if written is not None:
                found = self.world.evaluate(written, self.world.scope(draw.env, {}, ()))
                other = (found.tensor[..., 0] if found.rank else found.tensor).detach()
                score = self._box(draw).log()
                while score.ndim > 1 + len(self.world.batch()):
                    score = score.sum(0) if draw in self.summed else score.mean(0)
                total = total - other * score
        return total

    def _box(self, draw: Draw) -> Tensor:
        """One, with the gradient of the log-density of the draws that pass none."""
        total = torch.zeros((), dtype=torch.float64)
        scored = scored_variables(draw)
        if not draw.estimator.detached:
            for drawn, name in list(self.world.drawn):
                if drawn == draw and name in scored and name not in draw.relaxed:
                    atom = draw.atom_of(name)
                    assert atom is not None
                    total = total + self.world.log_density(Distribution((atom,)), draw.inside)
        return torch.exp(total - total.detach())

    def _weighted_sum(self, draw: Draw, body: Callable[[], Tensor]) -> Tensor:
        """The weighted sum of `body` over all values of a draw that is finite given all else."""
        names = draw.variables
        self.made.pop(draw, None)
        atoms = tuple(atom for atom in draw.distribution.atoms if not atom.factor.is_data)
        drawn = draw.distribution if draw.distribution.evidence else replace(draw.distribution, atoms=atoms)
        makers = {t: atom for atom in draw.distribution.atoms for t in atom.targets}
        choices = [values_of(self.world.model.spaces[makers[v].factor.targets[0]]) for v in names]
        parts: list[Tensor] = []
        before = self.world.drawn
        kept = {key: value for key, value in before.items() if not _inside(key[0], draw)}

        def part(values: tuple[Tensor, ...]) -> None:
            given = {(draw, v): Field(x, x.ndim) for v, x in zip(names, values, strict=True)}
            self.world.drawn = {**kept, **given}
            probability = self.world.log_density(drawn, draw.inside).exp()
            weight = probability.detach() if draw.estimator.detached else probability
            parts.append(weight * torch.where(probability > 0, body(), 0.0))  # 0 log 0 is 0

        *others, last = itertools.product(*choices)
        for values in others:
            self.pairing.repeated(lambda values=values: part(values))  # type: ignore[misc]
        part(last)
        if not draw.distribution.evidence:
            self.world.drawn = before  # other terms draw it
        return sum(parts, torch.zeros((), dtype=torch.float64))

    def _is_exact(self, draw: Draw) -> bool:
        """True if the compiler sums over every value: a mean of a few draws would be biased in what acts on it."""
        partner = self.pairing.partners.get(draw)
        return partner is not None and bool(draw.variables) and {*partner.enumerated} == {*draw.variables}

    def of_its_own(self, draw: Draw) -> Draw:
        """A draw of the same distribution with many samples, with which a divergence is averaged."""
        world = self.world
        if draw.distribution.evidence or (world.shared and any(world.noise_of(draw, v) for v in draw.variables)):
            return draw
        many = Draw(draw.distribution, world.inner, draw.env, repetition=("divergence", draw))
        self.made.pop(draw, None)
        self.made[many] = None
        return many


def _inside(draw: Draw, outer: Draw) -> bool:
    """True if a draw is another, or was made inside its expectation."""
    return draw == outer or any(_inside(around, outer) for around in draw.around)
