"""The request for a draw from a factor."""

from dataclasses import dataclass, replace

from pgcompile.plan.values import Axis


@dataclass(frozen=True)
class DrawRequest:
    """One draw.

    Args:
        axes: its own axes; those of its parameters are added.
        comment: the formula that it stands for.
        identity: tells its noise apart from that of other draws.
        hint: what to call it; the name of its variable where there is none.
    """

    axes: tuple[Axis, ...]
    comment: str
    identity: object
    hint: str | None = None

    def of_base(self, axes: tuple[Axis, ...]) -> "DrawRequest":
        """The request for what a flow takes back to the variable."""
        return replace(self, axes=axes, hint="u")
