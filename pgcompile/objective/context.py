"""What the terms of one sum share while an objective is resolved."""

from dataclasses import dataclass, field

from pgcompile.model.values import Distribution
from pgcompile.objective.terms import Draw, Env, Estimator


@dataclass
class Context:
    """What the terms of one sum share.

    `pool` holds the draws they may share; factors of a product get pools of their own, because the expectation of a
    product of independent draws is not that of a shared one.
    """

    counted: list[tuple[str, tuple[str, ...]]]
    options: list[tuple[Distribution, int | None, Estimator]]
    pool: dict[tuple[Distribution, Env, int | None, Estimator], Draw] = field(default_factory=dict)
    counter: list[int] = field(default_factory=lambda: [0])

    def apart(self) -> "Context":
        """The same, with draws of its own."""
        return Context(self.counted, self.options, {}, self.counter)
