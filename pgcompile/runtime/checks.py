"""Checks of what the methods of a module are given, written to be copied into emitted modules."""

import torch
from torch import Tensor


def check_part(name: str, part) -> None:
    """Refuse a supplied part that cannot be called."""
    if not callable(part) or isinstance(part, type):
        raise TypeError(f"{name} must be a torch.nn.Module, not {part!r}")


def check_net(name: str, net: torch.nn.Module, inputs: tuple, outputs: dict) -> None:
    """Compare what a supplied net gives, on the meta device, with what was declared."""
    if not isinstance(net, torch.nn.Module):
        raise TypeError(f"{name} must be a torch.nn.Module, not {net!r}")
    state = {**dict(net.named_parameters()), **dict(net.named_buffers())}
    meta = {n: torch.empty_like(v, device="meta") for n, v in state.items()}
    try:
        found = torch.func.functional_call(net, meta, inputs)
    except Exception as error:
        sizes = ", ".join(str([*v.shape[1:]]) for v in inputs)
        said = f"{name} fails on inputs of the event shapes {sizes}: {error}"
        raise ValueError(said) from error
    found = found if isinstance(found, tuple | list) else (found,)
    if len(found) != len(outputs):
        said = f"{len(found)} results, declared are {', '.join(outputs)}"
        raise ValueError(f"{name} gives {said}")
    for (output, shape), value in zip(outputs.items(), found, strict=True):
        if value.shape[1:] != shape:
            shown = f"{list(shape)}, {name} gives {list(value.shape[1:])}"
            raise ValueError(f"{output} is declared with the event shape {shown}")


def out_of_range(value: Tensor, allowed) -> int | None:
    """A whole number that is not allowed; None where reading it would wait, or fail."""
    if not value.is_cpu or torch.compiler.is_compiling():
        return None
    try:
        ends = [int(end) for end in value.aminmax()]
    except RuntimeError:  # there is none, or it is one of many under vmap
        return None
    return next((n for n in ends if not allowed[0] <= n <= allowed[-1]), None)


def take_one(like: Tensor, said: str, value, shape: tuple, kind=None) -> Tensor:
    """A dense real tensor that ends in `shape`, in a module's dtype and on its device.

    The kind of its numbers is "float", "int64", or the range of a category's values.
    """
    real = isinstance(value, Tensor) and not value.is_complex()
    if not real or value.layout is not torch.strided:
        is_tensor = isinstance(value, Tensor)
        got = f"{value.dtype} ({value.layout})" if is_tensor else type(value)
        raise TypeError(f"{said} must be a dense real tensor, not {got}")
    size = tuple(value.shape)
    if size[max(len(size) - len(shape), 0) :] != shape:
        raise ValueError(f"{said} ends in {shape}, not {size}")
    if kind is not None and value.is_floating_point() is (kind != "float"):
        wanted = "float" if kind == "float" else "int64"
        raise TypeError(f"{said} must be {wanted}, not {value.dtype}")
    if isinstance(kind, range) and (found := out_of_range(value, kind)) is not None:
        raise ValueError(f"{said} must lie in {kind[0]}..{kind[-1]}, not {found}")
    if value.is_meta and not like.is_meta:
        raise ValueError(f"{said} is on meta, the module on {like.device}")
    if kind is None or kind == "float":
        return value.to(like)
    return value.to(like.device, torch.int64)


def broadcast_batches(formula: str, batch: dict) -> tuple:
    """The shape that batch shapes, by variable, broadcast to."""
    first, *others = [*batch.values()] or [()]
    if all(size == first for size in others):
        return first
    try:
        return torch.broadcast_shapes(*batch.values())
    except RuntimeError:
        said = ", ".join(f"{name} {tuple(size)}" for name, size in batch.items())
    said = f"the batch shapes of {said} in {formula} do not broadcast together"
    raise ValueError(said)


def take_each(module, formula: str, variables: dict) -> tuple:
    """Variables as `take_one` gives them, each of its event shape, and the batch shapes."""
    found, batch = [], {}
    for name, (value, shape, *kind) in variables.items():
        value = take_one(module._like, f"{name} of {formula}", value, shape, *kind)
        found.append(value)
        batch[name] = tuple(value.shape)[: value.ndim - len(shape)]
    return found, batch


def take(module, formula: str, /, **variables):
    """Variables in a module's dtype and on its device; their batches must broadcast."""
    found, batch = take_each(module, formula, variables)
    broadcast_batches(formula, batch)
    return found if len(found) > 1 else found[0]


def take_expanded(module, formula: str, /, **variables):
    """Variables as `take` gives them, each repeated over the batches of the others."""
    found, batch = take_each(module, formula, variables)
    whole = broadcast_batches(formula, batch)
    pairs = zip(found, batch.values(), strict=True)
    return [v if n == whole else v.expand(*whole, *v.shape[len(n) :]) for v, n in pairs]


def take_all(module, formula: str, /, **variables):
    """Variables as `take` gives them, which must have one batch shape."""
    found, batch = take_each(module, formula, variables)
    first, *others = batch.values()
    if any(size != first for size in others):
        said = ", ".join(f"{name} {size}" for name, size in batch.items())
        raise ValueError(f"the batch shapes of {said} in {formula} differ")
    return found


def check_per(formula: str, per: str | None, *indices: str) -> None:
    """Refuse to split a formula by an index that it is no sum over."""
    if per is not None and per not in indices:
        known = " or ".join(f'"{index}"' for index in indices)
        raise ValueError(f"{formula} is no sum over {per!r}: per can be {known}")


def check_inputs(module, formula: str, batch: tuple, /, **inputs) -> None:
    """Check that inputs are numbers, or tensors that end in their shapes.

    Their batch shapes must broadcast with that of the variables.
    """
    sizes = {"the variables": batch}
    for name, (value, shape) in inputs.items():
        size = tuple(getattr(value, "shape", ()))
        fits = size[max(len(size) - len(shape), 0) :] == shape
        if isinstance(value, Tensor):
            fits = fits and not value.is_complex() and value.layout is torch.strided
            got = f"{value.dtype} of {size}"
        else:
            fits = fits and not size and hasattr(value, "__float__")
            got = f"{type(value).__name__} of {size}" if size else f"{value!r}"
        if not fits:
            said = f"a tensor that ends in {shape}" if shape else "a number"
            raise TypeError(f"{name} of {formula} must be {said}, not {got}")
        if size and value.device != (here := module._like.device):
            said = f"is on {value.device}, the module on {here}"
            raise ValueError(f"{name} of {formula} {said}")
        sizes[name] = size[: len(size) - len(shape)]
    broadcast_batches(formula, sizes)


def take_sequences(module, formula: str, /, **variables):
    """Variables as `take_all` gives them; a name in a shape is a number of places.

    A kind that is such a name says that the variable counts these places.
    """
    lengths: dict = {}
    for name, (value, shape, *kind) in variables.items():
        size = tuple(value.shape) if isinstance(value, Tensor) else ()
        own = size[max(len(size) - len(shape), 0) :]
        if len(own) < len(shape):
            take_one(module._like, f"{name} of {formula}", value, shape)
        for index, count in zip(shape, own, strict=True):
            if isinstance(index, str):
                if count == 0 and "|" not in formula:  # a factor's past may be empty
                    raise ValueError(f"{name} of {formula} has no places: {index} is 0")
                first, known = lengths.setdefault(index, (name, count))
                if known != count:
                    said = f"{known} in {first} and {count} in {name} of {formula}"
                    raise ValueError(f"{index} is {said}")
        pairs = zip(shape, own, strict=True)
        shape = tuple(n if isinstance(i, str) else i for i, n in pairs)
        variables[name] = (value, shape, *kind)
    for name, (value, shape, *kind) in variables.items():
        if kind and kind[0] in lengths:
            variables[name] = (value, shape, "int64")
            take_one(module._like, f"{name} of {formula}", value, shape, "int64")
            whole, count = lengths[kind[0]]
            if (found := out_of_range(value, (0, count))) is not None:
                said = f"0..{count}, the places of {whole}, not {found}"
                raise ValueError(f"{name} of {formula} must lie in {said}")
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


def log_prob_under(module, name: str, found, values: dict, /, **kinds) -> Tensor:
    """Log-density of a factor's variables; `kinds` has the ranges of categories."""
    (first, value), *more = values.items()
    known = {first: (value, tuple(found.event_shape), kinds.get(first))}
    (value,), batch = take_each(module, name, known)
    if not more:
        broadcast_batches(name, {**batch, "its parents": tuple(found.batch_shape)})
    return found.log_prob(value, *(v for _, v in more))


def values_of(given: dict | None) -> dict:
    """What a sampler is given, by name."""
    if given is not None and not hasattr(given, "items"):
        raise TypeError(f"given must be a dict of tensors by name, not {given!r}")
    return given or {}


def require_given(given: dict | None, *names: str) -> None:
    """Refuse to draw without what the model is conditioned on."""
    if missing := [name for name in names if name not in values_of(given)]:
        raise ValueError(f"{missing[0]} is not generated by the model; give it")


def shape_of_draws(shape) -> tuple:
    """The batch shape of draws: a number, or several."""
    try:
        return torch.empty(shape, device="meta").shape
    except (TypeError, RuntimeError):
        said = "shape must be a number of draws or a tuple of such, not"
    raise TypeError(f"{said} {shape!r}")


def hold(module, shape: tuple, given: dict | None, variables: dict) -> tuple:
    """Check and expand what is given; `variables`: event shape, parents, kind."""
    shape, given, held, batch = shape_of_draws(shape), values_of(given), {}, {}
    for name, value in given.items():
        if name not in variables:
            raise KeyError(f"{name} is not one of {', '.join(variables)}")
        event, above, *kind = variables[name]
        if missing := {*above} - given.keys():
            raise ValueError(f"{name} is given, but {min(missing)} above it is not")
        held[name] = take_one(module._like, f"{name} in given", value, event, *kind)
        batch[name] = tuple(value.shape[: value.ndim - len(event)])
    shape = (*shape, *broadcast_batches("given", batch))
    return shape, {n: v.expand((*shape, *variables[n][0])) for n, v in held.items()}


def hold_places(module, shape, given: dict | None, variables: dict, grows, **lengths):
    """As `hold`, for `variables` with the names of their numbers of places and shapes.

    Places stand first in what is held, first `grows`, of which fewer may be given.
    """
    shape, batch, held = shape_of_draws(shape), {}, {}
    for index, count in lengths.items():
        whole = hasattr(count, "__index__") and not isinstance(count, Tensor)
        if count is not None and (not whole or count < 1):
            raise ValueError(f"{index} must be a number of places, not {count!r}")
    for name, value in values_of(given).items():
        if name not in variables:
            raise KeyError(f"{name} is not one of {', '.join(variables)}")
        places, event, *kind = variables[name]
        value = take_one(module._like, f"{name} in given", value, event, *kind)
        if (at := value.ndim - len(event) - len(places)) < 0:
            said = f"{(*places, *event)}, not {tuple(value.shape)}"
            raise ValueError(f"{name} in given ends in {said}")
        for index, count in zip(places, value.shape[at:], strict=False):
            if lengths[index] is None or (index == grows and count > lengths[index]):
                lengths[index] = count
            elif index != grows and lengths[index] != count:
                raise ValueError(f"{index} is {lengths[index]}, and {count} in {name}")
        batch[name] = value.shape[:at]
        order = sorted(range(len(places)), key=lambda i: places[i] != grows)
        held[name] = value.movedim([at + i for i in order], [*range(len(places))])
    if missing := [index for index, count in lengths.items() if count is None]:
        raise ValueError(f"say how many places to draw: sample(..., {missing[0]}=20)")
    shape = (*shape, *broadcast_batches("given", batch))
    for name, value in held.items():
        places, event, *_ = variables[name]
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


def take_inputs(module, given: dict | None, shapes: dict) -> tuple:
    """The values given to a sampler without the inputs, and the inputs."""
    given = values_of(given)
    if missing := [name for name in shapes if name not in given]:
        raise ValueError(f"{missing[0]} is an input of the model; give it")
    inputs = {name: given[name] for name in shapes}
    asked = {n: (v, shapes[n]) for n, v in inputs.items()}
    check_inputs(module, "given", (), **asked)
    return {n: v for n, v in given.items() if n not in shapes}, *inputs.values()
