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


def take(module, formula: str, /, **variables):
    """Variables in a module's dtype; each with its event shape and kind of number."""
    found = []
    for name, given in variables.items():
        value, shape, *kind = given if isinstance(given, tuple) else (given, ())
        if not isinstance(value, Tensor) or value.is_complex() or value.is_sparse:
            raise TypeError(f"{name} of {formula} must be a dense real tensor")
        if (size := tuple(value.shape))[len(size) - len(shape) :] != shape:
            raise ValueError(f"{name} of {formula} ends in {shape}, not {size}")
        if kind and value.is_floating_point() is (kind[0] == "int64"):
            raise TypeError(f"{name} of {formula} must be {kind[0]}, not {value.dtype}")
        found.append(value.long() if kind == ["int64"] else value.to(module._like))
    return found if len(found) > 1 else found[0]


def take_all(module, formula: str, /, **variables):
    """Variables as `take` gives them, which must have one batch shape."""
    found = take(module, formula, **variables)
    ranks = [len(v[1]) if isinstance(v, tuple) else 0 for v in variables.values()]
    sizes = [tuple(v.shape[: v.ndim - n]) for v, n in zip(found, ranks, strict=True)]
    if len(set(sizes)) > 1:
        raise ValueError(f"the batch shapes of {', '.join(variables)} differ: {sizes}")
    return found


def check_per(formula: str, per: str | None, *indices: str) -> None:
    """Refuse to split a formula by an index that it is no sum over."""
    if per is not None and per not in indices:
        known = " or ".join(f'"{index}"' for index in indices)
        raise ValueError(f"{formula} is no sum over {per!r}: per can be {known}")


def check_inputs(formula: str, /, **inputs) -> None:
    """Check that inputs are numbers, or tensors that end in their shapes."""
    for name, (value, shape) in inputs.items():
        size = tuple(getattr(value, "shape", ()))
        fits = size[len(size) - len(shape) :] == shape
        if not hasattr(value, "__float__") or not fits:
            said = f"a tensor that ends in {shape}" if shape else "a number"
            raise TypeError(f"{name} of {formula} must be {said}")


def take_sequences(module, formula: str, /, **variables):
    """Variables as `take_all` gives them; a name in a shape is a number of places."""
    lengths: dict = {}
    for name, given in variables.items():
        value, shape, *kind = given if isinstance(given, tuple) else (given, ())
        size = tuple(getattr(value, "shape", ()))
        if (lead := len(size) - len(shape)) < 0:
            raise ValueError(f"{name} of {formula} ends in {shape}, not {size}")
        own = dict(zip(shape, size[lead:], strict=True))
        for index in [i for i in shape if isinstance(i, str)]:
            first, known = lengths.setdefault(index, (name, own[index]))
            if known != own[index]:
                said = f"{known} in {first} and {own[index]} in {name} of {formula}"
                raise ValueError(f"{index} is {said}")
        shape = tuple(own[i] if isinstance(i, str) else i for i in shape)
        variables[name] = (value, shape, *kind)
    return (take_all if len(variables) > 1 else take)(module, formula, **variables)


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


def kept_in(name: str, space: str):
    """A map that leaves values as they are, and refuses those outside their space."""

    def checked(value: Tensor) -> Tensor:
        check_support(name, value, space, None)
        return value

    return checked


def watch(formula: str, name: str, value: Tensor) -> None:
    """Stop at a value that is not finite (debug modules only: this waits for the device)."""
    if not value.isfinite().all():
        found = value[~value.isfinite()][0].item()
        raise FloatingPointError(f"{name} of {formula} is {found}")


def require_given(given: dict | None, *names: str) -> None:
    """Refuse to draw without what the model is conditioned on."""
    if missing := [name for name in names if name not in (given or {})]:
        raise ValueError(f"{missing[0]} is not generated by the model; give it")


def hold(shape: tuple, given: dict | None, variables: dict) -> tuple:
    """Check what a sampler is given and expand it; `variables`: event shape, and parents."""
    shape = torch.empty(shape, device="meta").shape
    given, batch = given or {}, {}
    for name, v in given.items():
        if name not in variables:
            raise KeyError(f"{name} is not one of {', '.join(variables)}")
        event, above = variables[name]
        if missing := {*above} - given.keys():
            raise ValueError(f"{name} is given, but {min(missing)} above it is not")
        if not isinstance(v, Tensor) or v.shape[v.ndim - len(event) :] != event:
            raise TypeError(f"{name} must be a tensor that ends in {event}")
        batch[name] = v.shape[: v.ndim - len(event)]
    shape = (*shape, *torch.broadcast_shapes(*batch.values()))
    return shape, {n: v.expand((*shape, *variables[n][0])) for n, v in given.items()}


def hold_places(shape: tuple, given: dict | None, variables: dict, grows, **lengths):
    """As `hold`, for `variables` with the names of their numbers of places and shapes.

    Places stand first in what is held, first `grows`, of which fewer may be given.
    """
    shape = torch.empty(shape, device="meta").shape
    batch, held = [], {}
    for name, value in (given or {}).items():
        if name not in variables:
            raise KeyError(f"{name} is not one of {', '.join(variables)}")
        places, event = variables[name]
        at = value.ndim - len(event) - len(places) if isinstance(value, Tensor) else -1
        if at < 0 or value.shape[at + len(places) :] != event:
            raise TypeError(f"{name} must be a tensor that ends in {(*places, *event)}")
        for index, count in zip(places, value.shape[at:], strict=False):
            if lengths[index] is None or (index == grows and count > lengths[index]):
                lengths[index] = count
            elif index != grows and lengths[index] != count:
                raise ValueError(f"{index} is {lengths[index]}, and {count} in {name}")
        batch.append(value.shape[:at])
        order = sorted(range(len(places)), key=lambda i: places[i] != grows)
        held[name] = value.movedim([at + i for i in order], [*range(len(places))])
    if missing := [index for index, count in lengths.items() if count is None]:
        raise ValueError(f"say how many places to draw: sample(..., {missing[0]}=20)")
    shape = (*shape, *torch.broadcast_shapes(*batch))
    for name, value in held.items():
        places, event = variables[name]
        count, rest = value.shape[: len(places)], value.shape[len(places) :]
        ones = (1 for _ in range(len(shape) + len(event) - len(rest)))
        held[name] = value.reshape(*count, *ones, *rest).expand(*count, *shape, *event)
    return shape, held, *lengths.values()


def refuse_known(known: dict, name: str, *children: str) -> None:
    """Refuse to draw a variable from its prior where what depends on it is given."""
    if given := [child for child in children if child in known]:
        raise ValueError(f"{given[0]} is given, but {name} above it is not")


def behind_batch(value: Tensor, places: int, batch: int) -> Tensor:
    """A value whose first dimensions are places, with these behind the batch."""
    return value.movedim(tuple(range(places)), tuple(range(batch, batch + places)))


def repeat_places(value: Tensor, sizes: tuple, missing: tuple) -> Tensor:
    """A value repeated along the `missing` of its first dimensions."""
    for at in missing:
        value = value.unsqueeze(at)
    return value.expand(*sizes, *value.shape[len(sizes) :])


def take_inputs(given: dict | None, *names: str) -> tuple:
    """The values given to a sampler without the inputs, and the inputs."""
    given = given or {}
    if missing := [name for name in names if name not in given]:
        raise ValueError(f"{missing[0]} is an input of the model; give it")
    return {n: v for n, v in given.items() if n not in names}, *map(given.get, names)
