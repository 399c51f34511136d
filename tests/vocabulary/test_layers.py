"""Every layer: the size inferred at compile time is the size torch gives, for any batch shape."""

import pytest
import torch
from torch import nn

import pgcompile as pgc
from pgcompile.vocabulary.layers import ACTIVATIONS, LAYERS
from tests.conftest import compiled

IMAGE = "real[4, 8, 6]"
SEQUENCE = "real[5, 8]"
CASES = {
    "Linear": [("real[5]", "Linear(7)"), ("real[3, 5]", "Linear(7, bias = false)")],
    "Conv1d": [("real[4, 9]", "Conv1d(6, 3, stride = 2, padding = 1)")],
    "Conv2d": [(IMAGE, "Conv2d(6, 3)"), (IMAGE, "Conv2d(8, (3, 2), stride = (2, 1), padding = (1, 0), groups = 2)")],
    "Conv3d": [("real[2, 5, 6, 4]", "Conv3d(3, (3, 2, 1), padding = (1, 0, 0))")],
    "ConvTranspose1d": [("real[4, 9]", "ConvTranspose1d(6, 4, stride = 2, padding = 1)")],
    "ConvTranspose3d": [("real[2, 3, 4, 5]", "ConvTranspose3d(3, 2, stride = 2)")],
    "MaxPool1d": [("real[4, 9]", "MaxPool1d(2)")],
    "AvgPool1d": [("real[4, 9]", "AvgPool1d(3, stride = 2)")],
    "MaxPool3d": [("real[2, 5, 6, 4]", "MaxPool3d(2)")],
    "RMSNorm": [("real[5]", "RMSNorm"), ("real[3, 5]", "RMSNorm")],
    "GLU": [("real[6]", "GLU"), ("real[3, 6]", "GLU")],
    "ConvTranspose2d": [
        (IMAGE, "ConvTranspose2d(6, 4, stride = 2, padding = 1)"),
        (IMAGE, "ConvTranspose2d(6, 3, 2, 1, 1)"),
    ],
    "BatchNorm1d": [("real[5]", "BatchNorm1d"), ("real[5]", "BatchNorm1d(momentum = 0.2)")],
    "BatchNorm2d": [(IMAGE, "BatchNorm2d")],
    "InstanceNorm2d": [(IMAGE, "InstanceNorm2d")],
    "LayerNorm": [("real[5]", "LayerNorm"), (IMAGE, "LayerNorm"), (IMAGE, "LayerNorm(dims = 1)")],
    "GroupNorm": [(IMAGE, "GroupNorm(2)")],
    "Dropout": [("real[5]", "Dropout(0.3)")],
    "Embedding": [("category[7]", "Embedding(5)"), ("category[7][3]", "Embedding(5)")],
    "Flatten": [(IMAGE, "Flatten")],
    "Unflatten": [("real[24]", "Unflatten((4, 3, 2))")],
    "MaxPool2d": [(IMAGE, "MaxPool2d(2)"), (IMAGE, "MaxPool2d(3, stride = 1, padding = 1)")],
    "AvgPool2d": [(IMAGE, "AvgPool2d(2)")],
    "AdaptiveAvgPool2d": [(IMAGE, "AdaptiveAvgPool2d((2, 3))")],
    "Upsample": [(IMAGE, "Upsample(2)"), (IMAGE, "Upsample(scale_factor = 2, mode = bilinear)")],
    "PixelShuffle": [(IMAGE, "PixelShuffle(2)")],
    "MultiheadAttention": [(SEQUENCE, "MultiheadAttention(2)"), (SEQUENCE, "MultiheadAttention(4, causal = true)")],
    "TransformerEncoderLayer": [
        (SEQUENCE, "TransformerEncoderLayer(2, 16, activation = gelu, norm_first = true, causal = true)")
    ],
    "TransformerEncoder": [(SEQUENCE, "TransformerEncoder(2, 3, 16) >> LayerNorm(dims = 1)")],
    "PositionalEncoding": [(SEQUENCE, "PositionalEncoding")],
    "GRU": [(SEQUENCE, "GRU(6)"), (SEQUENCE, "GRU(6, last = true)")],
    "LSTM": [(SEQUENCE, "LSTM(6, 2, dropout = 0.1)"), (SEQUENCE, "LSTM(6, bidirectional = true, last = true)")],
    "RNN": [(SEQUENCE, "RNN(6, bidirectional = true)"), (SEQUENCE, "RNN(6, nonlinearity = relu, last = true)")],
    "residual": [
        ("real[5]", "residual(Linear(7) >> ReLU >> Linear)"),
        (IMAGE, "residual(Conv2d(6, 3, padding = 1) >> BatchNorm2d >> ReLU >> Conv2d(kernel_size = 1))"),
    ],
    "Sinusoidal": [("real", "Sinusoidal(6)"), ("real[3]", "Sinusoidal(6)"), ("category[7]", "Sinusoidal(6)")],
    "Softmax": [("real[5]", "Softmax")],
    "LogSoftmax": [("real[5]", "LogSoftmax")],
    **{name: [("real[5]", name)] for name in [*sorted(ACTIVATIONS), "Identity"]},
}
FLAT = [(name, space, stage) for name, cases in CASES.items() for space, stage in cases]


def test_every_layer_is_listed() -> None:
    assert set(CASES) | {"GRUCell", "LSTMCell", "RNNCell", "Bilinear"} == set(LAYERS)


@pytest.mark.parametrize(("name", "space", "stage"), FLAT, ids=[f[2] for f in FLAT])
def test_inferred_sizes_are_torchs(name: str, space: str, stage: str) -> None:
    program = compiled(f"a : {space}\nnet f = {stage}\np(b|a) = Normal(f(a), 1)\ns = log p(b|a)")
    model = program.Model().eval()
    spaces = program.analysis.model.spaces
    for batch in ((2,), (2, 3)):
        shape = (*batch, *spaces["a"].shape)
        a = torch.randint(0, 7, shape) if spaces["a"].kind == "category" else torch.randn(shape)
        flat = model.f(a.reshape(-1, *spaces["a"].shape))
        assert flat.shape[1:] == spaces["b"].shape
        b = torch.randn(*batch, *spaces["b"].shape)
        expected = torch.distributions.Normal(flat.reshape(b.shape), 1.0).log_prob(b)
        dims = tuple(range(len(batch), b.ndim))
        torch.testing.assert_close(model.s(b=b, a=a), expected.sum(dims) if dims else expected)


@pytest.mark.parametrize(
    ("space", "stage", "code"),
    [
        ("real[5]", "Conv2d(6, 3)", "PGC303"),
        ("real[1, 4, 4]", "Conv2d(6, 9)", "PGC303"),
        ("real[5]", "Linear(0)", "PGC303"),
        ("real[5]", "Linear(2.5)", "PGC310"),
        ("real[5]", "Linear", "PGC312"),
        ("real[5]", "Unflatten((2, 3))", "PGC303"),
        ("real[6, 4, 4]", "GroupNorm(4)", "PGC303"),
        ("category[3]", "Linear(4)", "PGC303"),
        ("real[5]", "GRU(4)", "PGC303"),
        ("real[5, 8]", "MultiheadAttention(3)", "PGC303"),
        ("real[5, 8]", "LSTM(3, dropout = 0.5)", "PGC303"),
        ("real[5, 8]", "TransformerEncoderLayer(2, activation = silu)", "PGC310"),
        ("real[5, 8]", "TransformerEncoderLayer(2, dropout = 1.5)", "PGC303"),
        ("real[5, 8]", "TransformerEncoder(2)", "PGC312"),
        ("real[5]", "residual(Linear(4))", "PGC303"),
        ("real[5]", "residual(Linear >> tanh)", "PGC105"),
        ("real[5]", "residual", "PGC312"),
        ("real[5]", "residual(Linear, Linear)", "PGC312"),
        ("category[5]", "residual(Embedding(4))", "PGC303"),
        ("real[5]", "Bilinear(3)", "PGC303"),
        ("real", "Sinusoidal(5)", "PGC303"),
        ("real[5]", "LayerNorm(dims = 2)", "PGC303"),
        ("real[5]", "Linear(4 >> ReLU)", "PGC006"),
    ],
)
def test_wrong_sizes_are_errors(space: str, stage: str, code: str) -> None:
    assert code in {d.code for d in pgc.check(f"a : {space}\nnet f = {stage}\np(b|a) = Normal(f(a), 1)")}


def test_mlp_is_sugar() -> None:
    text = "a : real[3]\nnet f = {}\np(b|a) = Normal(f(a), 1)\ns = log p(b|a)"
    model = pgc.compile(text.format("mlp(8, 8, 2, act = Tanh)")).Model()
    assert [type(m).__name__ for m in model.f] == ["Linear", "Tanh", "Linear", "Tanh", "Linear"]
    model = pgc.compile(text.format("mlp(8, 8) >> Linear(2)")).Model()
    assert [type(m).__name__ for m in model.f] == ["Linear", "ReLU", "Linear", "ReLU", "Linear"]


@pytest.mark.parametrize("cell", ["GRUCell", "LSTMCell", "RNNCell"])
def test_cells(cell: str) -> None:
    states = "h, c" if cell == "LSTMCell" else "h"
    call = f"r(x, y, {states})"
    bound = "where (m, d) = " + call if cell == "LSTMCell" else "where m = " + call
    program = compiled(
        "x : real[2]\ny : real[3]\nh, c : real[4]\nnet r = "
        f"{cell}(4)\np(b|x,y,h,c) = Normal(m, 1) {bound}\ns = log p(b|x,y,h,c)"
    )
    model = program.Model()
    x, y, h, c = torch.randn(5, 2), torch.randn(5, 3), torch.randn(5, 4), torch.randn(5, 4)
    joined = torch.cat((x, y), -1)
    m = model.r(joined, (h, c))[0] if cell == "LSTMCell" else model.r(joined, h)
    b = torch.randn(5, 4)
    torch.testing.assert_close(model.s(b=b, x=x, y=y, h=h, c=c), torch.distributions.Normal(m, 1.0).log_prob(b).sum(-1))


def test_nets_in_nets_and_functions_in_pipelines() -> None:
    text = (
        "a : real[3]\nnet base = Linear(4) >> Tanh\nnet f = base >> Linear(2) >> exp\np(b|a) "
        "= Normal(base(a)[0], 1)\np(c|a) = Normal(0, f(a))\ns = log p(b|a) p(c|a)"
    )
    program = compiled(text)
    model = program.Model()
    assert len(list(model.parameters())) == 4
    a, b, c = torch.randn(5, 3), torch.randn(5), torch.randn(5, 2)
    h = model.base(a)
    expected = torch.distributions.Normal(h[:, 0], 1.0).log_prob(b)
    expected = expected + torch.distributions.Normal(0.0, model.f(h).exp()).log_prob(c).sum(-1)
    torch.testing.assert_close(model.s(a=a, b=b, c=c), expected)


EXTERN = """x : real[5]
z : real[2]
extern net encoder(x) -> (loc: real[2], scale: positive[2])
extern p(x|z)
p(z) = Normal(0, 1)
q(z|x) = Normal(encoder(x))
elbo = E_q[log p(x|z)] - KL[q || p(z)]
maximize elbo
"""


class Encoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(5, 4)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        loc, free = self.inner(x).chunk(2, -1)
        return loc, nn.functional.softplus(free)


class Likelihood(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(2, 5)

    def forward(self, z: torch.Tensor) -> torch.distributions.Distribution:
        return torch.distributions.Normal(self.inner(z), 1.0)


def test_parts_from_python() -> None:
    program = compiled(EXTERN)
    model = program.Model(encoder=Encoder(), p_x_given_z=Likelihood())
    x = torch.randn(6, 5)
    torch.manual_seed(0)
    found = model.elbo(x=x)
    torch.manual_seed(0)
    loc, scale = model.encoder(x)
    z = loc + scale * torch.randn_like(loc)
    rec = torch.distributions.Normal(model.extern_p_x_given_z.inner(z), 1.0).log_prob(x).sum(-1)
    kl = torch.distributions.kl_divergence(
        torch.distributions.Normal(loc, scale), torch.distributions.Normal(0.0, 1.0)
    ).sum(-1)
    torch.testing.assert_close(found, rec - kl)
    model.loss(x=x).backward()
    assert all(p.grad is not None for p in model.parameters())
    assert model.sample((3,))["x"].shape == (3, 5)


def test_an_extern_net_is_checked_against_its_declaration() -> None:
    class Wrong(Encoder):
        def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            loc, scale = super().forward(x)
            return loc[..., :1], scale

    with pytest.raises(ValueError, match=r"loc is declared with the event shape \[2\], encoder gives \[1\]"):
        compiled(EXTERN).Model(encoder=Wrong(), p_x_given_z=Likelihood())


TORCH = [
    ("real[6]", "nn.CELU(alpha = 2)"),
    ("real[6]", "nn.Linear(6, 4)"),
    (IMAGE, "nn.Conv2d(4, 3, 3, padding = 1)"),
    (IMAGE, "nn.Conv2d(4, 3, [3, 1], padding = same)"),
    ("real[5, 6]", "nn.TransformerEncoderLayer(6, 2, 12, 0, batch_first = true)"),
    (IMAGE, "MaxPool2d(2) >> nn.Dropout2d(0.1)"),
    (IMAGE, "nn.PixelUnshuffle(2)"),
    (IMAGE, "nn.ZeroPad2d([1, 1, 1, 1]) >> nn.LocalResponseNorm(2)"),
]


@pytest.mark.parametrize(("space", "stage"), TORCH, ids=[stage for _, stage in TORCH])
def test_a_layer_of_torch_by_its_own_name(space: str, stage: str) -> None:
    test_inferred_sizes_are_torchs(stage, space, stage)


@pytest.mark.parametrize(
    ("stage", "message"),
    [
        ("nn.GRU(6, 4)", "gives several results"),
        ("nn.Foo", "torch.nn has no layer called Foo"),
        ("nn.Sequential", "torch.nn has no layer called Sequential"),
        ("nn.MSELoss", "torch.nn has no layer called MSELoss"),
        ("nn.Linear(5, 4)", "does not take an input of [6]"),
        ("nn.Linear(99999999999, 1)", "is no argument of nn.Linear"),
        ("nn.Linear(x, 1)", "does not take an input of [6]"),
        ("GRU(3)", "`GRU` goes over a whole sequence (places, features)"),
    ],
)
def test_what_is_said_of_layers_of_torch(stage: str, message: str) -> None:
    found = pgc.check(f"x : real[6]\nnet f = {stage}\no = sum(f(x))\n")
    assert any(message in d.message for d in found), found


def test_weights_are_normalised() -> None:
    model = compiled("x : real[6]\nnet f = Linear(4, weight_norm = true)\no = sum(f(x))\nminimize o\n").Model()
    assert nn.utils.parametrize.is_parametrized(model.f)
    x = torch.randn(3, 6)
    direction = model.f.parametrizations.weight
    weight = direction.original0 * direction.original1 / direction.original1.norm(dim=1, keepdim=True)
    torch.testing.assert_close(model.o(x=x), (x @ weight.mT + model.f.bias).sum(-1))
