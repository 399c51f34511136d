"""Mixtures, products of experts and joint tables, written to be copied into emitted modules."""

import torch
import torch.distributions as D
from torch import Tensor

from pgcompile.runtime.draws import draw_category


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


def each_entry(made):
    """The distribution of each entry of independent ones; of a point, the point of each."""
    return made.base_dist if isinstance(made, D.Independent) else type(made)(made.v, 0)


def unwrapped(experts: list) -> tuple:
    """Experts without the declaration of their event dimensions, powers to match."""
    if not experts:
        raise ValueError("nothing is given that an expert of the product speaks of")
    rank = len(experts[0][1].event_shape)
    found = []
    for power, expert in experts:
        if isinstance(power, Tensor):
            power = power.reshape((*power.shape, *[1] * rank))
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


def check_present(present: dict | None, *names: str) -> None:
    """Refuse a mask of something that no expert needs."""
    if unknown := set(present or ()) - set(names):
        raise KeyError(f"{min(unknown)} is not one of {', '.join(names)}")


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
    """A joint distribution by its table of `index`, `boolean` or `one_hot` variables."""

    event_shape = torch.Size()

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
        values = torch.unravel_index(self.joint.sample(sample_shape), self.sizes)
        found = dict(zip(self.variables, values, strict=True))
        for size, (name, kind) in zip(self.sizes, self.variables.items(), strict=True):
            if kind == "one_hot":
                found[name] = torch.nn.functional.one_hot(found[name], size)
            if kind != "index":
                found[name] = found[name].to(self.joint.logits.dtype)
        return found

    def log_prob(self, *args: Tensor, **values: Tensor) -> Tensor:
        """Log-probability of values of all the variables, in their order or by name."""
        if args:
            values = dict(zip(self.variables, args, strict=True))
        if values.keys() != self.variables.keys():
            raise KeyError(f"give {', '.join(self.variables)}")
        index = torch.zeros_like(self.joint.logits[..., 0], dtype=torch.long)
        for size, (name, kind) in zip(self.sizes, self.variables.items(), strict=True):
            value = values[name].argmax(-1) if kind == "one_hot" else values[name]
            index = index * size + value.long()
        return self.joint.log_prob(index)
