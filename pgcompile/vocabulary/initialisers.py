"""Ways to start a parameter, with the function of `torch.nn.init` that each is."""

INITIALISERS = {
    "zeros": "nn.init.zeros_",
    "ones": "nn.init.ones_",
    "eye": "nn.init.eye_",
    "normal": "nn.init.normal_",
    "uniform": "nn.init.uniform_",
    "xavier_uniform": "nn.init.xavier_uniform_",
    "xavier_normal": "nn.init.xavier_normal_",
    "kaiming_uniform": "nn.init.kaiming_uniform_",
    "kaiming_normal": "nn.init.kaiming_normal_",
    "orthogonal": "nn.init.orthogonal_",
}
