"""Functions and distributions that torch does not have, written to be copied into emitted modules.

The emitter copies those in use, and those that they use.
"""

import math

import torch
import torch.distributions as D
from torch import Tensor


def log_bessel_i0(x: Tensor) -> Tensor:
    """log I0(x) for x >= 0, the modified Bessel function of order 0, without overflow."""
    return torch.special.i0e(x).log() + x


def bessel_ratio(x: Tensor) -> Tensor:
    """I1(x) / I0(x) for x >= 0: the mean resultant length of a von Mises variable."""
    return torch.special.i1e(x) / torch.special.i0e(x)


def log_expm1_ratio(x: Tensor) -> Tensor:
    """log((exp(x) - 1) / x): x / 2 + log(sinh(h) / h) at h = |x| / 2, by its series near 0."""
    h = x.abs() / 2
    near = h < 0.1
    far = torch.where(near, 1.0, h)
    square = h.square()
    tail = 1 / 180 - square * (1 / 2835 - square / 37800)
    series = square * (1 / 6 - square * tail)
    exact = far + torch.log(-torch.expm1(-2 * far)) - torch.log(2 * far)
    return x / 2 + torch.where(near, series, exact)


def continuous_bernoulli_mean(logits: Tensor) -> Tensor:
    """Mean of a continuous Bernoulli: 1 / (1 - exp(-l)) - 1 / l, by its series near 0."""
    near = logits.abs() < 0.2
    far = torch.where(near, 1.0, logits)
    square = logits.square()
    tail = 1 / 720 - square * (1 / 30240 - square / 1209600)
    series = 0.5 + logits * (1 / 12 - square * tail)
    return torch.where(near, series, -1 / torch.expm1(-far) - 1 / far)


def continuous_bernoulli_variance(logits: Tensor) -> Tensor:
    """Variance of a continuous Bernoulli: 1 / l^2 - 1 / (4 sinh(l / 2)^2), by its series near 0."""
    size = logits.abs()
    near = size < 0.2
    far = torch.where(near, 1.0, size)
    square = size.square()
    tail = 1 / 6048 - square * (1 / 172800 - square / 5322240)
    series = 1 / 12 - square * (1 / 240 - square * tail)
    decay = torch.exp(-far)
    exact = 1 / far.square() - decay / torch.expm1(-far).square()
    return torch.where(near, series, exact)


def continuous_bernoulli_draw(logits: Tensor, uniform: Tensor) -> Tensor:
    """Inverse distribution function of a continuous Bernoulli at `uniform`, by reflection for positive logits."""
    size = logits.abs()
    near = size < 1e-3
    far = torch.where(near, 1.0, size)
    flipped = torch.where(logits > 0, 1 - uniform, uniform)
    exact = -torch.log1p(flipped * torch.expm1(-far)) / far
    bend = flipped * (flipped - 1) / 2
    series = flipped + size * bend * (1 + size * (2 * flipped - 1) / 3)
    draw = torch.where(near, series, exact)
    return torch.where(logits > 0, 1 - draw, draw)


def clipped_unit(x: Tensor) -> Tensor:
    """Draws in the unit interval kept off its ends, where rounding would put them."""
    limits = torch.finfo(x.dtype)
    return x.clamp(limits.tiny, 1 - limits.eps)


def clipped_positive(x: Tensor) -> Tensor:
    """Positive draws kept off zero, to which rounding would send them."""
    return x.clamp(torch.finfo(x.dtype).tiny)


def standard_gamma(concentration: Tensor) -> Tensor:
    """Draws of a standard gamma, at least in single precision: torch has no other."""
    narrow = torch.finfo(concentration.dtype).bits < 32
    return torch._standard_gamma(concentration.float() if narrow else concentration)


def every_state(like: Tensor, base: int, shape: tuple, batch: tuple, index=False):
    """All values of a variable of `base` values an entry: [states, *batch, *shape]."""
    count = 1
    for size in shape:
        count *= size
    digits = torch.arange(base**count, device=like.device).unsqueeze(-1)
    places = base ** torch.arange(count, device=like.device)
    values = (digits // places % base).reshape(-1, *(1 for _ in batch), *shape)
    values = values.expand(-1, *batch, *shape)
    return values if index else values.to(like.dtype)


def spread_table(table: Tensor, batch: tuple) -> Tensor:
    """The rows of a table repeated over a batch: [rows, *batch, ...]."""
    rows, *rest = table.shape
    ones = table.reshape(rows, *(1 for _ in batch), *rest)
    return ones.expand(rows, *batch, *rest)


def one_hot_states(like: Tensor, size: int, batch: tuple) -> Tensor:
    """All one-hot vectors: [size, *batch, size]."""
    eye = torch.eye(size, dtype=like.dtype, device=like.device)
    return eye.reshape(size, *(1 for _ in batch), size).expand(size, *batch, size)


def relaxed_bernoulli(logits: Tensor, uniform: Tensor, temperature: float) -> Tensor:
    """A number of the unit interval near the outcome of a Bernoulli draw."""
    return torch.sigmoid((logits + torch.logit(uniform, eps=1e-7)) / temperature)


def relaxed_one_hot(logits: Tensor, uniform: Tensor, temperature: float) -> Tensor:
    """A point of the simplex near the corner of a categorical draw."""
    gumbel = -torch.log(-torch.log1p(-uniform).clamp(max=-1e-20))
    return ((logits + gumbel) / temperature).softmax(-1)


def hard_bernoulli(soft: Tensor) -> Tensor:
    """0 or 1, whichever is nearer."""
    return (soft > 0.5).to(soft.dtype)


def hard_one_hot(soft: Tensor) -> Tensor:
    """The nearest corner of the simplex."""
    return torch.nn.functional.one_hot(soft.argmax(-1), soft.shape[-1]).to(soft.dtype)


def over_batch(value: Tensor, rank: int) -> Tensor:
    """The batch as one leading dimension, with ones where it was: [n, 1, ..., *event]."""
    event = value.shape[value.ndim - rank :]
    rows = value.reshape(-1, *(1 for _ in value.shape[: value.ndim - rank]), *event)
    if len(rows) < 2:
        raise ValueError("TC and MI take two data points at least")
    return rows


def log_mean(value: Tensor, dim: int) -> Tensor:
    """log of the mean of exp(value)."""
    size = torch.full_like(value.select(dim, 0), value.shape[dim])
    return value.logsumexp(dim) - size.log()


def leave_one_out(log_w: Tensor, dim: int) -> Tensor:
    """Log of the mean weight with each weight replaced by the geometric mean of the others."""
    rows = log_w.movedim(dim, -1)
    count = rows.shape[-1]
    others = (rows.sum(-1, keepdim=True) - rows) / (count - 1)
    eye = torch.eye(count, dtype=torch.bool, device=rows.device)
    table = torch.where(eye, others.unsqueeze(-1), rows.unsqueeze(-2))
    found = table.logsumexp(-1) - torch.log(torch.full_like(rows, count))
    return found.movedim(-1, dim)


def square_distances(x: Tensor, y: Tensor) -> Tensor:
    """Squared distance of every row of x from every row of y, without cancellation."""
    mode = "donot_use_mm_for_euclid_dist"
    return torch.cdist(x, y, compute_mode=mode).square()


def without_diagonal(kernel: Tensor) -> Tensor:
    """The mean of a kernel over pairs of different points."""
    count = kernel.shape[-1]
    if count < 2:
        raise ValueError("MMD takes two data points at least, or samples=2 for each")
    return (kernel.sum() - kernel.diagonal().sum()) / (count * (count - 1))


def gaussian_mmd(x: Tensor, y: Tensor, widths: tuple[float, ...]) -> Tensor:
    """Unbiased squared maximum mean discrepancy of rows; kernels of all widths are added."""

    def kernel(a: Tensor, b: Tensor) -> Tensor:
        squares = square_distances(a, b)
        total = torch.exp(squares / (-2 * widths[0] ** 2))
        for width in widths[1:]:
            total = total + torch.exp(squares / (-2 * width**2))
        return total

    inside = without_diagonal(kernel(x, x)) + without_diagonal(kernel(y, y))
    return inside - 2 * kernel(x, y).mean()


def imq_mmd(x: Tensor, y: Tensor, widths: tuple[float, ...]) -> Tensor:
    """The same with inverse multiquadric kernels, w^2 / (w^2 + squared distance)."""

    def kernel(a: Tensor, b: Tensor) -> Tensor:
        squares = square_distances(a, b)
        total = widths[0] ** 2 / (widths[0] ** 2 + squares)
        for width in widths[1:]:
            total = total + width**2 / (width**2 + squares)
        return total

    inside = without_diagonal(kernel(x, x)) + without_diagonal(kernel(y, y))
    return inside - 2 * kernel(x, y).mean()


def sliced_wasserstein(x: Tensor, y: Tensor, directions: Tensor) -> Tensor:
    """Mean squared distance of sorted projections on random directions."""
    units = directions / directions.square().sum(0).sqrt()
    return ((x @ units).sort(0).values - (y @ units).sort(0).values).square().mean()


def draw_category(logits: Tensor) -> Tensor:
    """Index drawn with probability softmax(logits), as the place of the largest Gumbel-perturbed logit."""
    uniform = torch.rand_like(logits)
    return (logits - torch.log(-torch.log1p(-uniform))).argmax(-1)


def draw_binomial(count: Tensor, probs: Tensor, steps: int = 24) -> Tensor:
    """Successes of `count` trials, by the order statistics of their uniforms (Devroye 1986, chapter X.4.3).

    A step halves the trials that are left: `steps` of them serve counts below 2^steps.
    """
    n, p = torch.broadcast_tensors(count.to(probs.dtype), probs)
    found = torch.zeros_like(p)
    for _ in range(steps):
        a = torch.floor(n / 2) + 1
        one, other = standard_gamma(a), standard_gamma((n + 1 - a).clamp(min=1.0))
        middle = one / (one + other)
        going = n > 0
        below = going & (middle <= p)
        found = found + torch.where(below, a, 0.0)
        left = torch.where(below, n - a, a - 1)
        inside = torch.where(below, (p - middle) / (1 - middle), p / middle).clamp(0, 1)
        n, p = torch.where(going, left, 0.0), torch.where(going, inside, p)
    return found


def draw_multinomial(logits: Tensor, total_count: int) -> Tensor:
    """Counts of `total_count` indices drawn with probability softmax(logits)."""
    uniform = torch.rand_like(logits.expand(total_count, *logits.shape))
    index = (logits - torch.log(-torch.log1p(-uniform))).argmax(-1)
    counts = torch.nn.functional.one_hot(index, logits.shape[-1]).sum(0)
    return counts.to(logits.dtype)


def draw_von_mises(loc: Tensor, concentration: Tensor) -> Tensor:
    """Angle drawn by the rejection method of Best and Fisher (1979), the first accepted of 32 proposals.

    At least 65 % of proposals are accepted, so that all are rejected less than once in 10^14 draws.
    """
    shape = (32, *concentration.shape)
    kappa = concentration.double().clamp(min=1e-8)
    tau = 1 + (1 + 4 * kappa.square()).sqrt()
    rho = (tau - (2 * tau).sqrt()) / (2 * kappa)
    r = (1 + rho.square()) / (2 * rho)
    # Below 1e-5 the closed form loses its digits; this is its expansion.
    r = torch.where(kappa < 1e-5, 1 / kappa + kappa, r)
    u1, u2, u3 = (torch.rand_like(kappa.expand(shape)) for _ in range(3))
    z = torch.cos(torch.pi * u1)
    f = ((1 + r * z) / (r + z)).clamp(-1, 1)
    c = kappa * (r - f)
    accepted = (c * (2 - c) > u2) | (torch.log(c / u2) + 1 - c >= 0)
    first = accepted.to(torch.int8).argmax(0, keepdim=True)
    angle = ((u3 - 0.5).sign() * f.acos()).gather(0, first).squeeze(0)
    turned = torch.remainder(angle + torch.pi + loc.double(), 2 * torch.pi)
    return (turned - torch.pi).to(concentration.dtype)


def lower_cholesky(free: Tensor) -> Tensor:
    """A lower triangular matrix with positive diagonal from free numbers."""
    diagonal = torch.nn.functional.softplus(free.diagonal(dim1=-2, dim2=-1))
    return free.tril(-1) + torch.diag_embed(diagonal)


def positive_definite(free: Tensor) -> Tensor:
    """A positive definite matrix from free numbers, through its Cholesky factor."""
    diagonal = torch.nn.functional.softplus(free.diagonal(dim1=-2, dim2=-1))
    tril = free.tril(-1) + torch.diag_embed(diagonal)
    return tril @ tril.mT


def cholesky_of_inverse(precision: Tensor) -> Tensor:
    """Cholesky factor of the inverse of a precision matrix, without inverting it."""
    flipped = torch.linalg.cholesky(precision.flip((-2, -1))).flip((-2, -1)).mT
    identity = torch.diag_embed(torch.ones_like(precision[..., 0, :]))
    return torch.linalg.solve_triangular(flipped, identity, upper=False)


def solve_vector(tril: Tensor, vector: Tensor) -> Tensor:
    """L^-1 v for a lower triangular L, over all batch dimensions of both."""
    column = vector.unsqueeze(-1)
    return torch.linalg.solve_triangular(tril, column, upper=False).squeeze(-1)


def as_event(distribution: D.Distribution, rank: int) -> D.Distribution:
    """A supplied distribution with `rank` event dimensions, whatever it left to its batch."""
    left = rank - len(distribution.event_shape)
    return D.Independent(distribution, left) if left > 0 else distribution


def draw_from(distribution: D.Distribution, shape: tuple[int, ...]) -> Tensor:
    """A draw, pathwise where the distribution can."""
    if distribution.has_rsample:
        return distribution.rsample(shape)
    return distribution.sample(shape)


class VonMises(D.VonMises):
    """A von Mises distribution that draws without a loop and scores to full precision."""

    def log_prob(self, value: Tensor) -> Tensor:
        """k cos(x - loc) - log(2 pi I0(k))."""
        cosine = self.concentration * torch.cos(value - self.loc)
        return cosine - log_bessel_i0(self.concentration) - 1.8378770664093453

    def sample(self, sample_shape: torch.Size | tuple[int, ...] = ()) -> Tensor:
        """Angles in [-pi, pi)."""
        shape = self._extended_shape(torch.Size(sample_shape))
        return draw_von_mises(self.loc.expand(shape), self.concentration.expand(shape))


class Dirichlet(D.Dirichlet):
    """A Dirichlet distribution that draws by gammas, which have kernels everywhere."""

    def rsample(self, sample_shape: torch.Size | tuple[int, ...] = ()) -> Tensor:
        """Points of the simplex, pathwise."""
        shape = self._extended_shape(torch.Size(sample_shape))
        gammas = standard_gamma(self.concentration.expand(shape))
        return clipped_positive(gammas / gammas.sum(-1, keepdim=True))


class Beta(D.Beta):
    """A beta distribution that draws by gammas, which have kernels everywhere."""

    def rsample(self, sample_shape: torch.Size | tuple[int, ...] = ()) -> Tensor:
        """Numbers of the unit interval, pathwise."""
        shape = self._extended_shape(torch.Size(sample_shape))
        one = standard_gamma(self.concentration1.expand(shape))
        other = standard_gamma(self.concentration0.expand(shape))
        return clipped_unit(one / (one + other))


class Binomial(D.Binomial):
    """A binomial distribution that draws without a kernel of its own."""

    def sample(self, sample_shape: torch.Size | tuple[int, ...] = ()) -> Tensor:
        """Counts of successes."""
        shape = self._extended_shape(torch.Size(sample_shape))
        count, probs = self.total_count.expand(shape), self.probs.expand(shape)
        with torch.no_grad():
            return draw_binomial(count, probs)


class ContinuousBernoulli(D.ContinuousBernoulli):
    """A continuous Bernoulli scored to full precision also near probability 1/2."""

    def log_prob(self, value: Tensor) -> Tensor:
        """logits x - log((exp(logits) - 1) / logits)."""
        return self.logits * value - log_expm1_ratio(self.logits)


class FactorizedBernoulli(D.Bernoulli):
    """A Bernoulli scored on its ones only (Vedantam et al. 2017)."""

    def log_prob(self, value: Tensor) -> Tensor:
        """x log p(x = 1)."""
        return -value * torch.nn.functional.softplus(-self.logits)


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


def check_net(net: torch.nn.Module, inputs: tuple, outputs: dict[str, tuple]) -> None:
    """Compare what a supplied net gives, on the meta device, with what was declared."""
    state = {**dict(net.named_parameters()), **dict(net.named_buffers())}
    meta = {n: torch.empty_like(v, device="meta") for n, v in state.items()}
    found = torch.func.functional_call(net, meta, inputs)
    found = found if isinstance(found, tuple | list) else (found,)
    if len(found) != len(outputs):
        raise ValueError(f"{len(found)} results, declared are {', '.join(outputs)}")
    for (name, shape), value in zip(outputs.items(), found, strict=True):
        if value.shape[1:] != shape:
            shown = f"{list(shape)}, the net gives {list(value.shape[1:])}"
            raise ValueError(f"{name} is declared with the event shape {shown}")


def expect(formula: str, **variables: tuple) -> None:
    """Check variables: each with its event shape, and True where it is an index."""
    for name, (value, shape, *index) in variables.items():
        found = tuple(value.shape)
        if found[len(found) - len(shape) :] != shape:
            raise ValueError(f"{name} of {formula} ends in {shape}, not {found}")
        if value.is_floating_point() == bool(index):
            raise TypeError(f"{name} of {formula} cannot be {value.dtype}")


def same_batch(formula: str, **variables: tuple) -> None:
    """Check that variables, each with its event rank, have one batch shape."""
    batches = {n: tuple(v.shape[: v.ndim - rank]) for n, (v, rank) in variables.items()}
    if len(set(batches.values())) > 1:
        raise ValueError(f"the batch shapes of {formula} differ: {batches}")


def log_density(name: str, factor, values: dict) -> Tensor:
    """Log-density of a factor at named values; those that its name lacks are inputs."""
    inside = name.replace(" ", "").split("(")[-1].rstrip(")")
    names = inside.replace("|", ",").split(",")
    if missing := [n for n in names if n not in values]:
        raise KeyError(f"{name} needs {missing[0]}")
    x, *given = (values[n] for n in names)
    found = factor(*given, **{n: v for n, v in values.items() if n not in names})
    if x.shape[x.ndim - len(found.event_shape) :] != found.event_shape:
        raise ValueError(f"{names[0]} of {name} cannot have the shape {tuple(x.shape)}")
    return found.log_prob(x)


def belongs(name: str, value: Tensor, space: str, size: int | None) -> None:
    """Check that values lie in their space (debug modules only: this waits for the device)."""
    whole = value == value.round()
    total = value.sum(-1, keepdim=True) if value.ndim else value
    inside = {
        "boolean": (value == 0) | (value == 1),
        "unit_interval": (value >= 0) & (value <= 1),
        "nonnegative": value >= 0,
        "positive": value > 0,
        "nonnegative_integer": (value >= 0) & whole,
        "positive_integer": (value > 0) & whole,
        "category": (value >= 0) & (value < (size or 0)),
        "one_hot": ((value == 0) | (value == 1)) & ((total - 1).abs() < 1e-4),
        "simplex": (value >= 0) & ((total - 1).abs() < 1e-4),
    }.get(space, value.isfinite())
    if not inside.all():
        found = value[~inside][0].item()
        raise ValueError(f"{name} has the value {found:g}, which is not in {space}")


def watch(formula: str, name: str, value: Tensor) -> None:
    """Stop at a value that is not finite (debug modules only: this waits for the device)."""
    if not value.isfinite().all():
        found = value[~value.isfinite()][0].item()
        raise FloatingPointError(f"{name} of {formula} is {found}")


def condition(shape: tuple, given: dict | None, variables: dict) -> tuple:
    """Check what a sampler is given and expand it; `variables`: event rank, and parents."""
    given = given or {}
    if unknown := given.keys() - variables.keys():
        raise KeyError(f"{min(unknown)} is not one of {', '.join(variables)}")
    for name, (_, above) in variables.items():
        if above is None and name not in given:
            raise ValueError(f"{name} is not generated by the model; give it")
        if name in given and (missing := set(above or ()) - given.keys()):
            raise ValueError(f"{name} is given, but {min(missing)} above it is not")
    batches = [v.shape[: v.ndim - variables[name][0]] for name, v in given.items()]
    shape = (*shape, *torch.broadcast_shapes(*batches))
    events = {name: v.shape[v.ndim - variables[name][0] :] for name, v in given.items()}
    return shape, {name: v.expand((*shape, *events[name])) for name, v in given.items()}


def take_inputs(given: dict | None, *names: str) -> tuple:
    """What a sampler is given without the inputs, and the inputs."""
    given = given or {}
    if missing := [name for name in names if name not in given]:
        raise ValueError(f"{missing[0]} is an input of the model; give it")
    return {n: v for n, v in given.items() if n not in names}, *map(given.get, names)


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
                weight = weight.reshape(*weight.shape, *ones)
            total = total + weight * value
        return total


def unwrapped(experts: list) -> tuple:
    """Experts without the declaration of their event dimensions, powers to match."""
    if not experts:
        raise ValueError("nothing is given that an expert of the product speaks of")
    rank = len(experts[0][1].event_shape)
    found = []
    for power, expert in experts:
        if isinstance(power, Tensor):
            power = power.reshape(*power.shape, *[1] * rank)
        wrapped = isinstance(expert, D.Independent)
        found.append((power, expert.base_dist if wrapped else expert))
    return found, rank


def product_of_normals(experts: list) -> D.Distribution:
    """The normalised product of Normals, each with its power: precisions add."""
    found, rank = unwrapped(experts)
    weighed = [(power / e.scale.square(), e.loc) for power, e in found]
    precision = sum(p for p, _ in weighed[1:]) + weighed[0][0]
    pull = sum(p * m for p, m in weighed[1:]) + weighed[0][0] * weighed[0][1]
    normal = D.Normal(pull / precision, precision.rsqrt(), validate_args=False)
    return D.Independent(normal, rank) if rank else normal


def product_of_gaussians(experts: list) -> D.Distribution:
    """The normalised product of multivariate normals, each with its power."""
    parts = []
    for power, e in experts:
        weight = power[..., None, None] if isinstance(power, Tensor) else power
        precision = weight * e.precision_matrix
        parts.append((precision, precision @ e.loc.unsqueeze(-1)))
    if not parts:
        raise ValueError("nothing is given that an expert of the product speaks of")
    precision = sum(p for p, _ in parts[1:]) + parts[0][0]
    pull = sum(v for _, v in parts[1:]) + parts[0][1]
    loc = torch.linalg.solve(precision, pull).squeeze(-1)
    return D.MultivariateNormal(loc, precision_matrix=precision, validate_args=False)


def product_of_family(experts: list, family: type, **bases: float) -> D.Distribution:
    """The normalised product of a family whose parameters add above their bases."""
    found, rank = unwrapped(experts)
    values = {}
    for name, base in bases.items():
        above = [power * (getattr(e, name) - base) for power, e in found]
        values[name] = sum(above[1:]) + above[0] + base
    product = family(**values, validate_args=False)
    extra = rank - len(product.event_shape)
    return D.Independent(product, extra) if extra else product


def row_mask(present: dict | None, *names: str):
    """1 where a row has all that an expert needs, 0 where it has not."""
    mask = 1.0
    for name in names:
        if present and name in present:
            mask = mask * present[name]
    return mask


def mixture_of(choice: D.Categorical, component: D.Distribution) -> D.Distribution:
    """Components along the last batch dimension, and the chance of each."""
    shape = torch.broadcast_shapes(choice.logits.shape, component.batch_shape)
    choice, component = choice.expand(shape[:-1]), component.expand(shape)
    return D.MixtureSameFamily(choice, component, validate_args=False)


class TableOf:
    """A joint distribution over finite variables, by the table of its logits.

    The last dimensions are the variables, each an `index`, a `boolean` or `one_hot`.
    """

    def __init__(self, logits: Tensor, **variables: str) -> None:
        self.variables = variables
        self.sizes = logits.shape[logits.ndim - len(variables) :]
        flat = logits.flatten(logits.ndim - len(variables))
        self.joint = D.Categorical(logits=flat, validate_args=False)

    @property
    def probs(self) -> Tensor:
        """The table of probabilities."""
        return self.joint.probs.unflatten(-1, self.sizes)

    def sample(self, sample_shape: torch.Size | tuple[int, ...] = ()) -> dict:
        """A joint draw: every variable by its name."""
        index = self.joint.sample(torch.Size(sample_shape))
        found = {}
        pairs = list(zip(self.sizes, self.variables.items(), strict=True))
        for size, (name, kind) in reversed(pairs):
            value, index = index % size, index // size
            if kind == "one_hot":
                value = torch.nn.functional.one_hot(value, size)
            dtype = value.dtype if kind == "index" else self.joint.logits.dtype
            found[name] = value.to(dtype)
        return {name: found[name] for name in self.variables}

    def log_prob(self, **values: Tensor) -> Tensor:
        """Log-probability of values of all the variables."""
        if values.keys() != self.variables.keys():
            raise KeyError(f"give {', '.join(self.variables)}")
        index = torch.zeros_like(self.joint.logits[..., 0], dtype=torch.long)
        for size, (name, kind) in zip(self.sizes, self.variables.items(), strict=True):
            value = values[name].argmax(-1) if kind == "one_hot" else values[name]
            index = index * size + value.long()
        return self.joint.log_prob(index)


class FlowDistribution(D.Distribution):
    """A base seen through a flow, which takes data to it and back."""

    arg_constraints = {}  # noqa: RUF012
    has_rsample = True

    def __init__(self, base, flow, context=None, inverted=False) -> None:
        self.base, self.flow = base, flow
        self.context, self.inverted = context, inverted
        shape = flow.out_shape if inverted else flow.shape
        batch = base.batch_shape
        if context is not None:
            batch = torch.broadcast_shapes(batch, context.shape[:-1])
            self.base = base.expand(batch)
        super().__init__(batch, torch.Size(shape), validate_args=False)

    @property
    def mean(self) -> Tensor:
        """Where the mean of the base comes from, which is no mean but its place."""
        return self._back(self.base.mean)[0]

    def expand(self, batch_shape, _instance=None):
        """The same for more batch dimensions."""
        base = self.base.expand(batch_shape)
        return FlowDistribution(base, self.flow, self.context, self.inverted)

    def _back(self, u: Tensor) -> tuple:
        run = self.flow if self.inverted else self.flow.inverse
        return run(u, self.context)

    def log_prob(self, value: Tensor) -> Tensor:
        """log-density of the base where the flow takes a value, and log-determinant."""
        run = self.flow.inverse if self.inverted else self.flow
        u, ladj = run(value, self.context)
        return self.base.log_prob(u) + ladj

    def rsample(self, sample_shape: torch.Size | tuple[int, ...] = ()) -> Tensor:
        """Pathwise draws."""
        return self._back(self.base.rsample(sample_shape))[0]

    def sample(self, sample_shape: torch.Size | tuple[int, ...] = ()) -> Tensor:
        """Draws without a gradient."""
        if torch.compiler.is_compiling():
            with torch.no_grad():
                return self.rsample(sample_shape)
        with torch.inference_mode():  # many small steps, of which nothing is kept
            draws = self.rsample(sample_shape)
        return draws.clone()  # a tensor like any other

    def rsample_and_log_prob(self, sample_shape=()) -> tuple:
        """Pathwise draws and their log-density, from one pass through the flow."""
        u = self.base.rsample(sample_shape)
        x, ladj = self._back(u)
        return x, self.base.log_prob(u) - ladj


def trained(optimizer) -> list:
    """The parameters that an optimizer changes."""
    return [p for group in optimizer.param_groups for p in group["params"]]


def learning_rate(optimizer, kind: str, warmup: int, steps: int):
    """A schedule: up over `warmup` steps, then constant, linear, cosine or exponential.

    All but the first fall until step `steps`: to nothing, or to a hundredth if exponential.
    """

    def factor(step: int) -> float:
        if step < warmup:
            return (step + 1) / (warmup + 1)
        gone = min((step - warmup) / max(steps - warmup, 1), 1.0)
        return {
            "constant": 1.0,
            "linear": 1 - gone,
            "cosine": (1 + math.cos(math.pi * gone)) / 2,
            "exponential": 0.01**gone,
        }[kind]

    return torch.optim.lr_scheduler.LambdaLR(optimizer, factor)


def ramp(step: int, kind: str, start: float, end: float, steps: int) -> float:
    """From `start` to `end` over `steps` steps; cyclic: over each first half of them."""
    gone = step / steps
    gone = min(2 * (gone % 1), 1.0) if kind == "cyclic" else min(gone, 1.0)
    if kind == "cosine":
        gone = (1 - math.cos(math.pi * gone)) / 2
    return start + (end - start) * gone


def between(first: Tensor, second: Tensor, along: Tensor, rank: int) -> Tensor:
    """The point at `along` of the line from `second` to `first`, whose event has `rank` dimensions."""
    along = along.reshape(*along.shape, *[1] * rank)
    return along * first.detach() + (1 - along) * second.detach()


def gradient_penalty(critic, x: Tensor, rank: int) -> Tensor:
    """(||grad critic(x)|| - 1)^2 for each data point (Gulrajani et al. 2017)."""
    slope = torch.func.grad(lambda point: critic(point).sum())(x)
    return (slope.flatten(-rank).norm(dim=-1) - 1).square()
