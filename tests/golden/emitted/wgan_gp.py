"""p(z) p(x|z), compiled by pgcompile 0.1.0 from a program."""

import torch
import torch.distributions as D
from torch import Tensor, nn


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
        shape, held = hold(shape, given, {"z": ((4,), ()), "x": ((2,), ("z",))})
        z = held["z"] if "z" in held else self.p_z().sample(shape)
        x = held["x"] if "x" in held else self.p_x_given_z(z).sample()
        return {"z": z, "x": x}

    def sample_mean(self, shape: tuple = (), given: dict | None = None) -> dict:
        """Propagate means through p(z) p(x|z); variables in `given` are held fixed."""
        shape, held = hold(shape, given, {"z": ((4,), ()), "x": ((2,), ("z",))})
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
        x, *more = map(values.pop, targets)
        found = factor(*[values.pop(n) for n in parents], **values)
        x = take(self, name, **{targets[0]: (x, tuple(found.event_shape))})
        return found.log_prob(x, *more)

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
