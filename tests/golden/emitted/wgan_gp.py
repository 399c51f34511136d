"""p(z) p(x|z), compiled by pgcompile 0.1.0 from a program."""

import torch
import torch.distributions as D
from torch import Tensor, nn


def interpolate(first: Tensor, second: Tensor, along: Tensor, rank: int) -> Tensor:
    """The point at `along` of the line from `second` to `first`, whose event has `rank` dimensions."""
    along = along.reshape((*along.shape, *[1] * rank))
    return along * first.detach() + (1 - along) * second.detach()


def gradient_penalty(critic, x: Tensor, rank: int) -> Tensor:
    """(||grad critic(x)|| - 1)^2 for each data point (Gulrajani et al. 2017)."""
    slope = torch.func.grad(lambda point: critic(point).sum())(x)
    return (slope.flatten(-rank).norm(dim=-1) - 1).square()


class Delta(D.Distribution):
    """All mass at the point `v`."""

    arg_constraints = {}  # noqa: RUF012
    has_rsample = True

    def __init__(self, v: Tensor, event_dim: int) -> None:
        self.v = v
        batch, event = v.shape[: v.ndim - event_dim], v.shape[v.ndim - event_dim :]
        super().__init__(batch, event, validate_args=False)

    @property
    def mean(self) -> Tensor:
        """The point."""
        return self.v

    def rsample(self, sample_shape: torch.Size | tuple[int, ...] = ()) -> Tensor:
        """The point, repeated."""
        return self.v.expand((*sample_shape, *self.v.shape))

    def expand(self, batch_shape, _instance=None):
        """The same for more batch dimensions."""
        rank = len(self.event_shape)
        return Delta(self.v.expand((*batch_shape, *self.event_shape)), rank)

    @property
    def variance(self) -> Tensor:
        """Nothing varies."""
        return torch.zeros_like(self.v)

    def log_prob(self, value: Tensor) -> Tensor:
        """log of the mass of a value: 0 at the point, -inf elsewhere."""
        mass = torch.where(value == self.v, 0.0, -torch.inf)
        rank = len(self.event_shape)
        return mass.sum(list(range(-rank, 0))) if rank else mass


def parameters_of(optimizer) -> list:
    """The parameters that an optimizer changes."""
    return [p for group in optimizer.param_groups for p in group["params"]]


class WganGp(nn.Module):
    """p(z) p(x|z); x: real[2], z: real[4]."""

    def __init__(self) -> None:
        super().__init__()
        self.generator = nn.Sequential(
            nn.Linear(4, 64),
            nn.ReLU(),
            nn.Linear(64, 64),
            nn.ReLU(),
            nn.Linear(64, 2),
        )
        self.critic = nn.Sequential(
            nn.Linear(2, 64),
            nn.LeakyReLU(negative_slope=0.2),
            nn.Linear(64, 64),
            nn.LeakyReLU(negative_slope=0.2),
            nn.Linear(64, 1),
        )
        self.register_buffer("_like", torch.zeros(()), persistent=False)

    def distance(self, x: Tensor) -> Tensor:
        """W_critic[p(x|z) p(z) || data; penalty=1]; x: [..., 2] -> [...]."""
        x = take(self, "distance", x=(x, (2,), "float"))
        # E_{p(z,x)}: one pathwise sample of z
        z = torch.randn_like(self._like.expand(*x.shape[:-1], 4))
        # p(x|z)
        v = self.generator(z)
        # gradient penalty of critic
        point = interpolate(v, x, torch.rand_like(v[..., 0]), 1)
        penalty = gradient_penalty(self.critic, point, 1)
        return self.critic(v)[..., 0] - self.critic(x)[..., 0] - penalty

    def gap(self, x: Tensor) -> Tensor:
        """W_critic[p(x|z) p(z) || data]; x: [..., 2] -> [...]."""
        x = take(self, "gap", x=(x, (2,), "float"))
        # E_{p(z,x)}: one pathwise sample of z
        z = torch.randn_like(self._like.expand(*x.shape[:-1], 4))
        # p(x|z)
        v = self.generator(z)
        return self.critic(v)[..., 0] - self.critic(x)[..., 0]

    def loss_distance(self, x: Tensor) -> Tensor:
        """The scalar to minimise: minus the batch mean of distance."""
        return -self.distance(x).mean()

    def loss_gap(self, x: Tensor) -> Tensor:
        """The scalar to minimise: the batch mean of gap."""
        return self.gap(x).mean()

    def terms(self, x: Tensor) -> dict:
        """Every named term, in one pass."""
        x = take(self, "terms", x=(x, (2,), "float"))
        # E_{p(z,x)}: one pathwise sample of z
        z = torch.randn_like(self._like.expand(*x.shape[:-1], 4))
        # p(x|z)
        v = self.generator(z)
        # gradient penalty of critic
        point = interpolate(v, x, torch.rand_like(v[..., 0]), 1)
        penalty = gradient_penalty(self.critic, point, 1)
        gap = self.critic(v)[..., 0] - self.critic(x)[..., 0]
        return {"distance": gap - penalty, "gap": gap}

    def sample(self, shape: tuple = (), given: dict | None = None) -> dict:
        """Draw from p(z) p(x|z); variables in `given` are held fixed."""
        shape, held = hold(self, shape, given, {"z": ((4,), ()), "x": ((2,), ("z",))})
        z = held["z"] if "z" in held else self.p_z().sample(shape)
        x = held["x"] if "x" in held else self.p_x_given_z(z).sample()
        return {"z": z, "x": x}

    def sample_mean(self, shape: tuple = (), given: dict | None = None) -> dict:
        """Propagate means through p(z) p(x|z); variables in `given` are held fixed."""
        shape, held = hold(self, shape, given, {"z": ((4,), ()), "x": ((2,), ("z",))})
        z = held["z"] if "z" in held else self.p_z().mean.expand(*shape, 4)
        x = held["x"] if "x" in held else self.p_x_given_z(z).mean
        return {"z": z, "x": x}

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
        normal = D.Normal(self._like.new_zeros(4), 1.0, validate_args=False)
        return D.Independent(normal, 1)

    def p_x_given_z(self, z: Tensor) -> D.Distribution:
        """p(x|z) = Delta(v=generator(z))."""
        z = take(self, "p(x|z)", z=(z, (4,), "float"))
        return Delta(self.generator(z), 1)

    def factor(self, name: str):
        """A factor by its name: call it with its parents for a distribution."""
        law = {"p(z)": self.p_z, "p(x|z)": self.p_x_given_z}
        if (label := str(name).replace(" ", "")) not in law:
            raise KeyError(f"{name} is not one of {', '.join(law)}")
        return law[label]

    def optimizers(self, fused: bool | None = None) -> list:
        """Adam for distance, Adam for gap."""
        return [
            torch.optim.Adam(
                self.critic.parameters(),
                lr=0.001,
                betas=(0.5, 0.9),
                fused=fused,
            ),
            torch.optim.Adam(
                self.generator.parameters(),
                lr=0.001,
                betas=(0.5, 0.9),
                fused=fused,
            ),
        ]

    def train_step(self, optimizers: list, x: Tensor) -> dict:
        """5 optimizer steps on -distance, then one on gap; returns the losses before
        the last update of each.
        """
        optimizer_1, optimizer_2 = optimizers
        for _ in range(5):
            loss_distance = self.loss_distance(x)
            optimizer_1.zero_grad()
            loss_distance.backward(inputs=parameters_of(optimizer_1))
            optimizer_1.step()
        loss_gap = self.loss_gap(x)
        optimizer_2.zero_grad()
        loss_gap.backward(inputs=parameters_of(optimizer_2))
        optimizer_2.step()
        return {"loss_distance": loss_distance.detach(), "loss_gap": loss_gap.detach()}


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
