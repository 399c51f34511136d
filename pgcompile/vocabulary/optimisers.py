"""Optimisers of `torch.optim` and what else a training line may say, with the options that programs may give."""

# In torch's order. Those that need a closure or treat tensors of one rank only are left to Python.
OPTIMISERS: dict[str, tuple[str, ...]] = {
    "Adam": ("lr", "betas", "eps", "weight_decay", "amsgrad"),
    "AdamW": ("lr", "betas", "eps", "weight_decay", "amsgrad"),
    "NAdam": ("lr", "betas", "eps", "weight_decay", "momentum_decay"),
    "RAdam": ("lr", "betas", "eps", "weight_decay"),
    "Adamax": ("lr", "betas", "eps", "weight_decay"),
    "Adagrad": ("lr", "lr_decay", "weight_decay", "initial_accumulator_value", "eps"),
    "Adadelta": ("lr", "rho", "eps", "weight_decay"),
    "Adafactor": ("lr", "beta2_decay", "eps", "d", "weight_decay"),
    "ASGD": ("lr", "lambd", "alpha", "t0", "weight_decay"),
    "RMSprop": ("lr", "alpha", "eps", "weight_decay", "momentum", "centered"),
    "Rprop": ("lr", "etas", "step_sizes"),
    "SGD": ("lr", "momentum", "dampening", "weight_decay", "nesterov"),
}

FUSED = ("Adam", "AdamW", "SGD")
"""Optimisers that have one kernel for all parameters, on the CPU and on CUDA."""

PLATEAU = "plateau"
SCHEDULES = ("constant", "linear", "cosine", "exponential", "step", "one_cycle", PLATEAU)
"""The schedules of a learning rate after its warm-up: as it is, down to nothing (a hundredth if exponential), to a
tenth at each third of the run, up and down once, or less where the loss gets no better."""

PLATEAU_DEFAULTS: dict[str, float] = {"factor": 0.1, "patience": 10, "min_lr": 0.0}
"""The options of `plateau(...)`: what the rate is multiplied by, after how many epochs without a better loss, and the
least rate."""

RAMPS = ("linear", "cosine", "cyclic")
"""The schedules of an input while a model is trained."""

RECIPE: dict[str, str] = {
    "clip_norm": "a number above 0",
    "clip_value": "a number above 0",
    "clamp": "a number above 0",
    "schedule": f"one of {', '.join(SCHEDULES)}",
    "warmup": "a whole number of steps",
    "steps": "a whole number of steps",
    "updates": "a whole number above 0",
    "ema": "a number between 0 and 1",
}
"""The other options of a training line, beside those of its optimiser.

`clip_norm` and `clip_value` bound gradients, `clamp` the weights after each update (Arjovsky et al. 2017), `schedule`,
`warmup` and `steps` change the learning rate, `updates` is how often the line is taken in its turn, and `ema` keeps an
average of the weights.
"""
