"""p(z_2) p(z_1|z_2) p(x|z_1); q(z_1|x) q(z_2|z_1), compiled by pgcompile 0.1.0 from a program."""

import math

import torch
import torch.distributions as D
import torch.nn.functional as F
from torch import Tensor, nn


class HierarchicalVae(nn.Module):
    """p(z_2) p(z_1|z_2) p(x|z_1); q(z_1|x) q(z_2|z_1); x: boolean[64], z_1: real[16],
    z_2: real[4].
    """

    def __init__(self) -> None:
        super().__init__()
        self.encode_1 = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 32))
        self.decode_0 = nn.Sequential(nn.Linear(16, 128), nn.ReLU(), nn.Linear(128, 64))
        self.encode_2 = nn.Sequential(nn.Linear(16, 64), nn.ReLU(), nn.Linear(64, 8))
        self.decode_1 = nn.Sequential(nn.Linear(4, 64), nn.ReLU(), nn.Linear(64, 32))
        self.register_buffer("_like", torch.zeros(()), persistent=False)

    def elbo(self, x: Tensor) -> Tensor:
        """E_q[log p(x|z_1)] - KL[q(z_1|x) q(z_2|z_1) || p(z_1|z_2) p(z_2)];
        x: [..., 64] -> [...].
        """
        x = take(self, "elbo", x=(x, (64,)))
        logits, total, difference, total_2 = self._encode_1_parts(x)
        # log p(x|z_1)
        cross_entropy = F.binary_cross_entropy_with_logits(logits, x, reduction="none")
        log_p_z_1 = -0.5 * 16 * math.log(2 * math.pi) - total.sum(-1)
        # KL[q(z_2|z_1) || p(z_2)], closed form
        kl = difference.sum(-1)
        # H[q(z_1|x)], closed form
        entropy = total_2.sum(-1)
        return log_p_z_1 - cross_entropy.sum(-1) + entropy - kl

    def loss(self, x: Tensor) -> Tensor:
        """The scalar to minimise: minus the batch mean of elbo."""
        x = take(self, "loss", x=(x, (64,)))
        logits, total, difference, total_2 = self._encode_1_parts(x)
        cross_entropy = F.binary_cross_entropy_with_logits(logits, x, reduction="sum")
        entropy = total_2.sum()
        kl = difference.sum()
        total_3 = cross_entropy + total.sum() - entropy + kl
        return total_3 / x.shape[:-1].numel() + 0.5 * 16 * math.log(2 * math.pi)

    def terms(self, x: Tensor) -> dict:
        """Every named term."""
        return {"elbo": self.elbo(x)}

    def sample(self, shape: tuple = (), given: dict | None = None) -> dict:
        """Draw from p(z_2) p(z_1|z_2) p(x|z_1); variables in `given` are held fixed."""
        variables = {
            "z_2": ((4,), ()),
            "z_1": ((16,), ("z_2",)),
            "x": ((64,), ("z_1",)),
        }
        shape, held = hold(self, shape, given, variables)
        z_2 = held["z_2"] if "z_2" in held else self.p_z_2().sample(shape)
        z_1 = held["z_1"] if "z_1" in held else self.p_z_1_given_z_2(z_2).sample()
        x = held["x"] if "x" in held else self.p_x_given_z_1(z_1).sample()
        return {"z_2": z_2, "z_1": z_1, "x": x}

    def sample_mean(self, shape: tuple = (), given: dict | None = None) -> dict:
        """Propagate means through p(z_2) ...; variables in `given` are held fixed."""
        variables = {
            "z_2": ((4,), ()),
            "z_1": ((16,), ("z_2",)),
            "x": ((64,), ("z_1",)),
        }
        shape, held = hold(self, shape, given, variables)
        z_2 = held["z_2"] if "z_2" in held else self.p_z_2().mean.expand(*shape, 4)
        z_1 = held["z_1"] if "z_1" in held else self.p_z_1_given_z_2(z_2).mean
        x = held["x"] if "x" in held else self.p_x_given_z_1(z_1).mean
        return {"z_2": z_2, "z_1": z_1, "x": x}

    def log_prob(self, x: Tensor, z_1: Tensor, z_2: Tensor) -> Tensor:
        """log p(z_2) p(z_1|z_2) p(x|z_1);
        x: [..., 64], z_1: [..., 16], z_2: [..., 4] -> [...].
        """
        x, z_1, z_2 = take_expanded(
            self,
            "log_prob",
            x=(x, (64,)),
            z_1=(z_1, (16,), "float"),
            z_2=(z_2, (4,), "float"),
        )
        log_p_z_2 = -0.5 * z_2.square().sum(-1) - 0.5 * 4 * math.log(2 * math.pi)
        m, s = self.decode_1(z_2).chunk(2, -1)
        scale = F.softplus(s)
        log_scale = torch.where(s < -30.0, s, scale.clamp_min(1e-30).log())
        scale_floored = scale.clamp_min(torch.finfo(scale.dtype).tiny)
        product = 0.5 * ((z_1 - m) / scale_floored).square()
        log_p_z_1 = -0.5 * 16 * math.log(2 * math.pi) - (log_scale + product).sum(-1)
        logits = self.decode_0(z_1)
        cross_entropy = F.binary_cross_entropy_with_logits(logits, x, reduction="none")
        return log_p_z_2 + log_p_z_1 - cross_entropy.sum(-1)

    def _encode_1_parts(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Shared by elbo and loss;
        x: [..., 64] -> logits [..., 64], total [..., 16], difference [..., 4], total
        [..., 16].
        """
        # q(z_1|x)
        q_loc_z_1, raw = self.encode_1(x).chunk(2, -1)
        q_scale_z_1 = F.softplus(raw)
        # E_{q(z_1,z_2|x)}: one pathwise sample of z_1
        z_1 = q_loc_z_1 + q_scale_z_1 * torch.randn_like(q_loc_z_1)
        # p(x|z_1)
        logits = self.decode_0(z_1)
        # q(z_2|z_1)
        loc_z_2, raw_2 = self.encode_2(z_1).chunk(2, -1)
        scale_z_2 = F.softplus(raw_2)
        # E_{q(z_1,z_2|x)}: one pathwise sample of z_2
        z_2 = loc_z_2 + scale_z_2 * torch.randn_like(loc_z_2)
        # log p(z_1|z_2)
        p_loc_z_1, raw_3 = self.decode_1(z_2).chunk(2, -1)
        p_scale_z_1 = F.softplus(raw_3)
        log_scale = torch.where(
            raw_3 < -30.0,
            raw_3,
            p_scale_z_1.clamp_min(1e-30).log(),
        )
        scale_floored = p_scale_z_1.clamp_min(torch.finfo(p_scale_z_1.dtype).tiny)
        total = log_scale + 0.5 * ((z_1 - p_loc_z_1) / scale_floored).square()
        # KL[q(z_2|z_1) || p(z_2)], closed form
        log_scale_2 = torch.where(
            raw_2 < -30.0,
            raw_2,
            scale_z_2.clamp_min(1e-30).log(),
        )
        difference = 0.5 * (loc_z_2.square() + scale_z_2.square() - 1.0) - log_scale_2
        # H[q(z_1|x)], closed form
        log_scale_3 = torch.where(raw < -30.0, raw, q_scale_z_1.clamp_min(1e-30).log())
        total_2 = log_scale_3 + 1.4189385332046727
        return logits, total, difference, total_2

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

    def p_z_2(self) -> D.Distribution:
        """p(z_2) = Normal(loc=0, scale=1)."""
        normal = D.Normal(self._like.new_zeros(4), 1.0, validate_args=False)
        return D.Independent(normal, 1)

    def p_z_1_given_z_2(self, z_2: Tensor) -> D.Distribution:
        """p(z_1|z_2) = Normal(loc=m, scale=softplus(s)), m, s = decode_1(z_2)."""
        z_2 = take(self, "p(z_1|z_2)", z_2=(z_2, (4,), "float"))
        m, s = self.decode_1(z_2).chunk(2, -1)
        return D.Independent(D.Normal(m, F.softplus(s), validate_args=False), 1)

    def p_x_given_z_1(self, z_1: Tensor) -> D.Distribution:
        """p(x|z_1) = Bernoulli(logits=decode_0(z_1))."""
        z_1 = take(self, "p(x|z_1)", z_1=(z_1, (16,), "float"))
        bernoulli = D.Bernoulli(logits=self.decode_0(z_1), validate_args=False)
        return D.Independent(bernoulli, 1)

    def q_z_1_given_x(self, x: Tensor) -> D.Distribution:
        """q(z_1|x) = Normal(loc=m, scale=softplus(s)), m, s = encode_1(x)."""
        x = take(self, "q(z_1|x)", x=(x, (64,)))
        m, s = self.encode_1(x).chunk(2, -1)
        return D.Independent(D.Normal(m, F.softplus(s), validate_args=False), 1)

    def q_z_2_given_z_1(self, z_1: Tensor) -> D.Distribution:
        """q(z_2|z_1) = Normal(loc=m, scale=softplus(s)), m, s = encode_2(z_1)."""
        z_1 = take(self, "q(z_2|z_1)", z_1=(z_1, (16,), "float"))
        m, s = self.encode_2(z_1).chunk(2, -1)
        return D.Independent(D.Normal(m, F.softplus(s), validate_args=False), 1)

    def factor(self, name: str):
        """A factor by its name: call it with its parents for a distribution."""
        law = {
            "p(z_2)": self.p_z_2,
            "p(z_1|z_2)": self.p_z_1_given_z_2,
            "p(x|z_1)": self.p_x_given_z_1,
            "q(z_1|x)": self.q_z_1_given_x,
            "q(z_2|z_1)": self.q_z_2_given_z_1,
        }
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
