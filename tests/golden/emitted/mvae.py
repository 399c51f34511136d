"""p(z) p(x|z) p(y|z); q_x(z|x) q_y(z|y) q_both(z|x,y) ..., compiled by pgcompile 0.1.0 from a program."""

import math

import torch
import torch.distributions as D
import torch.nn.functional as F
from torch import Tensor, nn


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


def bernoulli_cross_entropy(logits: Tensor, x: Tensor, rank: int = 1) -> Tensor:
    """-log Bernoulli(x; logits), summed over the last `rank` dimensions; both broadcast."""
    logits, x = torch.broadcast_tensors(logits, x)
    entropy = F.binary_cross_entropy_with_logits(logits, x, reduction="none")
    return entropy.sum(tuple(range(-rank, 0))) if rank else entropy


def bernoulli_log_prob(logits: Tensor, x: Tensor, rank: int = 1) -> Tensor:
    """log Bernoulli(x; logits), summed over the last `rank` dimensions; both broadcast."""
    logits, x = torch.broadcast_tensors(logits, x)
    entropy = F.binary_cross_entropy_with_logits(logits, x, reduction="none")
    return -entropy.sum(tuple(range(-rank, 0))) if rank else -entropy


class Mvae(nn.Module):
    """p(z) p(x|z) p(y|z); q_x(z|x) ...; x: boolean[64], y: category[10], z: real[8]."""

    def __init__(self) -> None:
        super().__init__()
        self.image = nn.Sequential(nn.Linear(64, 128), nn.ReLU())
        self.i_loc = nn.Linear(128, 8)
        self.i_scale = nn.Sequential(nn.Linear(128, 8), nn.Softplus())
        self.label = nn.Sequential(nn.Linear(10, 32), nn.ReLU())
        self.l_loc = nn.Linear(32, 8)
        self.l_scale = nn.Sequential(nn.Linear(32, 8), nn.Softplus())
        self.pixels = nn.Sequential(nn.Linear(8, 128), nn.ReLU(), nn.Linear(128, 64))
        self.classes = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 10))
        self.register_buffer("_like", torch.zeros(()), persistent=False)

    def both(self, x: Tensor, y: Tensor) -> Tensor:
        """ELBO[p || q_both(z|x,y)]; x: [..., 64], y: [...] -> [...]."""
        x, y = take_all(self, "both", x=(x, (64,)), y=(y, (), range(10)))
        # q_both(z|x,y)
        h_expert1 = self.image(x)
        square = self.i_scale(h_expert1).square()
        h_expert2 = self.label(F.one_hot(y, 10).to(self._like.dtype))
        square_2 = self.l_scale(h_expert2).square()
        ratio = self.l_loc(h_expert2) / square_2
        total = 1.0 / square + 1.0 / square_2 + 1.0
        loc = (self.i_loc(h_expert1) / square + ratio) / total
        scale = 1.0 / total.sqrt()
        # E_{q_both(z|x,y)}: one pathwise sample of z
        z = loc + scale * torch.randn_like(loc)
        # log p(x|z)
        logits_x = self.pixels(z)
        cross_entropy = bernoulli_cross_entropy(logits_x, x)
        # log p(y|z)
        logits_y = self.classes(z)
        log_p_y = logits_y.log_softmax(-1).gather(-1, y.unsqueeze(-1)).squeeze(-1)
        # KL[q_both(z|x,y) || p(z)], closed form
        kl = (0.5 * (loc.square() + scale.square() - 1.0) - scale.log()).sum(-1)
        return log_p_y - cross_entropy - kl

    def seen(self, x: Tensor) -> Tensor:
        """ELBO[p(x|z) p(z) || q_image(z|x)]; x: [..., 64] -> [...]."""
        x = take(self, "seen", x=(x, (64,)))
        # q_image(z|x)
        h_expert1 = self.image(x)
        square = self.i_scale(h_expert1).square()
        total = 1.0 / square + 1.0
        loc = self.i_loc(h_expert1) / square / total
        scale = 1.0 / total.sqrt()
        # E_{q_image(z|x)}: one pathwise sample of z
        z = loc + scale * torch.randn_like(loc)
        # log p(x|z)
        logits = self.pixels(z)
        cross_entropy = F.binary_cross_entropy_with_logits(logits, x, reduction="none")
        log_p_x = -cross_entropy.sum(-1)
        # KL[q_image(z|x) || p(z)], closed form
        kl = (0.5 * (loc.square() + scale.square() - 1.0) - scale.log()).sum(-1)
        return log_p_x - kl

    def named(self, y: Tensor) -> Tensor:
        """ELBO[p(y|z) p(z) || q_label(z|y)]; y: [...] -> [...]."""
        y = take(self, "named", y=(y, (), range(10)))
        # q_label(z|y)
        h_expert1 = self.label(F.one_hot(y, 10).to(self._like.dtype))
        square = self.l_scale(h_expert1).square()
        total = 1.0 / square + 1.0
        loc = self.l_loc(h_expert1) / square / total
        scale = 1.0 / total.sqrt()
        # E_{q_label(z|y)}: one pathwise sample of z
        z = loc + scale * torch.randn_like(loc)
        # log p(y|z)
        logits = self.classes(z)
        log_p_y = logits.log_softmax(-1).gather(-1, y.unsqueeze(-1)).squeeze(-1)
        # KL[q_label(z|y) || p(z)], closed form
        kl = (0.5 * (loc.square() + scale.square() - 1.0) - scale.log()).sum(-1)
        return log_p_y - kl

    def goal(self, x: Tensor, y: Tensor) -> Tensor:
        """both + seen + named; x: [..., 64], y: [...] -> [...]."""
        return self.terms(x, y)["goal"]

    def loss(self, x: Tensor, y: Tensor) -> Tensor:
        """The scalar to minimise: minus the batch mean of goal."""
        x, y = take_all(self, "loss", x=(x, (64,)), y=(y, (), range(10)))
        h_expert1 = self.image(x)
        square = self.i_scale(h_expert1).square()
        ratio = self.i_loc(h_expert1) / square
        h_expert2 = self.label(F.one_hot(y, 10).to(self._like.dtype))
        square_2 = self.l_scale(h_expert2).square()
        ratio_2 = self.l_loc(h_expert2) / square_2
        ratio_3 = 1.0 / square
        ratio_4 = 1.0 / square_2
        total = ratio_3 + ratio_4 + 1.0
        q_both_loc_z = (ratio + ratio_2) / total
        q_both_scale_z = 1.0 / total.sqrt()
        z = q_both_loc_z + q_both_scale_z * torch.randn_like(q_both_loc_z)
        p_logits_x = self.pixels(z)
        p_logits_y = self.classes(z)
        total_2 = q_both_loc_z.square() + q_both_scale_z.square()
        total_3 = ratio_3 + 1.0
        q_image_loc_z = ratio / total_3
        q_image_scale_z = 1.0 / total_3.sqrt()
        z_2 = q_image_loc_z + q_image_scale_z * torch.randn_like(q_image_loc_z)
        p_logits_x_2 = self.pixels(z_2)
        total_4 = q_image_loc_z.square() + q_image_scale_z.square()
        total_5 = ratio_4 + 1.0
        q_label_loc_z = ratio_2 / total_5
        q_label_scale_z = 1.0 / total_5.sqrt()
        z_3 = q_label_loc_z + q_label_scale_z * torch.randn_like(q_label_loc_z)
        p_logits_y_2 = self.classes(z_3)
        total_6 = q_label_loc_z.square() + q_label_scale_z.square()
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
        kl_z = (0.5 * (total_2 - 1.0) - q_both_scale_z.log()).sum()
        cross_entropy_3 = F.binary_cross_entropy_with_logits(
            p_logits_x_2,
            x,
            reduction="sum",
        )
        kl_z_2 = (0.5 * (total_4 - 1.0) - q_image_scale_z.log()).sum()
        total_7 = cross_entropy_3 + kl_z_2
        total_8 = cross_entropy + cross_entropy_2 + kl_z + total_7
        cross_entropy_4 = F.cross_entropy(
            torch.atleast_2d(p_logits_y_2).flatten(0, -2),
            y.flatten(),
            reduction="sum",
        )
        kl_z_3 = (0.5 * (total_6 - 1.0) - q_label_scale_z.log()).sum()
        return (total_8 + cross_entropy_4 + kl_z_3) / x.shape[:-1].numel()

    def terms(self, x: Tensor, y: Tensor) -> dict:
        """Every named term, in one pass."""
        x, y = take_all(self, "terms", x=(x, (64,)), y=(y, (), range(10)))
        # q_both(z|x,y)
        h_expert1 = self.image(x)
        square = self.i_scale(h_expert1).square()
        ratio = self.i_loc(h_expert1) / square
        h_expert2 = self.label(F.one_hot(y, 10).to(self._like.dtype))
        square_2 = self.l_scale(h_expert2).square()
        ratio_2 = self.l_loc(h_expert2) / square_2
        ratio_3 = 1.0 / square
        ratio_4 = 1.0 / square_2
        total = ratio_3 + ratio_4 + 1.0
        q_both_loc_z = (ratio + ratio_2) / total
        q_both_scale_z = 1.0 / total.sqrt()
        # E_{q_both(z|x,y)}: one pathwise sample of z
        z = q_both_loc_z + q_both_scale_z * torch.randn_like(q_both_loc_z)
        # log p(x|z)
        p_logits_x = self.pixels(z)
        cross_entropy = bernoulli_cross_entropy(p_logits_x, x)
        # log p(y|z)
        p_logits_y = self.classes(z)
        column = y.unsqueeze(-1)
        log_p_y = p_logits_y.log_softmax(-1).gather(-1, column).squeeze(-1)
        # KL[q_both(z|x,y) || p(z)], closed form
        total_2 = q_both_loc_z.square() + q_both_scale_z.square()
        kl_z = (0.5 * (total_2 - 1.0) - q_both_scale_z.log()).sum(-1)
        both = log_p_y - cross_entropy - kl_z
        # q_image(z|x)
        total_3 = ratio_3 + 1.0
        q_image_loc_z = ratio / total_3
        q_image_scale_z = 1.0 / total_3.sqrt()
        # E_{q_image(z|x)}: one pathwise sample of z
        z_2 = q_image_loc_z + q_image_scale_z * torch.randn_like(q_image_loc_z)
        # log p(x|z)
        p_logits_x_2 = self.pixels(z_2)
        log_p_x = bernoulli_log_prob(p_logits_x_2, x)
        # KL[q_image(z|x) || p(z)], closed form
        total_4 = q_image_loc_z.square() + q_image_scale_z.square()
        kl_z_2 = (0.5 * (total_4 - 1.0) - q_image_scale_z.log()).sum(-1)
        seen = log_p_x - kl_z_2
        # q_label(z|y)
        total_5 = ratio_4 + 1.0
        q_label_loc_z = ratio_2 / total_5
        q_label_scale_z = 1.0 / total_5.sqrt()
        # E_{q_label(z|y)}: one pathwise sample of z
        z_3 = q_label_loc_z + q_label_scale_z * torch.randn_like(q_label_loc_z)
        # log p(y|z)
        p_logits_y_2 = self.classes(z_3)
        log_p_y_2 = p_logits_y_2.log_softmax(-1).gather(-1, column).squeeze(-1)
        # KL[q_label(z|y) || p(z)], closed form
        total_6 = q_label_loc_z.square() + q_label_scale_z.square()
        kl_z_3 = (0.5 * (total_6 - 1.0) - q_label_scale_z.log()).sum(-1)
        named = log_p_y_2 - kl_z_3
        return {"both": both, "seen": seen, "named": named, "goal": both + seen + named}

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

    def q_both_z_given_x_y(
        self,
        x: Tensor | None = None,
        y: Tensor | None = None,
        present: dict | None = None,
    ) -> D.Distribution:
        """q_both(z|x,y) ∝ q_x(z|x) q_y(z|y) p(z);
        experts of what is not given are left out; `present` has a mask of the rows that
        have a variable.
        """
        if present or x is None or y is None:
            check_present(present, "x", "y")
            experts = []
            if x is not None:
                mask = row_mask(present, "x")
                experts.append((mask, self.q_x_z_given_x(x)))
            if y is not None:
                mask = row_mask(present, "y")
                experts.append((mask, self.q_y_z_given_y(y)))
            experts.append((1.0, self.p_z()))
            return product_of_normals(experts)
        x, y = take(self, "q_both(z|x,y)", x=(x, (64,)), y=(y, (), range(10)))
        h_expert1 = self.image(x)
        square = self.i_scale(h_expert1).square()
        h_expert2 = self.label(F.one_hot(y, 10).to(self._like.dtype))
        square_2 = self.l_scale(h_expert2).square()
        ratio = self.l_loc(h_expert2) / square_2
        total = 1.0 / square + 1.0 / square_2 + 1.0
        loc = (self.i_loc(h_expert1) / square + ratio) / total
        return D.Independent(D.Normal(loc, 1.0 / total.sqrt(), validate_args=False), 1)

    def q_image_z_given_x(self, x: Tensor) -> D.Distribution:
        """q_image(z|x) = Normal(loc=i_loc(h_expert1) / square(i_scale(h_expert1)) / (1
        / square(i_scale(h_expert1)) + 1 / square(1)), scale=1 / sqrt(1 /
        square(i_scale(h_expert1)) + 1 / square(1))), h_expert1 = image(x).
        """
        x = take(self, "q_image(z|x)", x=(x, (64,)))
        h_expert1 = self.image(x)
        square = self.i_scale(h_expert1).square()
        total = 1.0 / square + 1.0
        loc = self.i_loc(h_expert1) / square / total
        return D.Independent(D.Normal(loc, 1.0 / total.sqrt(), validate_args=False), 1)

    def q_label_z_given_y(self, y: Tensor) -> D.Distribution:
        """q_label(z|y) = Normal(loc=l_loc(h_expert1) / square(l_scale(h_expert1)) / (1
        / square(l_scale(h_expert1)) + 1 / square(1)), scale=1 / sqrt(1 /
        square(l_scale(h_expert1)) + 1 / square(1))), h_expert1 = label(one_hot(y)).
        """
        y = take(self, "q_label(z|y)", y=(y, (), range(10)))
        h_expert1 = self.label(F.one_hot(y, 10).to(self._like.dtype))
        square = self.l_scale(h_expert1).square()
        total = 1.0 / square + 1.0
        loc = self.l_loc(h_expert1) / square / total
        return D.Independent(D.Normal(loc, 1.0 / total.sqrt(), validate_args=False), 1)

    def factor(self, name: str):
        """A factor by its name: call it with its parents for a distribution."""
        law = {
            "p(z)": self.p_z,
            "p(x|z)": self.p_x_given_z,
            "p(y|z)": self.p_y_given_z,
            "q_x(z|x)": self.q_x_z_given_x,
            "q_y(z|y)": self.q_y_z_given_y,
            "q_both(z|x,y)": self.q_both_z_given_x_y,
            "q_image(z|x)": self.q_image_z_given_x,
            "q_label(z|y)": self.q_label_z_given_y,
        }
        if (label := str(name).replace(" ", "")) not in law:
            raise KeyError(f"{name} is not one of {', '.join(law)}")
        return law[label]

    def optimizers(self, fused: bool | None = None) -> list:
        """Adam for goal."""
        return [torch.optim.Adam(self.parameters(), lr=0.001, fused=fused)]

    def train_step(self, optimizers: list, x: Tensor, y: Tensor) -> dict:
        """One optimizer step on -goal; returns the loss before the update."""
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
