"""p(b) p(x|b); q(b|x), compiled by pgcompile 0.1.0 from a program."""

import math

import torch
import torch.distributions as D
import torch.nn.functional as F
from torch import Tensor, nn


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
        shape, held = hold(self, shape, given, {"b": ((16,), ()), "x": ((64,), ("b",))})
        b = held["b"] if "b" in held else self.p_b().sample(shape)
        x = held["x"] if "x" in held else self.p_x_given_b(b).sample()
        return {"b": b, "x": x}

    def sample_mean(self, shape: tuple = (), given: dict | None = None) -> dict:
        """Propagate means through p(b) p(x|b); variables in `given` are held fixed."""
        shape, held = hold(self, shape, given, {"b": ((16,), ()), "x": ((64,), ("b",))})
        b = held["b"] if "b" in held else self.p_b().mean.expand(*shape, 16)
        x = held["x"] if "x" in held else self.p_x_given_b(b).mean
        return {"b": b, "x": x}

    def log_prob(self, x: Tensor, b: Tensor) -> Tensor:
        """log p(b) p(x|b); x: [..., 64], b: [..., 16] -> [...]."""
        x, b = take_expanded(self, "log_prob", x=(x, (64,)), b=(b, (16,)))
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
        asked = {n: values.pop(n) for n in targets}
        found = factor(*[values.pop(n) for n in parents], **values)
        return log_prob_under(self, name, found, asked)

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
