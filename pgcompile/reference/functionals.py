"""Divergences, bounds and distances as their papers define them; a table says how each is computed."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
import torch.distributions as D
from torch import Tensor

from pgcompile.model.distributions import Distribution
from pgcompile.model.factors import FamilyUse
from pgcompile.model.literals import evaluate, flatten
from pgcompile.objective.terms import Env
from pgcompile.reference import critics
from pgcompile.reference.averages import Body
from pgcompile.reference.discrepancies import kernel_distance, paired_distance, points_of, sliced_distance
from pgcompile.reference.factors import distribution
from pgcompile.reference.interpreter import Reference
from pgcompile.reference.readings import Options
from pgcompile.reference.stated import stated
from pgcompile.syntax import tree

if TYPE_CHECKING:
    from pgcompile.reference.formulas import Formulas


def functional(formulas: Formulas, node: tree.Functional, env: Env) -> Tensor:
    """A functional, for every replicate and data point."""
    kind, *critic = node.kind.split("_", 1)
    if critic:
        return critics.estimate(formulas, kind, critic[0], node, env)
    return DEFINED.get(node.kind, stated)(formulas, node, env)


# --- expectations of log-densities ---


def _kullback_leibler(formulas: Formulas, node: tree.Functional, env: Env) -> Tensor:
    """`E_q[log q - log p]` (Kullback & Leibler 1951)."""
    q, p = _sides(formulas, node)
    known = _integrated(formulas, q, p, env) if formulas.world.integrates and not node.options else None
    if known is not None:
        return known
    return _divergence(formulas, node, q, env, lambda at: formulas.log_prob(q, at) - formulas.log_prob(p, at))


_INTEGRATED = (D.Normal, D.Laplace, D.Gamma, D.Beta, D.Exponential, D.Bernoulli, D.Categorical, D.Dirichlet)
"""The families whose divergence torch has, and whose integral it was found to be."""


def _integrated(formulas: Formulas, q: Distribution, p: Distribution, env: Env) -> Tensor | None:
    """The divergence of two families of one kind, as torch integrates it; None for what has more parts.

    It stands in for an average over many draws where something nonlinear acts on the divergence: the bias of such an
    average goes down with their number only.
    """
    if len(q.atoms) != 1 or len(p.atoms) != 1 or q.hidden or p.hidden or q.evidence or p.evidence:
        return None
    (left,), (right,) = q.atoms, p.atoms
    if not all(isinstance(atom.factor.definition, FamilyUse) for atom in (left, right)):
        return None
    if {*left.targets} & {*p.parents, *q.parents} or left.targets != right.targets:
        return None
    found = [distribution(formulas.world, atom, env) for atom in (left, right)]
    bases = [side.base_dist if isinstance(side, D.Independent) else side for side in found]
    if type(bases[0]) is not type(bases[1]) or type(bases[0]) not in _INTEGRATED:
        return None
    value = D.kl_divergence(*bases)
    return value.flatten(value.ndim - _event_rank(found[0]), -1).sum(-1) if _event_rank(found[0]) else value


def _event_rank(found: D.Distribution) -> int:
    return found.reinterpreted_batch_ndims if isinstance(found, D.Independent) else 0


def _entropy(formulas: Formulas, node: tree.Functional, env: Env) -> Tensor:
    """`-E_q[log q]`."""
    q = formulas.readings.drawn(node.left)
    return _divergence(formulas, node, q, env, lambda at: -formulas.log_prob(q, at))


def _cross_entropy(formulas: Formulas, node: tree.Functional, env: Env) -> Tensor:
    """`-E_q[log p]`."""
    q, p = _sides(formulas, node)
    return _divergence(formulas, node, q, env, lambda at: -formulas.log_prob(p, at))


def _jeffreys(formulas: Formulas, node: tree.Functional, env: Env) -> Tensor:
    """`E_q[log q - log p] + E_p[log p - log q]` (Jeffreys 1946)."""
    q, p = _sides(formulas, node)
    there = _divergence(formulas, node, q, env, lambda at: formulas.log_prob(q, at) - formulas.log_prob(p, at))
    back = _divergence(formulas, node, p, env, lambda at: formulas.log_prob(p, at) - formulas.log_prob(q, at))
    return there + back


def _chi_square(formulas: Formulas, node: tree.Functional, env: Env) -> Tensor:
    """`E_q[q/p] - 1` (Pearson 1900; Nielsen & Nock 2014)."""
    q, p = _sides(formulas, node)
    ratio = _average(formulas, node, q, env, lambda at: (formulas.log_prob(q, at) - formulas.log_prob(p, at)).exp())
    return ratio - 1


def _jensen_shannon(formulas: Formulas, node: tree.Functional, env: Env) -> Tensor:
    """`(KL[q || m] + KL[p || m]) / 2` with `m = (q + p) / 2` (Lin 1991)."""
    q, p = _sides(formulas, node)

    def from_middle(side: Distribution) -> Body:
        def body(at: Env) -> Tensor:
            middle = torch.logaddexp(formulas.log_prob(q, at), formulas.log_prob(p, at)) - math.log(2)
            return formulas.log_prob(side, at) - middle

        return body

    halves = [_average(formulas, node, side, env, from_middle(side)) for side in (q, p)]
    return (halves[0] + halves[1]) / 2


def _evidence_bound(formulas: Formulas, node: tree.Functional, env: Env) -> Tensor:
    """`E_q[log p - log q]` of a model p and an approximate posterior q (Jordan et al. 1999)."""
    p, q = _model_and_guide(formulas, node)
    options = formulas.readings.options(node.options)
    body = _log_ratio(formulas, p, q)
    return formulas.average(q, options, env, node.span, body)


def _importance_bound(formulas: Formulas, node: tree.Functional, env: Env) -> Tensor:
    """The logarithm of the mean of p/q over draws of q (Burda et al. 2016)."""
    p, q = _model_and_guide(formulas, node)
    draw = formulas.averages.draw(q, formulas.readings.options(node.options), env, node.span)
    return formulas.averages.log_mean(draw, _log_ratio(formulas, p, q))


def _renyi(formulas: Formulas, node: tree.Functional, env: Env) -> Tensor:
    """`log E_q[(q/p)^(a-1)] / (a-1)` (Renyi 1961; van Erven & Harremoes 2014)."""
    q, p = _sides(formulas, node)
    options = formulas.readings.options(node.options)
    order = options.number("alpha", formulas.model, math.nan)
    draw = formulas.averages.draw(q, options, env, node.span)
    ratio = _log_ratio(formulas, q, p)
    return formulas.averages.log_mean(draw, lambda at: (order - 1) * ratio(at)) / (order - 1)


def _log_ratio(formulas: Formulas, top: Distribution, bottom: Distribution) -> Body:
    return lambda at: formulas.log_prob(top, at) - formulas.log_prob(bottom, at)


def _sides(formulas: Formulas, node: tree.Functional) -> tuple[Distribution, Distribution]:
    assert node.right is not None
    left = formulas.readings.drawn(node.left)
    return left, formulas.readings.opposite(node.right, left)


def _model_and_guide(formulas: Formulas, node: tree.Functional) -> tuple[Distribution, Distribution]:
    assert node.right is not None
    return formulas.readings.drawn(node.left), formulas.readings.drawn(node.right)


def _options(formulas: Formulas, node: tree.Functional, over: Distribution) -> Options:
    """Its own options; without any, those of an expectation over the same factors in the same formula."""
    if node.options:
        return formulas.readings.options(node.options)
    shared = formulas.readings.shared_options(formulas.name, over)
    return shared[0] if shared else Options()


def _average(formulas: Formulas, node: tree.Functional, over: Distribution, env: Env, body: Body) -> Tensor:
    return formulas.average(over, _options(formulas, node, over), env, node.span, body)


def _divergence(formulas: Formulas, node: tree.Functional, over: Distribution, env: Env, body: Body) -> Tensor:
    """A mean that the compiler may know in closed form: by many draws of its own, unless noise is given for it."""
    if formulas.readings.components(over):
        return _average(formulas, node, over, env, body)
    averages = formulas.averages
    draw = averages.draw(over, _options(formulas, node, over), env, node.span)
    return averages.mean(averages.of_its_own(draw), body)


# --- distances of samples ---


def _samples(formulas: Formulas, node: tree.Functional, env: Env) -> tuple[Tensor, Tensor, Options]:
    """Draws of both sides, `[samples, replicates, batch, size]`, and the options."""
    q, p = _sides(formulas, node)
    options = formulas.readings.options(node.options)
    found = []
    for side in (q, p):
        own = options.without_gradient_of(side)
        if not node.options:
            shared = formulas.readings.shared_options(formulas.name, side)
            own = next((s for s in shared if s.estimator == own.estimator), own)
        draw = formulas.averages.draw(side, own, env, node.span)
        found.append(points_of(formulas.world, draw, q.targets))
    return found[0], found[1], options


def _maximum_mean_discrepancy(formulas: Formulas, node: tree.Functional, env: Env) -> Tensor:
    """Between the samples of the batch; one width by default, the root of the dimension."""
    x, y, options = _samples(formulas, node, env)
    width = evaluate(options.own["width"], formulas.model.constants) if "width" in options.own else None
    widths = tuple(map(float, flatten(width))) if width is not None else (round(x.shape[-1] ** 0.5, 6),)
    return kernel_distance(x, y, options.word("kernel", "gaussian"), widths)


def _wasserstein(formulas: Formulas, node: tree.Functional, env: Env) -> Tensor:
    """Distance of paired draws, an upper bound."""
    x, y, _ = _samples(formulas, node, env)
    return paired_distance(x, y)


def _sliced_wasserstein(formulas: Formulas, node: tree.Functional, env: Env) -> Tensor:
    """On 50 directions, unless their number is given."""
    x, y, options = _samples(formulas, node, env)
    formulas.world.own_draws.add("directions")
    return sliced_distance(x, y, int(options.number("projections", formulas.model, 50)))


# --- q(z), the mean of q(z|x) over the batch ---


def _total_correlation(formulas: Formulas, node: tree.Functional, env: Env) -> Tensor:
    """`E[log q(z) - sum_i log q(z_i)]` (Chen et al. 2018)."""

    def value(pairs: Tensor) -> Tensor:
        size = math.log(len(pairs))
        joint = pairs.sum(-1).logsumexp(0) - size
        return joint - (pairs.logsumexp(0) - size).sum(-1)

    return _aggregate(formulas, node, env, value)


def _information(formulas: Formulas, node: tree.Functional, env: Env) -> Tensor:
    """`E[log q(z|x) - log q(z)]` (Hoffman & Johnson 2016)."""

    def value(pairs: Tensor) -> Tensor:
        return pairs[0].sum(-1) - (pairs.sum(-1).logsumexp(0) - math.log(len(pairs)))

    return _aggregate(formulas, node, env, value)


def _aggregate(formulas: Formulas, node: tree.Functional, env: Env, value: Callable[[Tensor], Tensor]) -> Tensor:
    """The mean of a function of log q(z_i|x) for each data point x in the batch, `[data points, ..., size]`."""
    over, world = formulas.readings.drawn(node.left), formulas.world
    (atom,) = over.atoms
    assert isinstance(atom.factor.definition, FamilyUse)
    draw = formulas.averages.draw(over, _options(formulas, node, over), env, node.span)

    def body(inner: Env) -> Tensor:
        z = world.variable(atom.targets[0], inner)
        rows = []
        for shift in range(world.batch()[0]):
            # Against the parameters of every data point, one shift of the batch at a time.
            observed = {name: tensor.roll(shift, 0) for name, tensor in world.observed.items()}
            other = Reference(world.model, world.modules, world.tensors, observed, externs=world.externs)
            made = distribution(other, atom, env)
            rows.append((made.base_dist if isinstance(made, D.Independent) else made).log_prob(z.tensor))
        return value(torch.stack(rows))

    return formulas.averages.mean(draw, body)


DEFINED: dict[str, Callable[[Formulas, tree.Functional, Env], Tensor]] = {
    "KL": _kullback_leibler,
    "H": _entropy,
    "CE": _cross_entropy,
    "ELBO": _evidence_bound,
    "IWAE": _importance_bound,
    "Renyi": _renyi,
    "Chi2": _chi_square,
    "JS": _jensen_shannon,
    "Jeffreys": _jeffreys,
    "MMD": _maximum_mean_discrepancy,
    "W": _wasserstein,
    "SW": _sliced_wasserstein,
    "TC": _total_correlation,
    "MI": _information,
}
