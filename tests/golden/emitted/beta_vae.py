"""p(z) p(x|z); q(z|x), compiled by pgcompile 0.1.0 from a program."""

import math

import torch
import torch.distributions as D
import torch.nn.functional as F
from torch import Tensor, nn


class BetaVae(nn.Module):
    """p(z) p(x|z); q(z|x); x: boolean[64], z: real[8]."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden = nn.Sequential(
            nn.Linear(64, 128),
            nn.ReLU(),
            nn.Linear(128, 128),
            nn.ReLU(),
        )
        self.loc = nn.Linear(128, 8)
        self.scale = nn.Sequential(nn.Linear(128, 8), nn.Softplus())
        self.decoder = nn.Sequential(
            nn.Linear(8, 128),
            nn.ReLU(),
            nn.Linear(128, 128),
            nn.ReLU(),
            nn.Linear(128, 64),
        )
        self.register_buffer("_like", torch.zeros(()), persistent=False)

    def rec(self, x: Tensor) -> Tensor:
        """E_q[log p(x|z)]; x: [..., 64] -> [...]."""
        x = take(self, "rec", x=(x, (64,)))
        # q(z|x)
        h = self.hidden(x)
        loc, scale = self.loc(h), self.scale(h)
        # E_{q(z|x)}: one pathwise sample of z
        z = loc + scale * torch.randn_like(loc)
        # log p(x|z)
        logits = self.decoder(z)
        cross_entropy = F.binary_cross_entropy_with_logits(logits, x, reduction="none")
        return -cross_entropy.sum(-1)

    def kl(self, x: Tensor) -> Tensor:
        """KL[q || p]; x: [..., 64] -> [...]."""
        x = take(self, "kl", x=(x, (64,)))
        loc, scale, log_scale = self._loc_scale_log_scale(x)
        return (0.5 * (loc.square() + scale.square() - 1.0) - log_scale).sum(-1)

    def objective(self, x: Tensor, beta: Tensor | float) -> Tensor:
        """rec - beta * kl; x: [..., 64], beta: a number -> [...]."""
        return self.terms(x, beta)["objective"]

    def loss(self, x: Tensor, beta: Tensor | float) -> Tensor:
        """The scalar to minimise: minus the batch mean of objective."""
        x = take(self, "loss", x=(x, (64,)))
        check_inputs(self, "loss", x.shape[:-1], beta=(beta, ()))
        loc, scale, log_scale = self._loc_scale_log_scale(x)
        z = loc + scale * torch.randn_like(loc)
        logits = self.decoder(z)
        kl = (0.5 * (loc.square() + scale.square() - 1.0) - log_scale).sum(-1)
        cross_entropy = F.binary_cross_entropy_with_logits(logits, x, reduction="sum")
        return (cross_entropy + (beta * kl).sum()) / x.shape[:-1].numel()

    def terms(self, x: Tensor, beta: Tensor | float) -> dict:
        """Every named term, in one pass."""
        x = take(self, "terms", x=(x, (64,)))
        check_inputs(self, "terms", x.shape[:-1], beta=(beta, ()))
        loc, scale, log_scale = self._loc_scale_log_scale(x)
        # E_{q(z|x)}: one pathwise sample of z
        z = loc + scale * torch.randn_like(loc)
        # log p(x|z)
        logits = self.decoder(z)
        cross_entropy = F.binary_cross_entropy_with_logits(logits, x, reduction="none")
        log_p_x = -cross_entropy.sum(-1)
        # KL[q(z|x) || p(z)], closed form
        kl = (0.5 * (loc.square() + scale.square() - 1.0) - log_scale).sum(-1)
        return {"rec": log_p_x, "kl": kl, "objective": log_p_x - beta * kl}

    def sample(self, shape: tuple = (), given: dict | None = None) -> dict:
        """Draw from p(z) p(x|z); variables in `given` are held fixed."""
        shape, held = hold(self, shape, given, {"z": ((8,), ()), "x": ((64,), ("z",))})
        z = held["z"] if "z" in held else self.p_z().sample(shape)
        x = held["x"] if "x" in held else self.p_x_given_z(z).sample()
        return {"z": z, "x": x}

    def sample_mean(self, shape: tuple = (), given: dict | None = None) -> dict:
        """Propagate means through p(z) p(x|z); variables in `given` are held fixed."""
        shape, held = hold(self, shape, given, {"z": ((8,), ()), "x": ((64,), ("z",))})
        z = held["z"] if "z" in held else self.p_z().mean.expand(*shape, 8)
        x = held["x"] if "x" in held else self.p_x_given_z(z).mean
        return {"z": z, "x": x}

    def log_prob(self, x: Tensor, z: Tensor) -> Tensor:
        """log p(z) p(x|z); x: [..., 64], z: [..., 8] -> [...]."""
        x, z = take_expanded(self, "log_prob", x=(x, (64,)), z=(z, (8,), "float"))
        log_p_z = -0.5 * z.square().sum(-1) - 0.5 * 8 * math.log(2 * math.pi)
        logits = self.decoder(z)
        cross_entropy = F.binary_cross_entropy_with_logits(logits, x, reduction="none")
        return log_p_z - cross_entropy.sum(-1)

    def _loc_scale_log_scale(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Shared by kl, loss and terms;
        x: [..., 64] -> loc [..., 8], scale [..., 8], log_scale [..., 8].
        """
        # q(z|x)
        h = self.hidden(x)
        loc, raw = self.loc(h), self.scale[0](h)
        scale = F.softplus(raw)
        # KL[q(z|x) || p(z)], closed form
        log_scale = torch.where(raw < -30.0, raw, scale.clamp_min(1e-30).log())
        return loc, scale, log_scale

    def log_prob_of(self, name: str, /, **values: Tensor) -> Tensor:
        """Log-density of a factor or model by its name, per example."""
        factor = self.factor(name)
        head, _, rest = name.replace(" ", "").split("(")[-1].rstrip(")").partition("|")
        targets, parents = head.split(","), [n for n in rest.split(",") if n]
        if missing := {*targets, *parents} - values.keys():
            raise KeyError(f"{name} needs {min(missing)}")
        asked = {n: values.pop(n) for n in targets}
        found = factor(*[values.pop(n) for n in parents], **values)
        return log_prob_under(self, name, found, asked)

    def p_z(self) -> D.Distribution:
        """p(z) = Normal(loc=0, scale=1)."""
        normal = D.Normal(self._like.new_zeros(8), 1.0, validate_args=False)
        return D.Independent(normal, 1)

    def p_x_given_z(self, z: Tensor) -> D.Distribution:
        """p(x|z) = Bernoulli(logits=decoder(z))."""
        z = take(self, "p(x|z)", z=(z, (8,), "float"))
        bernoulli = D.Bernoulli(logits=self.decoder(z), validate_args=False)
        return D.Independent(bernoulli, 1)

    def q_z_given_x(self, x: Tensor) -> D.Distribution:
        """q(z|x) = Normal(loc=loc(h), scale=scale(h)), h = hidden(x)."""
        x = take(self, "q(z|x)", x=(x, (64,)))
        h = self.hidden(x)
        normal = D.Normal(self.loc(h), self.scale(h), validate_args=False)
        return D.Independent(normal, 1)

    def factor(self, name: str):
        """A factor by its name: call it with its parents for a distribution."""
        law = {"p(z)": self.p_z, "p(x|z)": self.p_x_given_z, "q(z|x)": self.q_z_given_x}
        if (label := str(name).replace(" ", "")) not in law:
            raise KeyError(f"{name} is not one of {', '.join(law)}")
        return law[label]

    def optimizers(self, fused: bool | None = None) -> list:
        """Adam for objective."""
        return [torch.optim.Adam(self.parameters(), lr=0.001, fused=fused)]

    def train_step(self, optimizers: list, x: Tensor, beta: Tensor | float) -> dict:
        """One optimizer step on -objective; returns the loss before the update."""
        (optimizer,) = optimizers
        loss = self.loss(x, beta)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return {"loss": loss.detach()}


# What is said of calls that are wrong.


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
