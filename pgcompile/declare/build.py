"""The model of a program: what it declares, its names resolved, every factor checked."""

from dataclasses import replace

from pgcompile.declare.clashes import check_names
from pgcompile.declare.clauses import read_clauses
from pgcompile.declare.coefficients import read_coefficients
from pgcompile.declare.combinations import combine
from pgcompile.declare.conditions import conditioned
from pgcompile.declare.constants import read_constants
from pgcompile.declare.declaration_pass import DeclarationPass
from pgcompile.declare.declarations import declare
from pgcompile.declare.definitions import define
from pgcompile.declare.distributions import check_renamed_spaces, resolve_deferred, resolve_definitions
from pgcompile.declare.energies import read_energies
from pgcompile.declare.formulas import settle_formulas
from pgcompile.declare.free_factors import read_free_formulas
from pgcompile.declare.functions import read_functions
from pgcompile.declare.indices import read_indices
from pgcompile.declare.inner_clauses import without_inner_clauses
from pgcompile.declare.optional import mark_optional
from pgcompile.declare.place_spaces import check_starts, place_spaces
from pgcompile.declare.rows import read_rows
from pgcompile.declare.shadows import without_shadows
from pgcompile.declare.training_lines import read_lines
from pgcompile.declare.truncations import read_truncations
from pgcompile.diagnostics import Sink
from pgcompile.inference.distributions import Resolver
from pgcompile.inference.exact import Exact
from pgcompile.model.model import Model
from pgcompile.syntax import tree
from pgcompile.typing.expressions import Typer
from pgcompile.typing.factors import check_factor


def build(program: tree.Program, sink: Sink, constants: dict[str, int | float] | None = None) -> tuple[Model, Resolver]:
    """The model of a program and the resolver of its distributions. Faults are in the sink.

    Args:
        program: the tree.
        sink: where faults go.
        constants: values that replace those of `const` declarations, by name.
    """
    model = Model()
    read_constants(program, constants or {}, model, sink)
    program = conditioned(without_inner_clauses(program))
    program, model.indices = read_indices(program, sink, model.constants)
    program = read_energies(read_truncations(without_shadows(program), sink, model.constants))
    program = read_functions(read_clauses(program))
    state = DeclarationPass(model, sink)
    for read in (declare, define, combine):
        for statement in program.statements:
            read(statement, state)
    place_spaces(state)
    read_coefficients(state)
    read_rows(state)
    read_free_formulas(state)
    settle_formulas(state)
    resolver = resolve_definitions(state)
    typer = Typer(model, sink)
    if not model.is_structure:
        for factor in (*model.factors, *model.deterministic.values()):
            check_factor(factor, typer)
        check_renamed_spaces(model, sink)
        check_starts(model, sink)
        if not sink.has_errors:
            resolver.exact = Exact(model, sink.source)
            resolve_deferred(state, resolver)
            model.named = [replace(n, distribution=resolver.exact.solve(n.distribution)) for n in model.named]
    mark_optional(model)
    read_lines(state.training_lines, model, sink)
    check_names(model, sink)
    return model, resolver
