"""p(z) p(x|z); q(z|x), compiled by pgcompile 0.1.0 from a program."""

import math

import torch
import torch.distributions as D
import torch.nn.functional as F
from torch import Tensor, nn


def parameters_of(optimizer) -> list:
    """The parameters that an optimizer changes."""
    return [p for group in optimizer.param_groups for p in group["params"]]


class AdversarialAutoencoder(nn.Module):
    """p(z) p(x|z); q(z|x); x: boolean[64], z: real[2]."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden = nn.Sequential(nn.Linear(64, 128), nn.ReLU())
        self.loc = nn.Linear(128, 2)
        self.decoder = nn.Sequential(nn.Linear(2, 128), nn.ReLU(), nn.Linear(128, 64))
        self.d = nn.Sequential(nn.Linear(2, 64), nn.ReLU(), nn.Linear(64, 1))
        self.register_buffer("_like", torch.zeros(()), persistent=False)

    def reconstruction(self, x: Tensor) -> Tensor:
        """E_{q(z|x)}[log p(x|z)] - JS_d[q(z|x) || p(z); form=nonsaturating];
        x: [..., 64] -> [...].
        """
        x = take(self, "reconstruction", x=(x, (64,)))
        # q(z|x)
        loc = self.loc(self.hidden(x))
        # E_{q(z|x)}: one pathwise sample of z
        z = loc + 0.1 * torch.randn_like(loc)
        # log p(x|z)
        logits = self.decoder(z)
        cross_entropy = F.binary_cross_entropy_with_logits(logits, x, reduction="none")
        log_p_x = -cross_entropy.sum(-1)
        return log_p_x - F.softplus(self.d(z)[..., 0])

    def js(self, x: Tensor) -> Tensor:
        """JS_d[q(z|x) || p(z)]; x: [..., 64] -> [...]."""
        x = take(self, "js", x=(x, (64,)))
        # q(z|x)
        loc = self.loc(self.hidden(x))
        # E_{q(z|x)}: one pathwise sample of z
        z = loc + 0.1 * torch.randn_like(loc)
        # E_{p(z)}: one pathwise sample of z
        z_2 = torch.randn_like(self._like.expand(*x.shape[:-1], 2))
        softplus = F.softplus(self.d(z_2)[..., 0])
        return math.log(2) - 0.5 * (F.softplus(-self.d(z)[..., 0]) + softplus)

    def loss_reconstruction(self, x: Tensor) -> Tensor:
        """The scalar to minimise: minus the batch mean of reconstruction."""
        x = take(self, "loss_reconstruction", x=(x, (64,)))
        loc = self.loc(self.hidden(x))
        z = loc + 0.1 * torch.randn_like(loc)
        logits = self.decoder(z)
        cross_entropy = F.binary_cross_entropy_with_logits(logits, x, reduction="sum")
        batch_sum = F.softplus(self.d(z)[..., 0]).sum()
        return (cross_entropy + batch_sum) / x.shape[:-1].numel()

    def loss_js(self, x: Tensor) -> Tensor:
        """The scalar to minimise: minus the batch mean of js."""
        return -self.js(x).mean()

    def terms(self, x: Tensor) -> dict:
        """Every named term, in one pass."""
        x = take(self, "terms", x=(x, (64,)))
        # q(z|x)
        loc = self.loc(self.hidden(x))
        # E_{q(z|x)}: one pathwise sample of z
        z = loc + 0.1 * torch.randn_like(loc)
        # log p(x|z)
        logits = self.decoder(z)
        cross_entropy = F.binary_cross_entropy_with_logits(logits, x, reduction="none")
        log_p_x = -cross_entropy.sum(-1)
        select = self.d(z)[..., 0]
        # E_{p(z)}: one pathwise sample of z
        z_2 = torch.randn_like(self._like.expand(*x.shape[:-1], 2))
        softplus = F.softplus(self.d(z_2)[..., 0])
        return {
            "reconstruction": log_p_x - F.softplus(select),
            "js": math.log(2) - 0.5 * (F.softplus(-select) + softplus),
        }

    def sample(self, shape: tuple = (), given: dict | None = None) -> dict:
        """Draw from p(z) p(x|z); variables in `given` are held fixed."""
        shape, held = hold(self, shape, given, {"z": ((2,), ()), "x": ((64,), ("z",))})
        z = held["z"] if "z" in held else self.p_z().sample(shape)
        x = held["x"] if "x" in held else self.p_x_given_z(z).sample()
        return {"z": z, "x": x}

    def sample_mean(self, shape: tuple = (), given: dict | None = None) -> dict:
        """Propagate means through p(z) p(x|z); variables in `given` are held fixed."""
        shape, held = hold(self, shape, given, {"z": ((2,), ()), "x": ((64,), ("z",))})
        z = held["z"] if "z" in held else self.p_z().mean.expand(*shape, 2)
        x = held["x"] if "x" in held else self.p_x_given_z(z).mean
        return {"z": z, "x": x}

    def log_prob(self, x: Tensor, z: Tensor) -> Tensor:
        """log p(z) p(x|z); x: [..., 64], z: [..., 2] -> [...]."""
        x, z = take_expanded(self, "log_prob", x=(x, (64,)), z=(z, (2,), "float"))
        log_p_z = -0.5 * z.square().sum(-1) - 0.5 * 2 * math.log(2 * math.pi)
        logits = self.decoder(z)
        cross_entropy = F.binary_cross_entropy_with_logits(logits, x, reduction="none")
        return log_p_z - cross_entropy.sum(-1)

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
        normal = D.Normal(self._like.new_zeros(2), 1.0, validate_args=False)
        return D.Independent(normal, 1)

    def p_x_given_z(self, z: Tensor) -> D.Distribution:
        """p(x|z) = Bernoulli(logits=decoder(z))."""
        z = take(self, "p(x|z)", z=(z, (2,), "float"))
        bernoulli = D.Bernoulli(logits=self.decoder(z), validate_args=False)
        return D.Independent(bernoulli, 1)

    def q_z_given_x(self, x: Tensor) -> D.Distribution:
        """q(z|x) = Normal(loc=loc(hidden(x)), scale=0.1)."""
        x = take(self, "q(z|x)", x=(x, (64,)))
        normal = D.Normal(self.loc(self.hidden(x)), 0.1, validate_args=False)
        return D.Independent(normal, 1)

    def factor(self, name: str):
        """A factor by its name: call it with its parents for a distribution."""
        law = {"p(z)": self.p_z, "p(x|z)": self.p_x_given_z, "q(z|x)": self.q_z_given_x}
        if (label := str(name).replace(" ", "")) not in law:
            raise KeyError(f"{name} is not one of {', '.join(law)}")
        return law[label]

    def optimizers(self, fused: bool | None = None) -> list:
        """Adam for reconstruction, Adam for js."""
        return [
            torch.optim.Adam(
                [
                    *self.hidden.parameters(),
                    *self.loc.parameters(),
                    *self.decoder.parameters(),
                ],
                lr=0.001,
                fused=fused,
            ),
            torch.optim.Adam(self.d.parameters(), lr=0.001, fused=fused),
        ]

    def train_step(self, optimizers: list, x: Tensor) -> dict:
        """One optimizer step on -reconstruction, then one on -js; returns the losses
        before the updates.
        """
        optimizer_1, optimizer_2 = optimizers
        loss_reconstruction = self.loss_reconstruction(x)
        optimizer_1.zero_grad()
        loss_reconstruction.backward(inputs=parameters_of(optimizer_1))
        optimizer_1.step()
        loss_js = self.loss_js(x)
        optimizer_2.zero_grad()
        loss_js.backward(inputs=parameters_of(optimizer_2))
        optimizer_2.step()
        return {
            "loss_reconstruction": loss_reconstruction.detach(),
            "loss_js": loss_js.detach(),
        }


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
