"""p(k) p(z|k) p(x|z); q(k|x) q(z|x,k), compiled by pgcompile 0.1.0 from a program."""

import math

import torch
import torch.distributions as D
import torch.nn.functional as F
from torch import Tensor, nn


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
        variables = {
            "k": ((), (), range(10)),
            "z": ((4,), ("k",)),
            "x": ((64,), ("z",)),
        }
        shape, held = hold(self, shape, given, variables)
        k = held["k"] if "k" in held else self.p_k().sample(shape)
        z = held["z"] if "z" in held else self.p_z_given_k(k).sample()
        x = held["x"] if "x" in held else self.p_x_given_z(z).sample()
        return {"k": k, "z": z, "x": x}

    def sample_mean(self, shape: tuple = (), given: dict | None = None) -> dict:
        """Propagate means through p(k) ...; variables in `given` are held fixed."""
        variables = {
            "k": ((), (), range(10)),
            "z": ((4,), ("k",)),
            "x": ((64,), ("z",)),
        }
        shape, held = hold(self, shape, given, variables)
        k = held["k"] if "k" in held else self.p_k().mode.expand(shape)
        z = held["z"] if "z" in held else self.p_z_given_k(k).mean
        x = held["x"] if "x" in held else self.p_x_given_z(z).mean
        return {"k": k, "z": z, "x": x}

    def log_prob(self, x: Tensor, k: Tensor, z: Tensor) -> Tensor:
        """log p(k) p(z|k) p(x|z); x: [..., 64], k: [...], z: [..., 4] -> [...]."""
        x, k, z = take_expanded(
            self,
            "log_prob",
            x=(x, (64,)),
            k=(k, (), range(10)),
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
        asked = {n: values.pop(n) for n in targets}
        found = factor(*[values.pop(n) for n in parents], **values)
        return log_prob_under(self, name, found, asked, k=range(10))

    def p_k(self) -> D.Distribution:
        """p(k) = Categorical(logits=0)."""
        return D.Categorical(logits=self.table_1, validate_args=False)

    def p_z_given_k(self, k: Tensor) -> D.Distribution:
        """p(z|k) = Normal(loc=centres[k], scale=1)."""
        k = take(self, "p(z|k)", k=(k, (), range(10)))
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
        x, k = take(self, "q(z|x,k)", x=(x, (64,)), k=(k, (), range(10)))
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
