"""p(z) p(grey|z); q(z|grey), compiled by pgcompile 0.1.0 from a program."""

import math

import torch
import torch.distributions as D
import torch.nn.functional as F
from torch import Tensor, nn


@torch.no_grad()
def store(name: str, tensor: Tensor, value, inverse=torch.positive) -> None:
    """Give a tensor a value in place; `inverse` finds the free numbers that are stored."""
    try:
        given = torch.as_tensor(value)
    except (TypeError, ValueError, RuntimeError):
        raise TypeError(f"{name} must be numbers, not {value!r}") from None
    if given.is_complex():
        raise TypeError(f"{name} must be real numbers, not {given.dtype}")
    given = given.to(tensor)
    if given.ndim and given.shape != tensor.shape:
        raise ValueError(f"{name} has shape {[*tensor.shape]}, not {[*given.shape]}")
    free = inverse(given.expand(tensor.shape))
    if not bool(free.isfinite().all()):
        raise ValueError(f"{name} must lie inside its space")
    tensor.copy_(free)


def free_of_positive(value: Tensor) -> Tensor:
    """The inverse of the softplus."""
    return value + (-torch.expm1(-value)).log()


class FactorAnalysis(nn.Module):
    """p(z) p(grey|z); q(z|grey); grey: real[64], z: real[8]."""

    def __init__(self) -> None:
        super().__init__()
        self.loc = nn.Linear(64, 8)
        self.loadings = nn.Parameter(nn.init.normal_(torch.empty((64, 8)), 0.0, 0.1))
        self.free_spread = nn.Parameter(torch.full((8,), -1.0502256128148468))
        self.centre = nn.Parameter(torch.full((64,), 0.0))
        self.free_noise = nn.Parameter(torch.full((64,), -1.0502256128148468))
        self.register_buffer("_like", torch.zeros(()), persistent=False)

    def elbo(self, grey: Tensor) -> Tensor:
        """E_{q(z|grey)}[log p(grey|z)] - KL[q(z|grey) || p(z)];
        grey: [..., 64] -> [...].
        """
        grey = take(self, "elbo", grey=(grey, (64,), "float"))
        # q(z|grey)
        loc_z = self.loc(grey)
        spread = F.softplus(self.free_spread)
        # E_{q(z|grey)}: one pathwise sample of z
        z = loc_z + spread * torch.randn_like(loc_z)
        # log p(grey|z)
        loc_grey = F.linear(z, self.loadings) + self.centre
        noise = F.softplus(self.free_noise)
        log_scale = torch.where(
            self.free_noise < -30.0,
            self.free_noise,
            noise.clamp_min(1e-30).log(),
        )
        noise_floored = noise.clamp_min(torch.finfo(noise.dtype).tiny)
        square = ((grey - loc_grey) / noise_floored).square()
        total = (log_scale + 0.5 * square).sum(-1)
        log_p_grey = -0.5 * 64 * math.log(2 * math.pi) - total
        # KL[q(z|grey) || p(z)], closed form
        log_scale_2 = torch.where(
            self.free_spread < -30.0,
            self.free_spread,
            spread.clamp_min(1e-30).log(),
        )
        kl = (0.5 * (loc_z.square() + spread.square() - 1.0) - log_scale_2).sum(-1)
        return log_p_grey - kl

    def loss(self, grey: Tensor) -> Tensor:
        """The scalar to minimise: minus the batch mean of elbo."""
        return -self.elbo(grey).mean()

    def terms(self, grey: Tensor) -> dict:
        """Every named term."""
        return {"elbo": self.elbo(grey)}

    def sample(self, shape: tuple = (), given: dict | None = None) -> dict:
        """Draw from p(z) p(grey|z); variables in `given` are held fixed."""
        variables = {"z": ((8,), ()), "grey": ((64,), ("z",))}
        shape, held = hold(self, shape, given, variables)
        z = held["z"] if "z" in held else self.p_z().sample(shape)
        grey = held["grey"] if "grey" in held else self.p_grey_given_z(z).sample()
        return {"z": z, "grey": grey}

    def sample_mean(self, shape: tuple = (), given: dict | None = None) -> dict:
        """Propagate means through p(z) ...; variables in `given` are held fixed."""
        variables = {"z": ((8,), ()), "grey": ((64,), ("z",))}
        shape, held = hold(self, shape, given, variables)
        z = held["z"] if "z" in held else self.p_z().mean.expand(*shape, 8)
        grey = held["grey"] if "grey" in held else self.p_grey_given_z(z).mean
        return {"z": z, "grey": grey}

    def log_prob(self, grey: Tensor, z: Tensor) -> Tensor:
        """log p(z) p(grey|z); grey: [..., 64], z: [..., 8] -> [...]."""
        grey, z = take(
            self,
            "log_prob",
            grey=(grey, (64,), "float"),
            z=(z, (8,), "float"),
        )
        log_p_z = -0.5 * z.square().sum(-1) - 0.5 * 8 * math.log(2 * math.pi)
        loc = F.linear(z, self.loadings) + self.centre
        noise = F.softplus(self.free_noise)
        log_scale = torch.where(
            self.free_noise < -30.0,
            self.free_noise,
            noise.clamp_min(1e-30).log(),
        )
        noise_floored = noise.clamp_min(torch.finfo(noise.dtype).tiny)
        product = 0.5 * ((grey - loc) / noise_floored).square()
        log_p_grey = -0.5 * 64 * math.log(2 * math.pi) - (log_scale + product).sum(-1)
        return log_p_z + log_p_grey

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

    def p_grey_given_z(self, z: Tensor) -> D.Distribution:
        """p(grey|z) = Normal(loc=loadings @ z + centre, scale=noise)."""
        z = take(self, "p(grey|z)", z=(z, (8,), "float"))
        loc = F.linear(z, self.loadings) + self.centre
        normal = D.Normal(loc, F.softplus(self.free_noise), validate_args=False)
        return D.Independent(normal, 1)

    def q_z_given_grey(self, grey: Tensor) -> D.Distribution:
        """q(z|grey) = Normal(loc=loc(grey), scale=spread)."""
        grey = take(self, "q(z|grey)", grey=(grey, (64,), "float"))
        spread = F.softplus(self.free_spread)
        return D.Independent(D.Normal(self.loc(grey), spread, validate_args=False), 1)

    def factor(self, name: str):
        """A factor by its name: call it with its parents for a distribution."""
        law = {
            "p(z)": self.p_z,
            "p(grey|z)": self.p_grey_given_z,
            "q(z|grey)": self.q_z_given_grey,
        }
        if (label := str(name).replace(" ", "")) not in law:
            raise KeyError(f"{name} is not one of {', '.join(law)}")
        return law[label]

    def get(self, name: str) -> Tensor:
        """A param or buffer by its name, as a value in its space."""
        free, to_value, _ = self.stored(name)
        return to_value(free)

    def set(self, name: str, value) -> None:
        """Give a param or buffer a value in its space."""
        free, _, inverse = self.stored(name)
        store(name, free, value, inverse)

    def stored(self, name: str) -> tuple:
        """Free numbers of a param or buffer, the map into its space, the inverse."""
        tensors = {
            "loadings": (self.loadings, torch.positive, torch.positive),
            "spread": (self.free_spread, F.softplus, free_of_positive),
            "centre": (self.centre, torch.positive, torch.positive),
            "noise": (self.free_noise, F.softplus, free_of_positive),
        }
        if name not in tensors:
            raise KeyError(f"{name} is not one of {', '.join(tensors)}")
        return tensors[name]

    def optimizers(self, fused: bool | None = None) -> list:
        """Adam for elbo."""
        return [torch.optim.Adam(self.parameters(), lr=0.01, fused=fused)]

    def train_step(self, optimizers: list, grey: Tensor) -> dict:
        """One optimizer step on -elbo; returns the loss before the update."""
        (optimizer,) = optimizers
        loss = self.loss(grey)
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
