"""State of the pass over a program's statements: the model that is built, and what was declared on the way."""

from dataclasses import dataclass, field

from pgcompile.diagnostics import Sink, Span
from pgcompile.inference.heads import label_key
from pgcompile.model.factors import Factor
from pgcompile.model.model import Model
from pgcompile.syntax import tree


@dataclass(frozen=True)
class AlgebraicDefinition:
    """`p(x) = ∫ p(x|z) p(z) dz`: a distribution that is named by what it is made of.

    Args:
        name: of the distribution.
        targets: what the head says it generates.
        parents: what the head says it is conditioned on.
        expr: the right side.
        span: of the head.
    """

    name: str
    targets: tuple[str, ...]
    parents: tuple[str, ...]
    expr: tree.Expr
    span: Span

    @property
    def key(self) -> str:
        """Its label, with the variables in a canonical order."""
        return label_key(self.name, self.targets, self.parents)


@dataclass
class DeclarationPass:
    """Facts that are collected while the statements of a program are read, one kind of statement after another.

    Args:
        model: gets what the statements declare.
        sink: where faults go.
        taken: names that are declared, with their places.
        factors: the factors of the model, by name and variables.
        definitions: distributions that are named by an algebraic definition.
        defined: the keys of these.
        formulas: names with a formula on their right side, variables and objectives alike.
        training_lines: `maximize` and `minimize` lines.
        structures: formulas of distributions that stand by themselves.
    """

    model: Model
    sink: Sink
    taken: dict[str, Span] = field(default_factory=dict)
    factors: dict[tuple[str, frozenset[str], frozenset[str]], Factor] = field(default_factory=dict)
    definitions: list[AlgebraicDefinition] = field(default_factory=list)
    defined: set[str] = field(default_factory=set)
    formulas: dict[str, tuple[tree.Expr, Span]] = field(default_factory=dict)
    training_lines: list[tree.Optimise] = field(default_factory=list)
    structures: list[tree.Structure] = field(default_factory=list)

    def text(self, node: tree.Node) -> str:
        """The text of a node on one line, for messages."""
        return " ".join(self.sink.source.snippet(node.span).split())

    def take(self, name: tree.Name, what: str) -> bool:
        """Reserve a name for one declaration.

        Args:
            name: the name.
            what: the kind of declaration, for messages.

        Returns:
            True if it was free; a second declaration is reported.
        """
        if name.id in self.taken:
            self.sink.add(
                "PGC107",
                name.span,
                f"{name.id} is declared twice",
                related=[(self.taken[name.id], "first declared here")],
                help=f"remove one, or call this {what} something else",
            )
            return False
        self.taken[name.id] = name.span
        return True

    def add_definition(self, definition: AlgebraicDefinition) -> None:
        """Keep an algebraic definition, to be resolved once every factor is known."""
        self.definitions.append(definition)
        self.defined.add(definition.key)

    def add_variables(self, names: tuple[str, ...], span: Span) -> None:
        """Count names among the variables; each keeps the place where it was first met."""
        for name in names:
            self.model.variables.setdefault(name, span)

    def find_factor(self, name: str, targets: tuple[str, ...], parents: tuple[str, ...]) -> Factor | None:
        """The factor of that name over these variables, in any order."""
        return self.factors.get((name, frozenset(targets), frozenset(parents)))

    def add_factor(self, factor: Factor) -> None:
        """Add a factor and its variables to the model; a second definition is reported, and not added."""
        key = (factor.name, frozenset(factor.targets), frozenset(factor.parents))
        other = self.factors.setdefault(key, factor)
        if other is not factor:
            self.sink.add(
                "PGC107",
                factor.span,
                f"{factor.label} is defined twice",
                related=[(other.span, "first defined here")],
                help=f"remove one, or give it a subscript: `{factor.name}_2({factor.label.split('(', 1)[1]}`",
            )
            return
        self.model.factors.append(factor)
        for variable in factor.targets:
            tensor = self.model.tensors.get(variable)
            if tensor is not None:
                self.sink.add(
                    "PGC107",
                    factor.span,
                    f"{variable} is a {tensor.kind}, and {factor.label} generates a variable of that name",
                    related=[(tensor.span, "first declared here")],
                    help=f"call one of them something else; a {tensor.kind} is not drawn",
                )
        self.add_variables((*factor.targets, *factor.parents), factor.span)
