"""The model of a program: everything that it declares."""

from dataclasses import dataclass, field
from fractions import Fraction

from pgcompile.diagnostics import Span
from pgcompile.model.distributions import Distribution, NamedDistribution
from pgcompile.model.factors import Factor
from pgcompile.model.flows import FlowNet
from pgcompile.model.indices import Indices
from pgcompile.model.kinds import is_defined
from pgcompile.model.nets import ExternNetwork, Net
from pgcompile.model.tensors import Ramp, TensorValue
from pgcompile.model.training import Objective, OptimiseLine
from pgcompile.syntax import tree
from pgcompile.vocabulary.spaces import Space


@dataclass
class Model:
    """Everything a program declares, resolved and checked."""

    title: str = "Model"
    spaces: dict[str, Space] = field(default_factory=dict)
    constants: dict[str, Fraction] = field(default_factory=dict)
    nets: dict[str, Net | ExternNetwork] = field(default_factory=dict)
    flows: dict[str, FlowNet] = field(default_factory=dict)
    tensors: dict[str, TensorValue] = field(default_factory=dict)
    factors: list[Factor] = field(default_factory=list)
    named: list[NamedDistribution] = field(default_factory=list)
    deterministic: dict[str, Factor] = field(default_factory=dict)
    experts: dict[str, tuple[Factor, ...]] = field(default_factory=dict)
    """The factors that a product or a mixture of experts is made of, by its label."""
    products: dict[str, tuple[tuple[Factor, tree.Expr | None], ...]] = field(default_factory=dict)
    """The factors of a product of experts with their powers, by its label."""
    structure: Distribution | None = None
    objectives: dict[str, Objective] = field(default_factory=dict)
    optimise: list[OptimiseLine] = field(default_factory=list)
    ramps: dict[str, Ramp] = field(default_factory=dict)
    variables: dict[str, Span] = field(default_factory=dict)
    rows: dict[str, str] = field(default_factory=dict)
    """Names for the values of variables at the other rows of the batch: `x'` in `mean_{x'}`, for `x`."""
    indices: Indices = field(default_factory=Indices)
    untyped: set[str] = field(default_factory=set)
    """Variables whose space is looked for, or was not found."""

    @property
    def is_structure(self) -> bool:
        """True if it is a bare structure: factors without families, which can be checked and drawn, not compiled."""
        return not all(map(is_defined, self.factors))
