"""p(z) p(x|z); q(z|x), compiled by pgcompile 0.1.0 from a program."""

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


def check_inputs(formula: str, /, **inputs) -> None:
    """Check that inputs are numbers, or tensors that end in their shapes."""
    for name, (value, shape) in inputs.items():
        size = tuple(getattr(value, "shape", ()))
        fits = size[len(size) - len(shape) :] == shape
        if not hasattr(value, "__float__") or not fits:
            said = f"a tensor that ends in {shape}" if shape else "a number"
            raise TypeError(f"{name} of {formula} must be {said}")


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
        check_inputs("loss", beta=(beta, ()))
        x = take(self, "loss", x=(x, (64,)))
        loc, scale, log_scale = self._loc_scale_log_scale(x)
        z = loc + scale * torch.randn_like(loc)
        logits = self.decoder(z)
        kl = (0.5 * (loc.square() + scale.square() - 1.0) - log_scale).sum(-1)
        cross_entropy = F.binary_cross_entropy_with_logits(logits, x, reduction="sum")
        return (cross_entropy + (beta * kl).sum()) / x.shape[:-1].numel()

    def terms(self, x: Tensor, beta: Tensor | float) -> dict:
        """Every named term, in one pass."""
        check_inputs("terms", beta=(beta, ()))
        x = take(self, "terms", x=(x, (64,)))
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
        shape, held = hold(shape, given, {"z": ((8,), ()), "x": ((64,), ("z",))})
        z = held["z"] if "z" in held else self.p_z().sample(shape)
        x = held["x"] if "x" in held else self.p_x_given_z(z).sample()
        return {"z": z, "x": x}

    def sample_mean(self, shape: tuple = (), given: dict | None = None) -> dict:
        """Propagate means through p(z) p(x|z); variables in `given` are held fixed."""
        shape, held = hold(shape, given, {"z": ((8,), ()), "x": ((64,), ("z",))})
        z = held["z"] if "z" in held else self.p_z().mean.expand(*shape, 8)
        x = held["x"] if "x" in held else self.p_x_given_z(z).mean
        return {"z": z, "x": x}

    def log_prob(self, x: Tensor, z: Tensor) -> Tensor:
        """log p(z) p(x|z); x: [..., 64], z: [..., 8] -> [...]."""
        x, z = take(self, "log_prob", x=(x, (64,)), z=(z, (8,), "float"))
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
        x, *more = map(values.pop, targets)
        found = factor(*[values.pop(n) for n in parents], **values)
        x = take(self, name, **{targets[0]: (x, tuple(found.event_shape))})
        return found.log_prob(x, *more)

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
