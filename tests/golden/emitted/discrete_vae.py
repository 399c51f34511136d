"""p(b) p(x|b); q(b|x), compiled by pgcompile 0.1.0 from a program."""

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


def bernoulli_log_prob(logits: Tensor, x: Tensor, rank: int = 1) -> Tensor:
    """log Bernoulli(x; logits), summed over the last `rank` dimensions; both broadcast."""
    logits, x = torch.broadcast_tensors(logits, x)
    entropy = F.binary_cross_entropy_with_logits(logits, x, reduction="none")
    return -entropy.sum(tuple(range(-rank, 0))) if rank else -entropy


class DiscreteVae(nn.Module):
    """p(b) p(x|b); q(b|x); x: boolean[64], b: boolean[16]."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 16))
        self.decoder = nn.Sequential(nn.Linear(16, 128), nn.ReLU(), nn.Linear(128, 64))
        self.register_buffer("_like", torch.zeros(()), persistent=False)

    def elbo(self, x: Tensor) -> Tensor:
        """E_{q(b|x); samples=4}[log p(x|b)] - KL[q(b|x) || p(b)];
        x: [..., 64] -> [...].
        """
        x = take(self, "elbo", x=(x, (64,)))
        # q(b|x)
        logits_b = self.encoder(x)
        # E_{q(b|x)}: 4 samples of b
        probs = logits_b.sigmoid()
        b = torch.bernoulli(probs.expand(4, *probs.shape))
        # log p(x|b)
        logits_x = self.decoder(b)
        log_p_x = bernoulli_log_prob(logits_x, x)
        log_q_b = bernoulli_log_prob(logits_b, b)
        # KL[q(b|x) || p(b)], closed form
        product = 0.6931471805599453 * (1.0 - probs)
        kl = (product + (logits_b + math.log(2)) * probs - F.softplus(logits_b)).sum(-1)
        # the gradient through b: a score function
        log_p_x_detached = log_p_x.detach()
        mean_axis_keep = log_p_x_detached.mean(0, keepdim=True)
        advantage = 1.3333333333333333 * (log_p_x_detached - mean_axis_keep)
        return (log_p_x + (log_q_b - log_q_b.detach()) * advantage).mean(0) - kl

    def loss(self, x: Tensor) -> Tensor:
        """The scalar to minimise: minus the batch mean of elbo."""
        return -self.elbo(x).mean()

    def terms(self, x: Tensor) -> dict:
        """Every named term."""
        return {"elbo": self.elbo(x)}

    def sample(self, shape: tuple = (), given: dict | None = None) -> dict:
        """Draw from p(b) p(x|b); variables in `given` are held fixed."""
        shape, held = hold(shape, given, {"b": ((16,), ()), "x": ((64,), ("b",))})
        b = held["b"] if "b" in held else self.p_b().sample(shape)
        x = held["x"] if "x" in held else self.p_x_given_b(b).sample()
        return {"b": b, "x": x}

    def sample_mean(self, shape: tuple = (), given: dict | None = None) -> dict:
        """Propagate means through p(b) p(x|b); variables in `given` are held fixed."""
        shape, held = hold(shape, given, {"b": ((16,), ()), "x": ((64,), ("b",))})
        b = held["b"] if "b" in held else self.p_b().mean.expand(*shape, 16)
        x = held["x"] if "x" in held else self.p_x_given_b(b).mean
        return {"b": b, "x": x}

    def log_prob(self, x: Tensor, b: Tensor) -> Tensor:
        """log p(b) p(x|b); x: [..., 64], b: [..., 16] -> [...]."""
        x, b = take(self, "log_prob", x=(x, (64,)), b=(b, (16,)))
        product = 0.6931471805599453 * (1.0 - b)
        logits = self.decoder(b)
        cross_entropy = F.binary_cross_entropy_with_logits(logits, x, reduction="none")
        log_p_x = -cross_entropy.sum(-1)
        return log_p_x - (0.6931471805599453 * b + product).sum(-1)

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

    def p_b(self) -> D.Distribution:
        """p(b) = Bernoulli(probs=0.5)."""
        full_like = torch.full_like(self._like.expand(16), 0.5)
        return D.Independent(D.Bernoulli(probs=full_like, validate_args=False), 1)

    def p_x_given_b(self, b: Tensor) -> D.Distribution:
        """p(x|b) = Bernoulli(logits=decoder(b))."""
        b = take(self, "p(x|b)", b=(b, (16,)))
        bernoulli = D.Bernoulli(logits=self.decoder(b), validate_args=False)
        return D.Independent(bernoulli, 1)

    def q_b_given_x(self, x: Tensor) -> D.Distribution:
        """q(b|x) = Bernoulli(logits=encoder(x))."""
        x = take(self, "q(b|x)", x=(x, (64,)))
        bernoulli = D.Bernoulli(logits=self.encoder(x), validate_args=False)
        return D.Independent(bernoulli, 1)

    def factor(self, name: str):
        """A factor by its name: call it with its parents for a distribution."""
        law = {"p(b)": self.p_b, "p(x|b)": self.p_x_given_b, "q(b|x)": self.q_b_given_x}
        if (label := str(name).replace(" ", "")) not in law:
            raise KeyError(f"{name} is not one of {', '.join(law)}")
        return law[label]

    def optimizers(self, fused: bool | None = None) -> list:
        """Adam for elbo."""
        return [torch.optim.Adam(self.parameters(), lr=0.001, fused=fused)]

    def train_step(self, optimizers: list, x: Tensor) -> dict:
        """One optimizer step on -elbo; returns the loss before the update."""
        (optimizer,) = optimizers
        loss = self.loss(x)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return {"loss": loss.detach()}
