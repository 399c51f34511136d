"""Posteriors of a program's latents: the factors that its objectives draw them from."""

from collections.abc import Collection
from typing import Any

import networkx as nx
from torch import Tensor

from pgcompile.model.factors import Factor, Mixture
from pgcompile.objective import terms
from pgcompile.program import Program


def posterior_chain(program: Program, rows: Collection[str]) -> list[Factor] | None:
    """Factors that find the latents one after another from what is known; None where there are not enough.

    Those come first that the trained objectives draw from, then those of other objectives; of these the factor that
    knows most of the data.

    Args:
        program: the program.
        rows: observed variables.
    """
    part = program.generative
    if part is None:
        return None
    latents = {name for name in part.target_names if name not in rows}
    own = {atom.label for atom in part.atoms}
    left = [f for f in program.analysis.model.factors if f.label not in own and len(f.targets) == 1 and f.parents]
    trained = _drawn_by(program, {line.objective for line in program.analysis.model.optimise})
    others = _drawn_by(program, set(program.analysis.objectives))

    def rank(factor: Factor) -> tuple[bool, bool, int]:
        return factor.label not in trained, factor.label not in others, -len(factor.parents)

    known, chain = set(rows), []
    while latents - known:
        ready = [f for f in left if f.targets[0] in latents - known and known >= {*f.parents}]
        if not ready:
            return None
        chain.append(min(ready, key=rank))
        known.add(chain[-1].targets[0])
    return chain or None


def _drawn_by(program: Program, objectives: set[str]) -> set[str]:
    """Labels of the factors that some objectives draw from, and of mixtures whose components they do."""
    found = program.analysis.objectives
    draws = [draw for name in objectives if name in found for draw in terms.draws_of(found[name])]
    labels = {atom.factor.label for draw in draws for atom in terms.every_atom(draw.distribution)}
    mixtures = {
        factor.label
        for factor in program.analysis.model.factors
        if isinstance(factor.definition, Mixture) and labels & {c.label for c in factor.definition.components}
    }
    return labels | mixtures


def posterior_of(program: Program, model: Any, rows: dict[str, Tensor]) -> dict[str, Tensor] | None:
    """Means of the latents of some rows; None where the program has no posterior of them, or one without a mean.

    Args:
        program: the program.
        model: a trained model of it.
        rows: observed variables.
    """
    chain = posterior_chain(program, rows)
    if chain is None:
        return None
    known = dict(rows)
    for factor in chain:
        (target,) = factor.targets
        try:
            q = model.factor(factor.label)(*(known[p] for p in factor.parents))
            # An index has no mean; its likeliest value stands for it.
            known[target] = q.mode if program.analysis.model.spaces[target].kind == "category" else q.mean
        except (NotImplementedError, TypeError):
            return None  # a family without a mean, or a factor that takes inputs too
    return {factor.targets[0]: known[factor.targets[0]] for factor in chain}


def conditions_of(program: Program, latents: Collection[str], rows: dict[str, Tensor]) -> dict[str, Tensor]:
    """The data that the sampler needs beside latents: what the model is conditioned on, and what stands above them."""
    part = program.generative
    names = set(part.parent_names) if part is not None else set()
    for latent in latents:
        names |= nx.ancestors(program.graph, latent) if latent in program.graph else set()
    return {name: rows[name] for name in rows if name in names and name not in latents}


def reconstruct(program: Program, model: Any, rows: dict[str, Tensor]) -> dict[str, Tensor] | None:
    """Observed variables as the model gives them back: means, through the means of the latents.

    None where the latents have no posterior, or the model no sampler.
    """
    latents = posterior_of(program, model, rows)
    part = program.generative
    if latents is None or part is None or not hasattr(model, "sample_mean"):
        return None
    given = {**latents, **conditions_of(program, latents, rows)}
    if any(name not in given for name in part.parent_names):
        return None
    drawn = model.sample_mean((), given)
    return {name: value for name, value in drawn.items() if name in rows and name not in given}
