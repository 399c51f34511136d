"""Stages of a net as they are written: their names, and `mlp(...)` written out as layers."""

from pgcompile.model.nets import Net
from pgcompile.syntax import tree
from pgcompile.typing.context import TypingContext
from pgcompile.vocabulary.functions import FUNCTIONS
from pgcompile.vocabulary.layers import ACTIVATIONS, LAYERS
from pgcompile.vocabulary.synonyms import LAYERS as SYNONYMS

Stage = tuple[tree.Expr, str]
"""A stage and its name, empty where it has none."""


def stages_of(net: Net, typer: TypingContext) -> list[Stage]:
    """The stages of a net with their names, `mlp(...)` written out."""
    return named_stages(net.stages, typer)


def named_stages(stages: tuple[tree.Expr, ...], typer: TypingContext) -> list[Stage]:
    """Stages with their names, `mlp(...)` written out."""
    found: list[Stage] = []
    for index, stage in enumerate(stages):
        if isinstance(stage, tree.Call) and stage.name == "mlp" and "mlp" not in typer.model.nets:
            follower = stages[index + 1] if index + 1 < len(stages) else None
            last = follower is None or called(follower) in ACTIVATIONS
            found.extend(_layers_of_mlp(stage, typer, last=last))
        else:
            found.append((stage, called(stage)))
    return found


def called(stage: tree.Expr) -> str:
    """The name of a stage: of a layer, a function or a net; empty where it has none."""
    match stage:
        case tree.Name(id=name) | tree.Call(name=name):
            return name
        case _:
            return ""


def is_expression(stage: tree.Expr, net: Net, typer: TypingContext) -> bool:
    """Test whether the first stage of a net is an expression over its inputs, not a layer."""
    match stage:
        case tree.Call(name, args):
            # `Dense(64)` is a layer that does not exist, not a function of the inputs.
            layer = (
                name in LAYERS
                or name in SYNONYMS
                or name.startswith("nn.")
                or (name[:1].isupper() and name not in FUNCTIONS)
            )
            return not layer and (name not in typer.model.nets or bool(args))
        case tree.Name(id):
            return id in (net.inputs or ())
        case _:
            return True


def cell_in(stages: list[Stage]) -> tree.Expr | None:
    """The recurrent cell that a net is, if it is one."""
    if len(stages) != 1:
        return None
    stage, name = stages[0]
    return stage if name in LAYERS and LAYERS[name].cell_states else None


def _layers_of_mlp(stage: tree.Call, typer: TypingContext, *, last: bool) -> list[Stage]:
    """`mlp(a, b, act=ReLU)`: linear layers with activations between them, and after them unless this stage is last."""
    activation: tree.Expr = tree.Name("ReLU", span=stage.span)
    widths = []
    for argument in stage.args:
        if argument.name is None:
            widths.append(argument.value)
        elif argument.name == "act":
            activation = argument.value
        else:
            typer.sink.add(
                "PGC106",
                argument.span,
                f"mlp has no option {argument.name}",
                help="write mlp(512, 512, act = ReLU)",
            )
    found: list[Stage] = []
    for index, width in enumerate(widths):
        linear = tree.Call(
            "Linear", (tree.Argument(None, width, span=width.span),), span=width.span, name_span=width.span
        )
        found.append((linear, "Linear"))
        if index < len(widths) - 1 or not last:
            found.append((activation, called(activation)))
    return found
