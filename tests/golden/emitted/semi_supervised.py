"""p(y) p(z) p(x|z,y); q(z|x,y) q(y|x), compiled by pgcompile 0.1.0 from a program."""

import math

import torch
import torch.distributions as D
import torch.nn.functional as F
from torch import Tensor, nn


def every_state(like: Tensor, base: int, shape: tuple, batch: tuple, index=False):
    """All values of a variable of `base` values an entry: [states, *batch, *shape]."""
    count = torch.Size(shape).numel()
    digits = torch.arange(base**count, device=like.device).unsqueeze(-1)
    places = base ** torch.arange(count, device=like.device)
    values = (digits // places % base).reshape(-1, *(1 for _ in batch), *shape)
    values = values.expand(-1, *batch, *shape)
    return values if index else values.to(like.dtype)


def bernoulli_cross_entropy(logits: Tensor, x: Tensor, rank: int = 1) -> Tensor:
    """-log Bernoulli(x; logits), summed over the last `rank` dimensions; both broadcast."""
    logits, x = torch.broadcast_tensors(logits, x)
    entropy = F.binary_cross_entropy_with_logits(logits, x, reduction="none")
    return entropy.sum(tuple(range(-rank, 0))) if rank else entropy


class SemiSupervised(nn.Module):
    """p(y) p(z) p(x|z,y); q(z|x,y) q(y|x); x: boolean[64], y: category[10], z:
    real[8].
    """

    def __init__(self) -> None:
        super().__init__()
        self.hidden = nn.Sequential(nn.Linear(74, 128), nn.ReLU())
        self.loc = nn.Linear(128, 8)
        self.scale = nn.Sequential(nn.Linear(128, 8), nn.Softplus())
        self.decoder = nn.Sequential(nn.Linear(18, 128), nn.ReLU(), nn.Linear(128, 64))
        self.classifier = nn.Sequential(
            nn.Linear(64, 128),
            nn.ReLU(),
            nn.Linear(128, 10),
        )
        self.register_buffer(
            "table_1",
            torch.tensor([0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]),
        )
        self.register_buffer("_like", torch.zeros(()), persistent=False)

    def labelled(self, x: Tensor, y: Tensor) -> Tensor:
        """E_{q(z|x,y)}[log p(x|z,y)] - KL[q(z|x,y) || p(z)] + log p(y);
        x: [..., 64], y: [...] -> [...].
        """
        x, y = take_all(self, "labelled", x=(x, (64,)), y=(y, (), range(-1, 10)))
        _, logits, kl = self._y_filled_logits_kl(x, y)
        # log p(x|z,y)
        cross_entropy = F.binary_cross_entropy_with_logits(logits, x, reduction="none")
        log_p_y = torch.full_like(self._like, -2.302585092994046).expand(x.shape[:-1])
        return log_p_y - cross_entropy.sum(-1) - kl

    def unlabelled(self, x: Tensor) -> Tensor:
        """E_{q(y|x)}[labelled] + H[q(y|x)]; x: [..., 64] -> [...]."""
        x = take(self, "unlabelled", x=(x, (64,)))
        _, _, unlabelled = self._hidden_parts(x)
        return unlabelled

    def bound(self, x: Tensor, y: Tensor) -> Tensor:
        """observed(y) * (labelled + alpha * log q(y|x)) + (1 - observed(y)) *
        unlabelled;
        x: [..., 64], y: [...] -> [...].
        """
        return self.terms(x, y)["bound"]

    def loss(self, x: Tensor, y: Tensor) -> Tensor:
        """The scalar to minimise: minus the batch mean of bound."""
        return -self.bound(x, y).mean()

    def terms(self, x: Tensor, y: Tensor) -> dict:
        """Every named term, in one pass."""
        x, y = take_all(self, "terms", x=(x, (64,)), y=(y, (), range(-1, 10)))
        y_filled, logits, kl = self._y_filled_logits_kl(x, y)
        # log p(x|z,y)
        cross_entropy = bernoulli_cross_entropy(logits, x)
        full_like, log_probs, unlabelled = self._hidden_parts(x)
        log_p_y = full_like.expand(x.shape[:-1])
        labelled = log_p_y - cross_entropy - kl
        has_y = (y >= 0).to(self._like.dtype)
        log_q_y = log_probs.gather(-1, y_filled.unsqueeze(-1)).squeeze(-1)
        product = has_y * (labelled + 10.0 * log_q_y)
        return {
            "labelled": labelled,
            "unlabelled": unlabelled,
            "bound": product + (1.0 - has_y) * unlabelled,
        }

    def sample(self, shape: tuple = (), given: dict | None = None) -> dict:
        """Draw from p(y) p(z) p(x|z,y); variables in `given` are held fixed."""
        variables = {
            "y": ((), (), range(-1, 10)),
            "z": ((8,), ()),
            "x": ((64,), ("z", "y")),
        }
        shape, held = hold(self, shape, given, variables)
        y = held["y"] if "y" in held else self.p_y().sample(shape)
        z = held["z"] if "z" in held else self.p_z().sample(shape)
        x = held["x"] if "x" in held else self.p_x_given_z_y(z, y).sample()
        return {"y": y, "z": z, "x": x}

    def sample_mean(self, shape: tuple = (), given: dict | None = None) -> dict:
        """Propagate means through p(y) ...; variables in `given` are held fixed."""
        variables = {
            "y": ((), (), range(-1, 10)),
            "z": ((8,), ()),
            "x": ((64,), ("z", "y")),
        }
        shape, held = hold(self, shape, given, variables)
        y = held["y"] if "y" in held else self.p_y().mode.expand(shape)
        z = held["z"] if "z" in held else self.p_z().mean.expand(*shape, 8)
        x = held["x"] if "x" in held else self.p_x_given_z_y(z, y).mean
        return {"y": y, "z": z, "x": x}

    def log_prob(self, x: Tensor, y: Tensor, z: Tensor) -> Tensor:
        """log p(y) p(z) p(x|z,y); x: [..., 64], y: [...], z: [..., 8] -> [...]."""
        x, y, z = take_expanded(
            self,
            "log_prob",
            x=(x, (64,)),
            y=(y, (), range(-1, 10)),
            z=(z, (8,), "float"),
        )
        y_filled = y.clamp_min(0)
        log_p_y = torch.full_like(self._like, -2.302585092994046).expand(x.shape[:-1])
        log_p_z = -0.5 * z.square().sum(-1) - 0.5 * 8 * math.log(2 * math.pi)
        one_hot = F.one_hot(y_filled, 10).to(self._like.dtype)
        logits = self.decoder(torch.cat((z, one_hot), -1))
        cross_entropy = F.binary_cross_entropy_with_logits(logits, x, reduction="none")
        return log_p_y + log_p_z - cross_entropy.sum(-1)

    def _hidden_parts(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Shared by unlabelled and terms;
        x: [..., 64] -> full_like [], log_probs [..., 10], unlabelled [...].
        """
        # E_{q(y|x)}: every value of y
        y = every_state(self._like, 10, (), x.shape[:-1], index=True)
        # q(z|x,y)
        one_hot = F.one_hot(y, 10).to(self._like.dtype)
        h = self.hidden(torch.cat((x.expand(*one_hot.shape[:-1], -1), one_hot), -1))
        loc, raw = self.loc(h), self.scale[0](h)
        scale = F.softplus(raw)
        # E_{q(z|x,y)}: one pathwise sample of z
        z = loc + scale * torch.randn_like(loc)
        # log p(x|z,y)
        logits_x = self.decoder(torch.cat((z, one_hot), -1))
        cross_entropy = bernoulli_cross_entropy(logits_x, x)
        # log p(y)
        full_like = torch.full_like(self._like, -2.302585092994046)
        log_p_y = full_like.expand(10, *x.shape[:-1])
        # KL[q(z|x,y) || p(z)], closed form
        log_scale = torch.where(raw < -30.0, raw, scale.clamp_min(1e-30).log())
        kl = (0.5 * (loc.square() + scale.square() - 1.0) - log_scale).sum(-1)
        labelled = log_p_y - cross_entropy - kl
        # log q(y|x)
        logits_y = self.classifier(x)
        log_probs = logits_y.log_softmax(-1)
        # H[q(y|x)], closed form
        exp = log_probs.exp()
        entropy = (-(log_probs * exp)).sum(-1)
        # weighted by q(y|x)
        probs = exp.movedim(-1, 0)
        return full_like, log_probs, (probs * labelled).sum(0) + entropy

    def _y_filled_logits_kl(
        self,
        x: Tensor,
        y: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Shared by labelled and terms;
        x: [..., 64], y: [...] -> y_filled [...], logits [..., 64], kl [...].
        """
        y_filled = y.clamp_min(0)
        # q(z|x,y)
        one_hot = F.one_hot(y_filled, 10).to(self._like.dtype)
        h = self.hidden(torch.cat((x, one_hot), -1))
        loc, raw = self.loc(h), self.scale[0](h)
        scale = F.softplus(raw)
        # E_{q(z|x,y)}: one pathwise sample of z
        z = loc + scale * torch.randn_like(loc)
        # p(x|z,y)
        logits = self.decoder(torch.cat((z, one_hot), -1))
        # KL[q(z|x,y) || p(z)], closed form
        log_scale = torch.where(raw < -30.0, raw, scale.clamp_min(1e-30).log())
        kl = (0.5 * (loc.square() + scale.square() - 1.0) - log_scale).sum(-1)
        return y_filled, logits, kl

    def log_prob_of(self, name: str, /, **values: Tensor) -> Tensor:
        """Log-density of a factor or model by its name, per example."""
        factor = self.factor(name)
        head, _, rest = name.replace(" ", "").split("(")[-1].rstrip(")").partition("|")
        targets, parents = head.split(","), [n for n in rest.split(",") if n]
        if missing := {*targets, *parents} - values.keys():
            raise KeyError(f"{name} needs {min(missing)}")
        asked = {n: values.pop(n) for n in targets}
        found = factor(*[values.pop(n) for n in parents], **values)
        return log_prob_under(self, name, found, asked, y=range(-1, 10))

    def p_y(self) -> D.Distribution:
        """p(y) = Categorical(logits=0)."""
        return D.Categorical(logits=self.table_1, validate_args=False)

    def p_z(self) -> D.Distribution:
        """p(z) = Normal(loc=0, scale=1)."""
        normal = D.Normal(self._like.new_zeros(8), 1.0, validate_args=False)
        return D.Independent(normal, 1)

    def p_x_given_z_y(self, z: Tensor, y: Tensor) -> D.Distribution:
        """p(x|z,y) = Bernoulli(logits=decoder(z, y))."""
        z, y = take_expanded(
            self,
            "p(x|z,y)",
            z=(z, (8,), "float"),
            y=(y, (), range(-1, 10)),
        )
        y_filled = y.clamp_min(0)
        one_hot = F.one_hot(y_filled, 10).to(self._like.dtype)
        logits = self.decoder(torch.cat((z, one_hot), -1))
        return D.Independent(D.Bernoulli(logits=logits, validate_args=False), 1)

    def q_z_given_x_y(self, x: Tensor, y: Tensor) -> D.Distribution:
        """q(z|x,y) = Normal(loc=loc(h), scale=scale(h)), h = hidden(x, y)."""
        x, y = take_expanded(self, "q(z|x,y)", x=(x, (64,)), y=(y, (), range(-1, 10)))
        y_filled = y.clamp_min(0)
        one_hot = F.one_hot(y_filled, 10).to(self._like.dtype)
        h = self.hidden(torch.cat((x, one_hot), -1))
        normal = D.Normal(self.loc(h), self.scale(h), validate_args=False)
        return D.Independent(normal, 1)

    def q_y_given_x(self, x: Tensor) -> D.Distribution:
        """q(y|x) = Categorical(logits=classifier(x))."""
        x = take(self, "q(y|x)", x=(x, (64,)))
        return D.Categorical(logits=self.classifier(x), validate_args=False)

    def factor(self, name: str):
        """A factor by its name: call it with its parents for a distribution."""
        law = {
            "p(y)": self.p_y,
            "p(z)": self.p_z,
            "p(x|z,y)": self.p_x_given_z_y,
            "q(z|x,y)": self.q_z_given_x_y,
            "q(y|x)": self.q_y_given_x,
        }
        if (label := str(name).replace(" ", "")) not in law:
            raise KeyError(f"{name} is not one of {', '.join(law)}")
        return law[label]

    def optimizers(self, fused: bool | None = None) -> list:
        """Adam for bound."""
        return [torch.optim.Adam(self.parameters(), lr=0.001, fused=fused)]

    def train_step(self, optimizers: list, x: Tensor, y: Tensor) -> dict:
        """One optimizer step on -bound; returns the loss before the update."""
        (optimizer,) = optimizers
        loss = self.loss(x, y)
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


def take_all(module, formula: str, /, **variables):
    """Variables as `take` gives them, which must have one batch shape."""
    found, batch = take_each(module, formula, variables)
    first, *others = batch.values()
    if any(size != first for size in others):
        said = ", ".join(f"{name} {size}" for name, size in batch.items())
        raise ValueError(f"the batch shapes of {said} in {formula} differ")
    return found


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
