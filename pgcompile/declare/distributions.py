"""Algebraic definitions: distributions that a program names by a product, a marginal, a renaming or a posterior."""

from pgcompile.declare.declaration_pass import AlgebraicDefinition, DeclarationPass
from pgcompile.declare.free_factors import declare_free_factors
from pgcompile.declare.structures import read_structure
from pgcompile.diagnostics import Sink
from pgcompile.inference.distributions import Resolver
from pgcompile.inference.heads import label_key
from pgcompile.model.distributions import Distribution, NamedDistribution
from pgcompile.model.factors import FactorInstance
from pgcompile.model.model import Model
from pgcompile.model.variable import shown, variables


def resolve_definitions(state: DeclarationPass) -> Resolver:
    """Resolve the algebraic definitions of a program, and its bare structures.

    Args:
        state: the definitions; its model gets the distributions.

    Returns:
        The resolver that knows every factor and every definition.
    """
    resolver = Resolver(state.model, state.sink)
    for definition in state.definitions:
        key = definition.key
        if key in resolver.pending:
            state.sink.add(
                "PGC107",
                definition.span,
                f"{key} is defined twice",
                related=[(resolver.pending[key][1], "first defined here")],
            )
            continue
        resolver.pending[key] = (definition.expr, definition.span)
        declare_free_factors(definition.expr, state)
    resolver = resolver.renewed()
    for definition in state.definitions:
        _add_named(definition, resolver.define(definition.key, definition.span), state)
    for structure in state.structures:
        read_structure(structure, state, resolver)
    return resolver.renewed() if state.structures else resolver


def resolve_deferred(state: DeclarationPass, resolver: Resolver) -> None:
    """Resolve the definitions with a posterior as a factor, which need the types of every factor."""
    found = resolver.resolve_deferred()
    for definition in state.definitions:
        if definition.key in found:
            _add_named(definition, found[definition.key], state)


def _add_named(definition: AlgebraicDefinition, found: Distribution | None, state: DeclarationPass) -> None:
    """Name a distribution, if it was found."""
    targets, parents = definition.targets, definition.parents
    state.add_variables((*targets, *parents), definition.span)
    if found is not None:
        _check_head(definition, found, state.sink)
        ordered = _in_order(found, targets)
        state.model.named.append(NamedDistribution(definition.name, ordered, definition.span, variables(parents)))


def _check_head(definition: AlgebraicDefinition, found: Distribution, sink: Sink) -> None:
    """Report a left side with other variables than its right side has."""
    name, targets, parents = definition.name, definition.targets, definition.parents
    if {*found.targets} == {*variables(targets)} and {*found.parents} == {*variables(parents)}:
        return
    means = label_key(name, map(str, found.targets), map(str, found.parents))
    sink.add(
        "PGC208",
        definition.span,
        f"the left side is {definition.key}, but the right side is a distribution {means}",
        related=[(definition.expr.span, f"this is {means}")],
        help=_head_help(targets, found, sink.source.snippet(definition.expr.span), means),
    )


def _head_help(targets: tuple[str, ...], found: Distribution, text: str, means: str) -> str:
    """A hint at the integral that was forgotten, or at the head that was meant."""
    written = variables(targets)
    left = [t for t in found.targets if t not in written]
    if left and {*written} < {*found.targets} and not found.hidden:
        gone = " ".join(f"d{t}" for t in left)
        return f"integrate {shown(left)} out: `∫ {text} {gone}`, or write {means} = ..."
    return f"write {means} = ..., or change the right side"


def _in_order(distribution: Distribution, targets: tuple[str, ...]) -> Distribution:
    """Atoms in the order in which the head names their targets, where it says."""
    rank = {target: index for index, target in enumerate(variables(targets))}

    def key(atom: FactorInstance) -> int:
        return min((rank[t] for t in atom.targets if t in rank), default=len(rank))

    return Distribution(tuple(sorted(distribution.atoms, key=key)), distribution.hidden, distribution.evidence)


def check_renamed_spaces(model: Model, sink: Sink) -> None:
    """Give a variable that takes another's place the space of that, or report that it has a different one."""
    for named in model.named:
        for atom in named.distribution.atoms:
            for old, new in ((n, v.name) for n, v in atom.renaming if v.is_named):
                spaces = model.spaces.get(old), model.spaces.get(new)
                if spaces[0] is not None and spaces[1] is None:
                    model.spaces[new] = spaces[0]
                    continue
                if None not in spaces and spaces[0] != spaces[1]:
                    sink.add(
                        "PGC206",
                        named.span,
                        f"{new} takes the place of {old}, and is `{spaces[1]}` where {old} is `{spaces[0]}`",
                        related=[(model.variables.get(new, named.span), f"{new} is declared here")],
                        help=f"declare `{new} : {spaces[0]}`",
                    )
