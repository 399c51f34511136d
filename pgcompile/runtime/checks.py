"""Checks of what the methods of a module are given, written to be copied into emitted modules."""

import torch
from torch import Tensor


def check_net(net: torch.nn.Module, inputs: tuple, outputs: dict[str, tuple]) -> None:
    """Compare what a supplied net gives, on the meta device, with what was declared."""
    state = {**dict(net.named_parameters()), **dict(net.named_buffers())}
    meta = {n: torch.empty_like(v, device="meta") for n, v in state.items()}
    found = torch.func.functional_call(net, meta, inputs)
    found = found if isinstance(found, tuple | list) else (found,)
    if len(found) != len(outputs):
        raise ValueError(f"{len(found)} results, declared are {', '.join(outputs)}")
    for (name, shape), value in zip(outputs.items(), found, strict=True):
        if value.shape[1:] != shape:
            shown = f"{list(shape)}, the net gives {list(value.shape[1:])}"
            raise ValueError(f"{name} is declared with the event shape {shown}")


def check_shapes(formula: str, **variables: tuple) -> None:
    """Check variables: each with its event shape, and True where it is an index."""
    for name, (value, shape, *index) in variables.items():
        found = tuple(value.shape)
        if found[len(found) - len(shape) :] != shape:
            raise ValueError(f"{name} of {formula} ends in {shape}, not {found}")
        if value.is_floating_point() == bool(index):
            raise TypeError(f"{name} of {formula} cannot be {value.dtype}")


def check_batch(formula: str, **variables: tuple) -> None:
    """Check variables as `check_shapes` does, and that they have one batch shape."""
    check_shapes(formula, **variables)
    facts = variables.items()
    batches = {n: tuple(v.shape[: v.ndim - len(shape)]) for n, (v, shape, *_) in facts}
    if len(set(batches.values())) > 1:
        raise ValueError(f"the batch shapes of {formula} differ: {batches}")


def log_density(name: str, factor, values: dict) -> Tensor:
    """Log-density of a factor at named values; those that its name lacks are inputs."""
    inside = name.replace(" ", "").split("(")[-1].rstrip(")")
    names = inside.replace("|", ",").split(",")
    if missing := [n for n in names if n not in values]:
        raise KeyError(f"{name} needs {missing[0]}")
    x, *given = (values[n] for n in names)
    found = factor(*given, **{n: v for n, v in values.items() if n not in names})
    if x.shape[x.ndim - len(found.event_shape) :] != found.event_shape:
        raise ValueError(f"{names[0]} of {name} cannot have the shape {tuple(x.shape)}")
    return found.log_prob(x)


def joint_log_density(name: str, factor, values: dict) -> Tensor:
    """Log-density of a factor at named values: of one variable, or of several."""
    inside = name.replace(" ", "").split("(")[-1].rstrip(")")
    names = inside.replace("|", ",").split(",")
    count = inside.split("|")[0].count(",") + 1
    if missing := [n for n in names if n not in values]:
        raise KeyError(f"{name} needs {missing[0]}")
    inputs = {n: v for n, v in values.items() if n not in names}
    found = factor(*(values[n] for n in names[count:]), **inputs)
    if count > 1:
        return found.log_prob(**{n: values[n] for n in names[:count]})
    x = values[names[0]]
    if x.shape[x.ndim - len(found.event_shape) :] != found.event_shape:
        raise ValueError(f"{names[0]} of {name} cannot have the shape {tuple(x.shape)}")
    return found.log_prob(x)


def check_support(name: str, value: Tensor, space: str, size: int | None) -> None:
    """Check that values lie in their space (debug modules only: this waits for the device)."""
    whole = value == value.round()
    total = value.sum(-1, keepdim=True) if value.ndim else value
    inside = {
        "boolean": (value == 0) | (value == 1),
        "unit_interval": (value >= 0) & (value <= 1),
        "nonnegative": value >= 0,
        "positive": value > 0,
        "nonnegative_integer": (value >= 0) & whole,
        "positive_integer": (value > 0) & whole,
        "category": (value >= 0) & (value < (size or 0)),
        "one_hot": ((value == 0) | (value == 1)) & ((total - 1).abs() < 1e-4),
        "simplex": (value >= 0) & ((total - 1).abs() < 1e-4),
    }.get(space, value.isfinite())
    if not inside.all():
        found = value[~inside][0].item()
        raise ValueError(f"{name} has the value {found:g}, which is not in {space}")


def watch(formula: str, name: str, value: Tensor) -> None:
    """Stop at a value that is not finite (debug modules only: this waits for the device)."""
    if not value.isfinite().all():
        found = value[~value.isfinite()][0].item()
        raise FloatingPointError(f"{name} of {formula} is {found}")


def prepare_conditions(shape: tuple, given: dict | None, variables: dict) -> tuple:
    """Check what a sampler is given and expand it; `variables`: event rank, and parents."""
    given = given or {}
    if unknown := given.keys() - variables.keys():
        raise KeyError(f"{min(unknown)} is not one of {', '.join(variables)}")
    for name, (_, above) in variables.items():
        if above is None and name not in given:
            raise ValueError(f"{name} is not generated by the model; give it")
        if name in given and (missing := set(above or ()) - given.keys()):
            raise ValueError(f"{name} is given, but {min(missing)} above it is not")
    batches = [v.shape[: v.ndim - variables[name][0]] for name, v in given.items()]
    shape = (*shape, *torch.broadcast_shapes(*batches))
    events = {name: v.shape[v.ndim - variables[name][0] :] for name, v in given.items()}
    return shape, {name: v.expand((*shape, *events[name])) for name, v in given.items()}


def take_inputs(given: dict | None, *names: str) -> tuple:
    """The values given to a sampler without the inputs, and the inputs."""
    given = given or {}
    if missing := [name for name in names if name not in given]:
        raise ValueError(f"{missing[0]} is an input of the model; give it")
    return {n: v for n, v in given.items() if n not in names}, *map(given.get, names)
