"""Ways to start a parameter: the function of `torch.nn.init` that each is, and what it can be used for."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Initialiser:
    """One way to start a parameter.

    Args:
        function: of `torch.nn.init`.
        numbers: how many numbers it can be given.
        least_rank: dimensions that the parameter must have.
        square: whether its last two dimensions must be equal.
    """

    function: str
    numbers: int = 0
    least_rank: int = 0
    square: bool = False


INITIALISERS = {
    "zeros": Initialiser("nn.init.zeros_"),
    "ones": Initialiser("nn.init.ones_"),
    "eye": Initialiser("nn.init.eye_", least_rank=2, square=True),
    "normal": Initialiser("nn.init.normal_", 2),
    "uniform": Initialiser("nn.init.uniform_", 2),
    "xavier_uniform": Initialiser("nn.init.xavier_uniform_", 1, 2),
    "xavier_normal": Initialiser("nn.init.xavier_normal_", 1, 2),
    "kaiming_uniform": Initialiser("nn.init.kaiming_uniform_", 1, 2),
    "kaiming_normal": Initialiser("nn.init.kaiming_normal_", 1, 2),
    "orthogonal": Initialiser("nn.init.orthogonal_", 1, 2),
}
