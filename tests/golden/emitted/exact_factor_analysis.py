"""p(z) p(grey|z), compiled by pgcompile 0.1.0 from a program."""

import math

import torch
import torch.distributions as D
import torch.nn.functional as F
from torch import Tensor, nn


def cholesky_of_inverse(precision: Tensor) -> Tensor:
    """Cholesky factor of the inverse of a precision matrix, without inverting it."""
    flipped = torch.linalg.cholesky(precision.flip((-2, -1))).flip((-2, -1)).mT
    identity = torch.diag_embed(torch.ones_like(precision[..., 0, :]))
    return torch.linalg.solve_triangular(flipped, identity, upper=False)


def solve_vector(tril: Tensor, vector: Tensor) -> Tensor:
    """L^-1 v for a lower triangular L, over all batch dimensions of both."""
    column = vector.unsqueeze(-1)
    return torch.linalg.solve_triangular(tril, column, upper=False).squeeze(-1)


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


def free_of_positive(value: Tensor) -> Tensor:
    """The inverse of the softplus."""
    return value + (-torch.expm1(-value)).log()


class ExactFactorAnalysis(nn.Module):
    """p(z) p(grey|z); grey: real[64], z: real[8]."""

    def __init__(self) -> None:
        super().__init__()
        self.centre = nn.Parameter(torch.full((64,), 0.0))
        self.loadings = nn.Parameter(nn.init.normal_(torch.empty((64, 8)), 0.0, 0.1))
        self.free_noise = nn.Parameter(torch.full((64,), 0.541324854612918))
        self.register_buffer(
            "table_1",
            torch.tensor([1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]),
        )
        self.register_buffer("_like", torch.zeros(()), persistent=False)

    def likelihood(self, grey: Tensor) -> Tensor:
        """log p(grey); grey: [..., 64] -> [...]."""
        grey = take(self, "likelihood", grey=(grey, (64,), "float"))
        # log p(grey)
        square = F.softplus(self.free_noise.double()).square()
        loadings_double = self.loadings.double()
        matmul = loadings_double @ loadings_double.mT
        tril = torch.linalg.cholesky(matmul + torch.diag_embed(square))
        difference = grey.double() - self.centre.double()
        whitened = solve_vector(tril, difference).to(self._like.dtype)
        diagonal = tril.to(self._like.dtype).diagonal(dim1=-2, dim2=-1)
        product = 0.5 * whitened.square().sum(-1)
        return -32 * math.log(2 * math.pi) - (product + diagonal.log().sum(-1))

    def loss(self, grey: Tensor) -> Tensor:
        """The scalar to minimise: minus the batch mean of likelihood."""
        return -self.likelihood(grey).mean()

    def terms(self, grey: Tensor) -> dict:
        """Every named term."""
        return {"likelihood": self.likelihood(grey)}

    def sample(self, shape: tuple = (), given: dict | None = None) -> dict:
        """Draw from p(z) p(grey|z); variables in `given` are held fixed."""
        variables = {"z": ((8,), ()), "grey": ((64,), ("z",))}
        shape, held = hold(self, shape, given, variables)
        z = held["z"] if "z" in held else self.p_z().sample(shape)
        grey = held["grey"] if "grey" in held else self.p_grey_given_z(z).sample()
        return {"z": z, "grey": grey}

    def sample_mean(self, shape: tuple = (), given: dict | None = None) -> dict:
        """Propagate means through p(z) ...; variables in `given` are held fixed."""
        variables = {"z": ((8,), ()), "grey": ((64,), ("z",))}
        shape, held = hold(self, shape, given, variables)
        z = held["z"] if "z" in held else self.p_z().mean.expand(*shape, 8)
        grey = held["grey"] if "grey" in held else self.p_grey_given_z(z).mean
        return {"z": z, "grey": grey}

    def log_prob(self, grey: Tensor, z: Tensor) -> Tensor:
        """log p(z) p(grey|z); grey: [..., 64], z: [..., 8] -> [...]."""
        grey, z = take(
            self,
            "log_prob",
            grey=(grey, (64,), "float"),
            z=(z, (8,), "float"),
        )
        log_p_z = -0.5 * z.square().sum(-1) - 0.5 * 8 * math.log(2 * math.pi)
        loc = F.linear(z, self.loadings) + self.centre
        noise = F.softplus(self.free_noise)
        log_scale = torch.where(
            self.free_noise < -30.0,
            self.free_noise,
            noise.clamp_min(1e-30).log(),
        )
        noise_floored = noise.clamp_min(torch.finfo(noise.dtype).tiny)
        product = 0.5 * ((grey - loc) / noise_floored).square()
        log_p_grey = -0.5 * 64 * math.log(2 * math.pi) - (log_scale + product).sum(-1)
        return log_p_z + log_p_grey

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

    def p_z(self) -> D.Distribution:
        """p(z) = Normal(loc=0, scale=1)."""
        normal = D.Normal(self._like.new_zeros(8), 1.0, validate_args=False)
        return D.Independent(normal, 1)

    def p_grey_given_z(self, z: Tensor) -> D.Distribution:
        """p(grey|z) = Normal(loc=loadings @ z + centre, scale=noise)."""
        z = take(self, "p(grey|z)", z=(z, (8,), "float"))
        loc = F.linear(z, self.loadings) + self.centre
        normal = D.Normal(loc, F.softplus(self.free_noise), validate_args=False)
        return D.Independent(normal, 1)

    def p_grey(self) -> D.Distribution:
        """p(grey) = MultivariateNormal(loc=centre,
        covariance_matrix=covariance_matrix_grey), covariance_matrix_grey = loadings
        @ transpose(loadings) + diag(square(noise)).
        """
        square = F.softplus(self.free_noise.double()).square()
        loadings_double = self.loadings.double()
        matmul = loadings_double @ loadings_double.mT
        tril = torch.linalg.cholesky(matmul + torch.diag_embed(square))
        tril_2 = tril.to(self._like.dtype)
        multivariate_normal = D.MultivariateNormal(
            loc=self.centre,
            scale_tril=tril_2,
            validate_args=False,
        )
        return multivariate_normal

    def p_z_given_grey(self, grey: Tensor) -> D.Distribution:
        """p(z|grey) = MultivariateNormal(loc=loc_z, precision_matrix=precision_z),
        weights_z = transpose(loadings) @ diag(1 / square(noise)), precision_z =
        diag([1, 1, 1, 1, 1, 1, 1, 1]) + weights_z @ loadings, loc_z =
        inverse(precision_z) @ (weights_z @ (grey - centre)).
        """
        grey = take(self, "p(z|grey)", grey=(grey, (64,), "float"))
        diag_matrix = torch.diag_embed(self.table_1)
        ratio = 1.0 / F.softplus(self.free_noise).square()
        weights_z = self.loadings.mT @ torch.diag_embed(ratio)
        precision_z = diag_matrix + weights_z @ self.loadings
        linear = F.linear(grey - self.centre, weights_z)
        loc_z = F.linear(linear, torch.linalg.inv(precision_z))
        loadings_double = self.loadings.double()
        square = F.softplus(self.free_noise.double()).square()
        weights_z_2 = loadings_double.mT @ torch.diag_embed(1.0 / square)
        diag_matrix_2 = torch.diag_embed(self.table_1.double())
        tril = cholesky_of_inverse(diag_matrix_2 + weights_z_2 @ loadings_double)
        tril_2 = tril.to(self._like.dtype)
        return D.MultivariateNormal(loc=loc_z, scale_tril=tril_2, validate_args=False)

    def factor(self, name: str):
        """A factor by its name: call it with its parents for a distribution."""
        law = {
            "p(z)": self.p_z,
            "p(grey|z)": self.p_grey_given_z,
            "p(grey)": self.p_grey,
            "p(z|grey)": self.p_z_given_grey,
        }
        if (label := str(name).replace(" ", "")) not in law:
            raise KeyError(f"{name} is not one of {', '.join(law)}")
        return law[label]

    def get(self, name: str) -> Tensor:
        """A param or buffer by its name, as a value in its space."""
        free, to_value, _ = self.stored(name)
        return to_value(free)

    def set(self, name: str, value) -> None:
        """Give a param or buffer a value in its space."""
        free, _, inverse = self.stored(name)
        store(name, free, value, inverse)

    def stored(self, name: str) -> tuple:
        """Free numbers of a param or buffer, the map into its space, the inverse."""
        tensors = {
            "centre": (self.centre, torch.positive, torch.positive),
            "loadings": (self.loadings, torch.positive, torch.positive),
            "noise": (self.free_noise, F.softplus, free_of_positive),
        }
        if name not in tensors:
            raise KeyError(f"{name} is not one of {', '.join(tensors)}")
        return tensors[name]

    def optimizers(self, fused: bool | None = None) -> list:
        """Adam for likelihood."""
        return [torch.optim.Adam(self.parameters(), lr=0.01, fused=fused)]

    def train_step(self, optimizers: list, grey: Tensor) -> dict:
        """One optimizer step on -likelihood; returns the loss before the update."""
        (optimizer,) = optimizers
        loss = self.loss(grey)
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
