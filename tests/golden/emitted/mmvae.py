"""p(z) p(x|z) p(y|z); q_x(z|x) q_y(z|y) q(z|x,y), compiled by pgcompile 0.1.0 from a program."""

import math

import torch
import torch.distributions as D
import torch.nn.functional as F
from torch import Tensor, nn


class WeightedMixture(D.Distribution):
    """One of several distributions over the same values, each with its weight."""

    arg_constraints = {}  # noqa: RUF012

    def __init__(self, *parts: tuple) -> None:
        self.weights = [weight for weight, _ in parts]
        batches = [getattr(weight, "shape", ()) for weight in self.weights]
        batch = torch.broadcast_shapes(*batches, *(c.batch_shape for _, c in parts))
        self.components = [component.expand(batch) for _, component in parts]
        super().__init__(batch, self.components[0].event_shape, validate_args=False)

    def expand(self, batch_shape, _instance=None):
        """The same for more batch dimensions."""
        parts = [c.expand(batch_shape) for c in self.components]
        return WeightedMixture(*zip(self.weights, parts, strict=True))

    def sample(self, sample_shape: torch.Size | tuple[int, ...] = ()) -> Tensor:
        """A draw of the component that its own draw chooses."""
        values = torch.stack([c.sample(sample_shape) for c in self.components])
        rank = len(self.event_shape)
        like = values.flatten(values.ndim - rank)[..., 0] if rank else values
        tables = [torch.as_tensor(w, device=like.device) for w in self.weights]
        tables = [table.expand(like.shape[1:]) for table in tables]
        chosen = draw_category(torch.stack(tables, -1).log())
        index = chosen.reshape(1, *chosen.shape, *[1] * rank)
        return values.gather(0, index.expand(1, *values.shape[1:])).squeeze(0)

    def log_prob(self, value: Tensor) -> Tensor:
        """log of the weighted sum of the densities."""
        densities = []
        for weight, component in zip(self.weights, self.components, strict=True):
            density = component.log_prob(value)
            if not isinstance(weight, Tensor):
                weight = torch.full_like(density, weight)
            densities.append(density + weight.log())
        return torch.stack(densities, -1).logsumexp(-1)

    @property
    def mean(self) -> Tensor:
        """The weighted mean of the means."""
        return self._weighed([c.mean for c in self.components])

    @property
    def variance(self) -> Tensor:
        """The weighted mean of the variances and of the squared distances of the means."""
        mean = self.mean
        apart = [(c.mean - mean).square() for c in self.components]
        inside = [c.variance for c in self.components]
        return self._weighed([a + b for a, b in zip(inside, apart, strict=True)])

    def _weighed(self, values: list) -> Tensor:
        ones = [1] * len(self.event_shape)
        total = torch.zeros_like(values[0])
        for weight, value in zip(self.weights, values, strict=True):
            if isinstance(weight, Tensor):
                weight = weight.reshape((*weight.shape, *ones))
            total = total + weight * value
        return total


def draw_category(logits: Tensor) -> Tensor:
    """Index drawn with probability softmax(logits), as the place of the largest Gumbel-perturbed logit."""
    uniform = torch.rand_like(logits)
    return (logits - torch.log(-torch.log1p(-uniform))).argmax(-1)


def bernoulli_cross_entropy(logits: Tensor, x: Tensor, rank: int = 1) -> Tensor:
    """-log Bernoulli(x; logits), summed over the last `rank` dimensions; both broadcast."""
    logits, x = torch.broadcast_tensors(logits, x)
    entropy = F.binary_cross_entropy_with_logits(logits, x, reduction="none")
    return entropy.sum(tuple(range(-rank, 0))) if rank else entropy


class Mmvae(nn.Module):
    """p(z) p(x|z) p(y|z); q_x(z|x) q_y(z|y) q(z|x,y); x: boolean[64], y: category[10],
    z: real[8].
    """

    def __init__(self) -> None:
        super().__init__()
        self.image = nn.Sequential(nn.Linear(64, 128), nn.ReLU())
        self.i_loc = nn.Linear(128, 8)
        self.i_scale = nn.Sequential(nn.Linear(128, 8), nn.Softplus())
        self.pixels = nn.Sequential(nn.Linear(8, 128), nn.ReLU(), nn.Linear(128, 64))
        self.classes = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 10))
        self.label = nn.Sequential(nn.Linear(10, 32), nn.ReLU())
        self.l_loc = nn.Linear(32, 8)
        self.l_scale = nn.Sequential(nn.Linear(32, 8), nn.Softplus())
        self.register_buffer("_like", torch.zeros(()), persistent=False)

    def elbo(self, x: Tensor, y: Tensor) -> Tensor:
        """E_{q(z|x,y)}[log p(x|z) p(y|z)] - KL[q(z|x,y) || p(z)];
        x: [..., 64], y: [...] -> [...].
        """
        x, y = take_all(self, "elbo", x=(x, (64,)), y=(y, (), range(10)))
        # q_x(z|x)
        h = self.image(x)
        q_x_loc_z, raw = self.i_loc(h), self.i_scale[0](h)
        q_x_scale_z = F.softplus(raw)
        # E_{q_x(z|x)}: one pathwise sample of z
        noise = torch.randn_like(q_x_loc_z)
        z = q_x_loc_z + q_x_scale_z * noise
        # log p(x|z)
        p_logits_x = self.pixels(z)
        cross_entropy = bernoulli_cross_entropy(p_logits_x, x)
        # log p(y|z)
        p_logits_y = self.classes(z)
        column = y.unsqueeze(-1)
        log_p_y = p_logits_y.log_softmax(-1).gather(-1, column).squeeze(-1)
        # q_y(z|y)
        h_2 = self.label(F.one_hot(y, 10).to(self._like.dtype))
        q_y_loc_z, raw_2 = self.l_loc(h_2), self.l_scale[0](h_2)
        q_y_scale_z = F.softplus(raw_2)
        # E_{q_y(z|y)}: one pathwise sample of z
        noise_2 = torch.randn_like(q_y_loc_z)
        z_2 = q_y_loc_z + q_y_scale_z * noise_2
        # log p(x|z)
        p_logits_x_2 = self.pixels(z_2)
        cross_entropy_2 = bernoulli_cross_entropy(p_logits_x_2, x)
        # log p(y|z)
        p_logits_y_2 = self.classes(z_2)
        log_p_y_2 = p_logits_y_2.log_softmax(-1).gather(-1, column).squeeze(-1)
        # log q_x(z|x)
        log_scale = torch.where(raw < -30.0, raw, q_x_scale_z.clamp_min(1e-30).log())
        total = (log_scale + 0.5 * noise.square()).sum(-1)
        log_q_x_z = -0.5 * 8 * math.log(2 * math.pi) - total
        # log q_y(z|y)
        log_scale_2 = torch.where(
            raw_2 < -30.0,
            raw_2,
            q_y_scale_z.clamp_min(1e-30).log(),
        )
        scale_floored = q_y_scale_z.clamp_min(torch.finfo(q_y_scale_z.dtype).tiny)
        square = ((z - q_y_loc_z) / scale_floored).square()
        total_2 = (log_scale_2 + 0.5 * square).sum(-1)
        log_q_y_z = -0.5 * 8 * math.log(2 * math.pi) - total_2
        # log q(z|x,y): a log-sum-exp of its components
        log = torch.full_like(self._like, 0.5).log()
        log_q_z = torch.logaddexp(log_q_x_z + log, log_q_y_z + log)
        # log q_x(z|x)
        scale_floored_2 = q_x_scale_z.clamp_min(torch.finfo(q_x_scale_z.dtype).tiny)
        square_2 = ((z_2 - q_x_loc_z) / scale_floored_2).square()
        total_3 = (log_scale + 0.5 * square_2).sum(-1)
        log_q_x_z_2 = -0.5 * 8 * math.log(2 * math.pi) - total_3
        # log q_y(z|y)
        total_4 = (log_scale_2 + 0.5 * noise_2.square()).sum(-1)
        log_q_y_z_2 = -0.5 * 8 * math.log(2 * math.pi) - total_4
        # log q(z|x,y): a log-sum-exp of its components
        log_q_z_2 = torch.logaddexp(log_q_x_z_2 + log, log_q_y_z_2 + log)
        # E_{q_x(z|x)}[log p(z)], closed form
        total_5 = q_x_loc_z.square() + q_x_scale_z.square()
        expected_z = (-(0.5 * total_5 + 0.5 * math.log(2 * math.pi))).sum(-1)
        # E_{q_y(z|y)}[log p(z)], closed form
        total_6 = q_y_loc_z.square() + q_y_scale_z.square()
        expected_z_2 = (-(0.5 * total_6 + 0.5 * math.log(2 * math.pi))).sum(-1)
        total_7 = log_p_y - cross_entropy - cross_entropy_2 + log_p_y_2
        return 0.5 * (total_7 + expected_z + expected_z_2 - log_q_z - log_q_z_2)

    def loss(self, x: Tensor, y: Tensor) -> Tensor:
        """The scalar to minimise: minus the batch mean of elbo."""
        x, y = take_all(self, "loss", x=(x, (64,)), y=(y, (), range(10)))
        h = self.image(x)
        q_x_loc_z, raw = self.i_loc(h), self.i_scale[0](h)
        q_x_scale_z = F.softplus(raw)
        noise = torch.randn_like(q_x_loc_z)
        z = q_x_loc_z + q_x_scale_z * noise
        p_logits_x = self.pixels(z)
        p_logits_y = self.classes(z)
        h_2 = self.label(F.one_hot(y, 10).to(self._like.dtype))
        q_y_loc_z, raw_2 = self.l_loc(h_2), self.l_scale[0](h_2)
        q_y_scale_z = F.softplus(raw_2)
        noise_2 = torch.randn_like(q_y_loc_z)
        z_2 = q_y_loc_z + q_y_scale_z * noise_2
        p_logits_x_2 = self.pixels(z_2)
        p_logits_y_2 = self.classes(z_2)
        log_scale = torch.where(raw < -30.0, raw, q_x_scale_z.clamp_min(1e-30).log())
        total = (log_scale + 0.5 * noise.square()).sum(-1)
        log_q_x_z = -0.5 * 8 * math.log(2 * math.pi) - total
        log_scale_2 = torch.where(
            raw_2 < -30.0,
            raw_2,
            q_y_scale_z.clamp_min(1e-30).log(),
        )
        scale_floored = q_y_scale_z.clamp_min(torch.finfo(q_y_scale_z.dtype).tiny)
        square = ((z - q_y_loc_z) / scale_floored).square()
        total_2 = (log_scale_2 + 0.5 * square).sum(-1)
        log_q_y_z = -0.5 * 8 * math.log(2 * math.pi) - total_2
        log = torch.full_like(self._like, 0.5).log()
        log_q_z = torch.logaddexp(log_q_x_z + log, log_q_y_z + log)
        scale_floored_2 = q_x_scale_z.clamp_min(torch.finfo(q_x_scale_z.dtype).tiny)
        square_2 = ((z_2 - q_x_loc_z) / scale_floored_2).square()
        total_3 = (log_scale + 0.5 * square_2).sum(-1)
        log_q_x_z_2 = -0.5 * 8 * math.log(2 * math.pi) - total_3
        total_4 = (log_scale_2 + 0.5 * noise_2.square()).sum(-1)
        log_q_y_z_2 = -0.5 * 8 * math.log(2 * math.pi) - total_4
        log_q_z_2 = torch.logaddexp(log_q_x_z_2 + log, log_q_y_z_2 + log)
        total_5 = q_x_loc_z.square() + q_x_scale_z.square()
        total_6 = q_y_loc_z.square() + q_y_scale_z.square()
        cross_entropy = F.binary_cross_entropy_with_logits(
            p_logits_x,
            x,
            reduction="sum",
        )
        cross_entropy_2 = F.cross_entropy(
            torch.atleast_2d(p_logits_y).flatten(0, -2),
            y.flatten(),
            reduction="sum",
        )
        cross_entropy_3 = F.binary_cross_entropy_with_logits(
            p_logits_x_2,
            x,
            reduction="sum",
        )
        total_7 = cross_entropy + cross_entropy_2 + cross_entropy_3
        cross_entropy_4 = F.cross_entropy(
            torch.atleast_2d(p_logits_y_2).flatten(0, -2),
            y.flatten(),
            reduction="sum",
        )
        expected_z = (-(0.5 * total_5 + 0.5 * math.log(2 * math.pi))).sum()
        expected_z_2 = (-(0.5 * total_6 + 0.5 * math.log(2 * math.pi))).sum()
        difference = total_7 + cross_entropy_4 - expected_z - expected_z_2
        log_q_z_3 = log_q_z.sum()
        log_q_z_4 = log_q_z_2.sum()
        return 0.5 * (difference + log_q_z_3 + log_q_z_4) / x.shape[:-1].numel()

    def terms(self, x: Tensor, y: Tensor) -> dict:
        """Every named term."""
        return {"elbo": self.elbo(x, y)}

    def sample(self, shape: tuple = (), given: dict | None = None) -> dict:
        """Draw from p(z) p(x|z) p(y|z); variables in `given` are held fixed."""
        variables = {
            "z": ((8,), ()),
            "x": ((64,), ("z",)),
            "y": ((), ("z",), range(10)),
        }
        shape, held = hold(self, shape, given, variables)
        z = held["z"] if "z" in held else self.p_z().sample(shape)
        x = held["x"] if "x" in held else self.p_x_given_z(z).sample()
        y = held["y"] if "y" in held else self.p_y_given_z(z).sample()
        return {"z": z, "x": x, "y": y}

    def sample_mean(self, shape: tuple = (), given: dict | None = None) -> dict:
        """Propagate means through p(z) ...; variables in `given` are held fixed."""
        variables = {
            "z": ((8,), ()),
            "x": ((64,), ("z",)),
            "y": ((), ("z",), range(10)),
        }
        shape, held = hold(self, shape, given, variables)
        z = held["z"] if "z" in held else self.p_z().mean.expand(*shape, 8)
        x = held["x"] if "x" in held else self.p_x_given_z(z).mean
        y = held["y"] if "y" in held else self.p_y_given_z(z).mode
        return {"z": z, "x": x, "y": y}

    def log_prob(self, x: Tensor, y: Tensor, z: Tensor) -> Tensor:
        """log p(z) p(x|z) p(y|z); x: [..., 64], y: [...], z: [..., 8] -> [...]."""
        x, y, z = take_expanded(
            self,
            "log_prob",
            x=(x, (64,)),
            y=(y, (), range(10)),
            z=(z, (8,), "float"),
        )
        log_p_z = -0.5 * z.square().sum(-1) - 0.5 * 8 * math.log(2 * math.pi)
        logits_x = self.pixels(z)
        cross_entropy = bernoulli_cross_entropy(logits_x, x)
        logits_y = self.classes(z)
        log_p_y = logits_y.log_softmax(-1).gather(-1, y.unsqueeze(-1)).squeeze(-1)
        return log_p_z - cross_entropy + log_p_y

    def log_prob_of(self, name: str, /, **values: Tensor) -> Tensor:
        """Log-density of a factor or model by its name, per example."""
        factor = self.factor(name)
        head, _, rest = name.replace(" ", "").split("(")[-1].rstrip(")").partition("|")
        targets, parents = head.split(","), [n for n in rest.split(",") if n]
        if missing := {*targets, *parents} - values.keys():
            raise KeyError(f"{name} needs {min(missing)}")
        asked = {n: values.pop(n) for n in targets}
        found = factor(*[values.pop(n) for n in parents], **values)
        return log_prob_under(self, name, found, asked, y=range(10))

    def p_z(self) -> D.Distribution:
        """p(z) = Normal(loc=0, scale=1)."""
        normal = D.Normal(self._like.new_zeros(8), 1.0, validate_args=False)
        return D.Independent(normal, 1)

    def p_x_given_z(self, z: Tensor) -> D.Distribution:
        """p(x|z) = Bernoulli(logits=pixels(z))."""
        z = take(self, "p(x|z)", z=(z, (8,), "float"))
        return D.Independent(D.Bernoulli(logits=self.pixels(z), validate_args=False), 1)

    def p_y_given_z(self, z: Tensor) -> D.Distribution:
        """p(y|z) = Categorical(logits=classes(z))."""
        z = take(self, "p(y|z)", z=(z, (8,), "float"))
        return D.Categorical(logits=self.classes(z), validate_args=False)

    def q_x_z_given_x(self, x: Tensor) -> D.Distribution:
        """q_x(z|x) = Normal(loc=i_loc(h), scale=i_scale(h)), h = image(x)."""
        x = take(self, "q_x(z|x)", x=(x, (64,)))
        h = self.image(x)
        normal = D.Normal(self.i_loc(h), self.i_scale(h), validate_args=False)
        return D.Independent(normal, 1)

    def q_y_z_given_y(self, y: Tensor) -> D.Distribution:
        """q_y(z|y) = Normal(loc=l_loc(h), scale=l_scale(h)), h = label(one_hot(y))."""
        y = take(self, "q_y(z|y)", y=(y, (), range(10)))
        h = self.label(F.one_hot(y, 10).to(self._like.dtype))
        normal = D.Normal(self.l_loc(h), self.l_scale(h), validate_args=False)
        return D.Independent(normal, 1)

    def q_z_given_x_y(self, x: Tensor, y: Tensor) -> D.Distribution:
        """q(z|x,y) = 0.5 q_x(z|x) + 0.5 q_y(z|y)."""
        return WeightedMixture(
            (0.5, self.q_x_z_given_x(x)),
            (0.5, self.q_y_z_given_y(y)),
        )

    def factor(self, name: str):
        """A factor by its name: call it with its parents for a distribution."""
        law = {
            "p(z)": self.p_z,
            "p(x|z)": self.p_x_given_z,
            "p(y|z)": self.p_y_given_z,
            "q_x(z|x)": self.q_x_z_given_x,
            "q_y(z|y)": self.q_y_z_given_y,
            "q(z|x,y)": self.q_z_given_x_y,
        }
        if (label := str(name).replace(" ", "")) not in law:
            raise KeyError(f"{name} is not one of {', '.join(law)}")
        return law[label]

    def optimizers(self, fused: bool | None = None) -> list:
        """Adam for elbo."""
        return [torch.optim.Adam(self.parameters(), lr=0.001, fused=fused)]

    def train_step(self, optimizers: list, x: Tensor, y: Tensor) -> dict:
        """One optimizer step on -elbo; returns the loss before the update."""
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
