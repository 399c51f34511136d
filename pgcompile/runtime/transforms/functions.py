"""Elementwise functions without parameters, or with fixed ones; the slopes are summed over the event."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from pgcompile.runtime.transforms.bijection import Bijection

__all__ = [
    "Affine",
    "CircularShift",
    "Dequantise",
    "Exp",
    "Log",
    "Logit",
    "Power",
    "Sigmoid",
    "Softclip",
    "Softplus",
    "Tanh",
]


class ElementwiseFunction(Bijection):
    """y_i = f(x_i), for one f.

    Args:
        shape: event shape.
    """

    argument = "shape"
    takes = "any shape"
    shape_rule = "same"
    rearranges = False
    options = {}

    def __init__(self, shape: tuple):
        super().__init__()
        self.axes = tuple(range(-len(shape), 0))

    def call(self, x: Tensor):
        """The value and the log-slope."""
        raise NotImplementedError

    def back(self, y: Tensor) -> Tensor:
        """The value of the inverse."""
        raise NotImplementedError

    def forward(self, x: Tensor, context: Tensor | None = None):
        """x [..., *shape] -> y [..., *shape], log |det dy/dx| [...]."""
        y, slope = self.call(x)
        return y, slope.expand(x.shape).sum(self.axes) if self.axes else slope

    def inverse(self, y: Tensor, context: Tensor | None = None):
        """y [..., *shape] -> x [..., *shape], log |det dx/dy| [...]."""
        x = self.back(y)
        slope = -self.call(x)[1]
        return x, slope.expand(y.shape).sum(self.axes) if self.axes else slope


class Exp(ElementwiseFunction):
    """y = exp(x): reals to positive numbers."""

    domain = "real"
    codomain = "positive"

    def call(self, x: Tensor):
        """The value and the log-slope."""
        return x.exp(), x

    def back(self, y: Tensor) -> Tensor:
        """log y."""
        return y.log()


class Log(ElementwiseFunction):
    """y = log(x): positive numbers to reals."""

    domain = "positive"
    codomain = "real"

    def call(self, x: Tensor):
        """The value and the log-slope."""
        y = x.log()
        return y, -y

    def back(self, y: Tensor) -> Tensor:
        """exp y."""
        return y.exp()


class Sigmoid(ElementwiseFunction):
    """y = sigmoid(x): reals to the unit interval."""

    domain = "real"
    codomain = "unit_interval"

    def call(self, x: Tensor):
        """The value and the log-slope."""
        return torch.sigmoid(x), F.logsigmoid(x) + F.logsigmoid(-x)

    def back(self, y: Tensor) -> Tensor:
        """logit y."""
        return torch.logit(y)


class Softplus(ElementwiseFunction):
    """y = log(1 + exp(x)): reals to positive numbers."""

    domain = "real"
    codomain = "positive"

    def call(self, x: Tensor):
        """The value and the log-slope."""
        return F.softplus(x), F.logsigmoid(x)

    def back(self, y: Tensor) -> Tensor:
        """y + log(1 - exp(-y))."""
        return y + torch.log(-torch.expm1(-y))


class Tanh(ElementwiseFunction):
    """y = tanh(x): reals to (-1, 1)."""

    domain = "real"
    codomain = "interval"

    def call(self, x: Tensor):
        """The value and the log-slope."""
        return torch.tanh(x), 2 * (math.log(2) - x - F.softplus(-2 * x))

    def back(self, y: Tensor) -> Tensor:
        """artanh y."""
        return torch.atanh(y)


class Softclip(ElementwiseFunction):
    """y = x / (1 + |x / bound|): reals to (-bound, bound).

    Args:
        shape: event shape.
        bound: of the values.
    """

    domain = "real"
    codomain = "interval"
    options = {
        "bound": {"kind": "real", "above": 0},
    }

    def __init__(self, shape: tuple, bound: float = 1.0):
        super().__init__(shape)
        self.remember(bound=bound)
        self.bound = bound

    def call(self, x: Tensor):
        """The value and the log-slope."""
        size = (x / self.bound).abs()
        return x / (1 + size), -2 * torch.log1p(size)

    def back(self, y: Tensor) -> Tensor:
        """y / (1 - |y / bound|); there is none for values beyond the bound."""
        left = 1 - (y / self.bound).abs()
        return y / torch.where(left > 0, left, torch.nan)


class Affine(ElementwiseFunction):
    """y = scale x + loc, with fixed numbers.

    Args:
        shape: event shape.
        loc: the shift.
        scale: the factor, not zero.

    Raises:
        ValueError: the factor is zero.
    """

    domain = "real"
    codomain = "real"
    options = {
        "loc": {"kind": "real"},
        "scale": {"kind": "real", "other_than": 0},
    }

    def __init__(self, shape: tuple, loc: float = 0.0, scale: float = 1.0):
        super().__init__(shape)
        if scale == 0:
            raise ValueError("an affine transform by 0 has no inverse")
        self.remember(loc=loc, scale=scale)
        self.loc, self.scale = loc, scale

    def call(self, x: Tensor):
        """The value and the log-slope."""
        return x * self.scale + self.loc, torch.full_like(x, math.log(abs(self.scale)))

    def back(self, y: Tensor) -> Tensor:
        """(y - loc) / scale."""
        return (y - self.loc) / self.scale


class Power(ElementwiseFunction):
    """y = x^exponent: positive numbers to positive numbers.

    Args:
        shape: event shape.
        exponent: not zero.

    Raises:
        ValueError: the exponent is zero.
    """

    domain = "positive"
    codomain = "positive"
    options = {
        "exponent": {"kind": "real", "other_than": 0},
    }

    def __init__(self, shape: tuple, exponent: float = 2.0):
        super().__init__(shape)
        if exponent == 0:
            raise ValueError("the power 0 has no inverse")
        self.remember(exponent=exponent)
        self.exponent = exponent

    def call(self, x: Tensor):
        """The value and the log-slope."""
        return x**self.exponent, math.log(abs(self.exponent)) + (
            self.exponent - 1
        ) * x.log()

    def back(self, y: Tensor) -> Tensor:
        """y^(1 / exponent)."""
        return y ** (1 / self.exponent)


class CircularShift(ElementwiseFunction):
    """Half a turn on the circle [-bound, bound).

    Args:
        shape: event shape.
        bound: half the length of the circle.
    """

    domain = "circle"
    codomain = "circle"
    options = {
        "bound": {"kind": "real", "above": 0},
    }

    def __init__(self, shape: tuple, bound: float = math.pi):
        super().__init__(shape)
        self.remember(bound=bound)
        self.bound = bound

    def call(self, x: Tensor):
        """The value; the slope is one."""
        return torch.remainder(x, 2 * self.bound) - self.bound, torch.zeros_like(x)

    def back(self, y: Tensor) -> Tensor:
        """The same half turn."""
        return torch.remainder(y, 2 * self.bound) - self.bound


class Logit(ElementwiseFunction):
    """y = logit(alpha + (1 - 2 alpha) x): the unit interval to reals (Dinh et al. 2017).

    Args:
        shape: event shape.
        alpha: keeps the ends of the interval finite.
    """

    domain = "unit_interval"
    codomain = "real"
    options = {
        "alpha": {"kind": "real", "at_least": 0, "below": 0.5},
    }

    def __init__(self, shape: tuple, alpha: float = 0.05):
        super().__init__(shape)
        self.remember(alpha=alpha)
        self.alpha = alpha

    def call(self, x: Tensor):
        """The value and the log-slope."""
        y = torch.logit(self.alpha + (1 - 2 * self.alpha) * x)
        return y, F.softplus(y) + F.softplus(-y) + math.log(1 - 2 * self.alpha)

    def back(self, y: Tensor) -> Tensor:
        """(sigmoid y - alpha) / (1 - 2 alpha)."""
        return (torch.sigmoid(y) - self.alpha) / (1 - 2 * self.alpha)


class Dequantise(ElementwiseFunction):
    """y = (x + u) / levels with u uniform in [0, 1): grey levels 0, 1, .. to the unit interval (Theis et al. 2016).

    The density of y so found is, on average, a lower bound of the probability of x; the constant
    -log(levels) an entry is in the log-determinant. The way back rounds down, and gives no noise.

    Args:
        shape: event shape.
        levels: number of grey levels.
    """

    domain = "nonnegative_integer"
    codomain = "unit_interval"
    options = {
        "levels": {"kind": "integer", "at_least": 1},
    }

    def __init__(self, shape: tuple, levels: int = 256):
        super().__init__(shape)
        self.remember(levels=levels)
        self.levels = levels

    def noise(self, x: Tensor) -> Tensor:
        """The noise added to grey levels."""
        return torch.rand_like(x)

    def call(self, x: Tensor):
        """The value and the log-slope."""
        slope = torch.full_like(x, -math.log(self.levels))
        return (x + self.noise(x)) / self.levels, slope

    def back(self, y: Tensor) -> Tensor:
        """The grey level."""
        return (y * self.levels).floor().clamp(0, self.levels - 1)
