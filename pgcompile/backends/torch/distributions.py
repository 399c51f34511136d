"""The constructor call of a family's distribution object."""

from dataclasses import dataclass

from pgcompile.backends.torch.method_writer import MethodWriter
from pgcompile.backends.torch.printer import Text
from pgcompile.model.factors import FamilyUse
from pgcompile.vocabulary.reserved import ANCHOR


@dataclass(frozen=True)
class Construction:
    """A call that makes a distribution, and the wrapper that gives it the event shape of the variable.

    Args:
        call: source of the call.
        wrapper: a format with `{}` in the place of the call, or of its name.
    """

    call: str
    wrapper: str = "{}"

    @property
    def whole(self) -> str:
        """The call in its wrapper."""
        return self.wrapper.format(self.call)


def constructor_head(writer: MethodWriter, use: FamilyUse) -> str:
    """The class of a family: torch's, or one of the runtime library."""
    if use.family.torch_class is not None:
        return f"D.{use.family.torch_class}"
    writer.use(use.family.name)
    return use.family.name


def construct(writer: MethodWriter, use: FamilyUse, given: dict[str, Text], shape: tuple[int, ...]) -> Construction:
    """The call for a variable of some shape, from the source of each parameter."""
    family = use.family
    head = constructor_head(writer, use)
    if family.name == "Delta":
        return Construction(f"Delta({given['v'].text}, {len(shape)})")
    order = [p.name for p in family.parameters]
    positional = list(given) == order[: len(given)]
    bounds = ("low", "high") if family.truncates else ()
    inner = [_parameter(use, name, text, positional and name not in bounds) for name, text in given.items()]
    lead = len(shape) - family.event_rank
    call = f"{head}({', '.join(inner)}, validate_args=False)"
    return Construction(call, f"D.Independent({{}}, {lead})" if lead else "{}")


def _parameter(use: FamilyUse, name: str, text: Text, positional: bool) -> str:
    """One constructor argument; torch wants whole counts as ints and temperatures as tensors."""
    source = text.text
    parameter = use.family.parameter(name)
    if parameter.literal:
        source = str(int(float(source)))
    elif (parameter.shared or parameter.per_event) and source.replace(".", "").isdigit():
        source = f"torch.full_like(self._like, {source})"
    if source.startswith(zero := f"self.{ANCHOR}.expand("):
        # The anchor's own number is not relied on: `to_empty` leaves it as it comes.
        source = f"self.{ANCHOR}.new_zeros({source.removeprefix(zero)}"
    alternative = any(name in group for group in use.family.alternatives)
    return source if positional and not alternative else f"{name}={source}"
