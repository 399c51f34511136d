"""Programs that the examples of several codes begin with."""

LADDER = (
    "x : real[3]\na, b : real[2]\nnet enc = Linear(2)\nnet dec = Linear(3)\n"
    "p(b) = Normal(0, 1)\np(a|b) = Normal(b, 1)\np(x|a) = Normal(dec(a), 1)\n"
)
GLOBAL = """index n in data
y_n, w : real
param m : real
p(w)     = Normal(0, 1)
p(y_n|w) = Normal(w, 1)
q(w)     = Normal(m, 1)
"""

CHAIN = """index t in 1..T
x_t : real[2]
net f = Linear(2)
x_0 = 0
p(x_t|x_{t-1}) = Normal(f(x_{t-1}), 1)
fit = sum_t log p(x_t|x_{t-1})
"""
"""A sequence in which each place depends on the one before."""
TWO_WAYS = CHAIN + "h_t, b_t : real[2]\nh_0 = 0\nb_{T+1} = 0\n"

VAE = """x : boolean[784]
z : real[64]
net enc = Linear(64)
net dec = Linear(784)
p(z)   = Normal(0, 1)
p(x|z) = Bernoulli(logits = dec(z))
q(z|x) = Normal(enc(x), 1)
"""
GAN = """x, z : real[2]
net g = Linear(2)
net d = Linear(1)
p(z)   = Normal(0, 1)
p(x|z) = Delta(g(z))
js = JS_d[p(x|z) p(z) || data]
"""
PAIR = "a, b : real[3]\n"
DISCRETE = """x : real[3]
b : boolean[64]
net enc = Linear(64)
net dec = Linear(3)
p(b)   = Bernoulli(0.5)
p(x|b) = Normal(dec(b), 1)
q(b|x) = Bernoulli(logits = enc(x))
"""
