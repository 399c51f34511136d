"""p(z) p(x|z), compiled by pgcompile 0.1.0 from a program."""

import math

import torch
import torch.distributions as D
import torch.nn.functional as F
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


class Gan(nn.Module):
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
        self.d = nn.Sequential(
            nn.Linear(2, 64),
            nn.LeakyReLU(negative_slope=0.2),
            nn.Linear(64, 64),
            nn.LeakyReLU(negative_slope=0.2),
            nn.Linear(64, 1),
        )
        self.register_buffer("_like", torch.zeros(()), persistent=False)

    def js(self, x: Tensor) -> Tensor:
        """JS_d[p(x|z) p(z) || data]; x: [..., 2] -> [...]."""
        x = take(self, "js", x=(x, (2,), "float"))
        # E_{p(z,x)}: one pathwise sample of z
        z = torch.randn_like(self._like.expand(*x.shape[:-1], 4))
        # p(x|z)
        v = self.generator(z)
        softplus = F.softplus(-self.d(v)[..., 0])
        return math.log(2) - 0.5 * (softplus + F.softplus(self.d(x)[..., 0]))

    def fool(self, x: Tensor) -> Tensor:
        """JS_d[p(x|z) p(z) || data; form=nonsaturating]; x: [..., 2] -> [...]."""
        x = take(self, "fool", x=(x, (2,), "float"))
        # E_{p(z,x)}: one pathwise sample of z
        z = torch.randn_like(self._like.expand(*x.shape[:-1], 4))
        # p(x|z)
        v = self.generator(z)
        return F.softplus(self.d(v)[..., 0])

    def loss_js(self, x: Tensor) -> Tensor:
        """The scalar to minimise: minus the batch mean of js."""
        return -self.js(x).mean()

    def loss_fool(self, x: Tensor) -> Tensor:
        """The scalar to minimise: the batch mean of fool."""
        return self.fool(x).mean()

    def terms(self, x: Tensor) -> dict:
        """Every named term, in one pass."""
        x = take(self, "terms", x=(x, (2,), "float"))
        # E_{p(z,x)}: one pathwise sample of z
        z = torch.randn_like(self._like.expand(*x.shape[:-1], 4))
        # p(x|z)
        v = self.generator(z)
        select = self.d(v)[..., 0]
        softplus = F.softplus(self.d(x)[..., 0])
        return {
            "js": math.log(2) - 0.5 * (F.softplus(-select) + softplus),
            "fool": F.softplus(select),
        }

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
        """Adam for js, Adam for fool."""
        return [
            torch.optim.Adam(
                self.d.parameters(),
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
        """One optimizer step on -js, then one on fool; returns the losses before the
        updates.
        """
        optimizer_1, optimizer_2 = optimizers
        loss_js = self.loss_js(x)
        optimizer_1.zero_grad()
        loss_js.backward(inputs=parameters_of(optimizer_1))
        optimizer_1.step()
        loss_fool = self.loss_fool(x)
        optimizer_2.zero_grad()
        loss_fool.backward(inputs=parameters_of(optimizer_2))
        optimizer_2.step()
        return {"loss_js": loss_js.detach(), "loss_fool": loss_fool.detach()}
