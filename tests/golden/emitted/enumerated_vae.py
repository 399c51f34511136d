"""p(k) p(z|k) p(x|z); q(k|x) q(z|x,k), compiled by pgcompile 0.1.0 from a program."""

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


def expand_rows(table: Tensor, batch: tuple) -> Tensor:
    """The rows of a table repeated over a batch: [rows, *batch, ...]."""
    rows, *rest = table.shape
    ones = table.reshape(rows, *(1 for _ in batch), *rest)
    return ones.expand(rows, *batch, *rest)


def bernoulli_log_prob(logits: Tensor, x: Tensor, rank: int = 1) -> Tensor:
    """log Bernoulli(x; logits), summed over the last `rank` dimensions; both broadcast."""
    logits, x = torch.broadcast_tensors(logits, x)
    entropy = F.binary_cross_entropy_with_logits(logits, x, reduction="none")
    return -entropy.sum(tuple(range(-rank, 0))) if rank else -entropy


@torch.no_grad()
def store(name: str, tensor: Tensor, value, inverse=torch.positive) -> None:
    """Give a tensor a value in place; `inverse` finds the free numbers that are stored."""
    given = torch.as_tensor(value, dtype=tensor.dtype, device=tensor.device)
    if given.ndim and given.shape != tensor.shape:
        raise ValueError(f"{name} has shape {[*tensor.shape]}, not {[*given.shape]}")
    free = inverse(given.expand(tensor.shape))
    if not bool(free.isfinite().all()):
        raise ValueError(f"{name} must lie inside its space")
    tensor.copy_(free)


class EnumeratedVae(nn.Module):
    """p(k) p(z|k) p(x|z); q(k|x) q(z|x,k); x: boolean[64], k: category[10], z:
    real[4].
    """

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(64, 128), nn.ReLU())
        self.loc = nn.Linear(128, 4)
        self.scale = nn.Sequential(nn.Linear(128, 4), nn.Softplus())
        self.decoder = nn.Sequential(nn.Linear(4, 128), nn.ReLU(), nn.Linear(128, 64))
        self.logits = nn.Linear(128, 10)
        self.centres = nn.Parameter(nn.init.normal_(torch.empty((10, 4)), 0.0, 1.0))
        self.register_buffer(
            "table_1",
            torch.tensor([0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]),
        )
        self.register_buffer("_like", torch.zeros(()), persistent=False)

    def elbo(self, x: Tensor) -> Tensor:
        """ELBO[p || q]; x: [..., 64] -> [...]."""
        x = take(self, "elbo", x=(x, (64,)))
        # q(z|x,k)
        h = self.encoder(x)
        p_loc_z = expand_rows(self.centres, x.shape[:-1])
        q_loc_z = self.loc(h) + p_loc_z
        raw = self.scale[0](h)
        scale = F.softplus(raw)
        # E_{q(k,z|x)}: one pathwise sample of z
        z = q_loc_z + scale * torch.randn_like(q_loc_z)
        # log p(x|z)
        logits_x = self.decoder(z)
        log_p_x = bernoulli_log_prob(logits_x, x)
        # log q(k|x)
        logits_k = self.logits(h)
        log_probs = logits_k.log_softmax(-1)
        # KL[q(z|x,k) || p(z|k)], closed form
        total = scale.square() + (q_loc_z - p_loc_z).square()
        log_scale = torch.where(raw < -30.0, raw, scale.clamp_min(1e-30).log())
        kl_z = (0.5 * (total - 1.0) - log_scale).sum(-1)
        # KL[q(k|x) || p(k)], closed form
        exp = log_probs.exp()
        kl_k = ((log_probs + math.log(10)) * exp).sum(-1)
        # weighted by q(k|x)
        probs = exp.movedim(-1, 0)
        return (probs * (log_p_x - kl_z)).sum(0) - kl_k

    def loss(self, x: Tensor) -> Tensor:
        """The scalar to minimise: minus the batch mean of elbo."""
        return -self.elbo(x).mean()

    def terms(self, x: Tensor) -> dict:
        """Every named term."""
        return {"elbo": self.elbo(x)}

    def sample(self, shape: tuple = (), given: dict | None = None) -> dict:
        """Draw from p(k) p(z|k) p(x|z); variables in `given` are held fixed."""
        variables = {"k": ((), ()), "z": ((4,), ("k",)), "x": ((64,), ("z",))}
        shape, held = hold(shape, given, variables)
        k = held["k"] if "k" in held else self.p_k().sample(shape)
        z = held["z"] if "z" in held else self.p_z_given_k(k).sample()
        x = held["x"] if "x" in held else self.p_x_given_z(z).sample()
        return {"k": k, "z": z, "x": x}

    def sample_mean(self, shape: tuple = (), given: dict | None = None) -> dict:
        """Propagate means through p(k) ...; variables in `given` are held fixed."""
        variables = {"k": ((), ()), "z": ((4,), ("k",)), "x": ((64,), ("z",))}
        shape, held = hold(shape, given, variables)
        k = held["k"] if "k" in held else self.p_k().mode.expand(shape)
        z = held["z"] if "z" in held else self.p_z_given_k(k).mean
        x = held["x"] if "x" in held else self.p_x_given_z(z).mean
        return {"k": k, "z": z, "x": x}

    def log_prob(self, x: Tensor, k: Tensor, z: Tensor) -> Tensor:
        """log p(k) p(z|k) p(x|z); x: [..., 64], k: [...], z: [..., 4] -> [...]."""
        x, k, z = take(
            self,
            "log_prob",
            x=(x, (64,)),
            k=(k, (), "int64"),
            z=(z, (4,), "float"),
        )
        log_p_k = torch.full_like(self._like, -2.302585092994046).expand(x.shape[:-1])
        product = -0.5 * (z - self.centres[k]).square().sum(-1)
        log_p_z = product - 0.5 * 4 * math.log(2 * math.pi)
        logits = self.decoder(z)
        cross_entropy = F.binary_cross_entropy_with_logits(logits, x, reduction="none")
        return log_p_k + log_p_z - cross_entropy.sum(-1)

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

    def p_k(self) -> D.Distribution:
        """p(k) = Categorical(logits=0)."""
        return D.Categorical(logits=self.table_1, validate_args=False)

    def p_z_given_k(self, k: Tensor) -> D.Distribution:
        """p(z|k) = Normal(loc=centres[k], scale=1)."""
        k = take(self, "p(z|k)", k=(k, (), "int64"))
        return D.Independent(D.Normal(self.centres[k], 1.0, validate_args=False), 1)

    def p_x_given_z(self, z: Tensor) -> D.Distribution:
        """p(x|z) = Bernoulli(logits=decoder(z))."""
        z = take(self, "p(x|z)", z=(z, (4,), "float"))
        bernoulli = D.Bernoulli(logits=self.decoder(z), validate_args=False)
        return D.Independent(bernoulli, 1)

    def q_k_given_x(self, x: Tensor) -> D.Distribution:
        """q(k|x) = Categorical(logits=logits(h)), h = encoder(x)."""
        x = take(self, "q(k|x)", x=(x, (64,)))
        logits = self.logits(self.encoder(x))
        return D.Categorical(logits=logits, validate_args=False)

    def q_z_given_x_k(self, x: Tensor, k: Tensor) -> D.Distribution:
        """q(z|x,k) = Normal(loc=loc(h) + centres[k], scale=scale(h)), h =
        encoder(x).
        """
        x, k = take(self, "q(z|x,k)", x=(x, (64,)), k=(k, (), "int64"))
        h = self.encoder(x)
        loc = self.loc(h) + self.centres[k]
        return D.Independent(D.Normal(loc, self.scale(h), validate_args=False), 1)

    def factor(self, name: str):
        """A factor by its name: call it with its parents for a distribution."""
        law = {
            "p(k)": self.p_k,
            "p(z|k)": self.p_z_given_k,
            "p(x|z)": self.p_x_given_z,
            "q(k|x)": self.q_k_given_x,
            "q(z|x,k)": self.q_z_given_x_k,
        }
        if (label := str(name).replace(" ", "")) not in law:
            raise KeyError(f"{name} is not one of {', '.join(law)}")
        return law[label]

    def get(self, name: str) -> Tensor:
        """A param or buffer by its name."""
        tensors = {"centres": self.centres}
        if name not in tensors:
            raise KeyError(f"{name} is not one of {', '.join(tensors)}")
        return tensors[name]

    def set(self, name: str, value) -> None:
        """Give a param or buffer a value."""
        store(name, self.get(name), value)

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
