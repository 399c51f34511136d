"""A few lines of text that could take for ever: each compiles, or is refused with a code, in bounded time."""

import time

import pytest

import pgcompile as pgc


def _where(n: int) -> str:
    names = "h0 = z, " + ", ".join(f"h{i} = h{i - 1} + h{i - 1}" for i in range(1, n + 1))
    head = "x : real\nz : real\nq(z|x) = Normal(x, 1)\n"
    return f"{head}p(x|z) = Normal(h{n}, 1) where {names}\no = E_q[log p(x|z)]\nmaximize o\n"


def _objectives(n: int) -> str:
    names = "".join(f"o{i} = o{i - 1} + o{i - 1}\n" for i in range(1, n + 1))
    return f"x : real\nparam w : real\np(x) = Normal(w, 1)\no0 = log p(x)\n{names}maximize o{n}\n"


def _variables(n: int) -> str:
    names = "".join(f"h{i} = h{i - 1} + h{i - 1}\n" for i in range(1, n + 1))
    return (
        f"x, y : real\nparam w : real\nh0 = w * x\n{names}p(y|h{n}) = Normal(h{n}, 1)\nl = log p(y|h{n})\nmaximize l\n"
    )


def _chain(n: int, *, backwards: bool) -> str:
    lines = ["o0 = log p(x)", *(f"o{i} = o{i - 1} + 1" for i in range(1, n))]
    return "x : real\np(x) = Normal(0, 1)\n" + "\n".join(reversed(lines) if backwards else lines) + "\n"


NORMAL = "x : real\nparam z : real[2]\np(x) = Normal({}, 1)\nl = log p(x)\n"
TEXTS = {
    "where": (_where(20), None),
    "where too deep": (_where(100), "PGC003"),
    "objectives": (_objectives(40), None),
    "variables": (_variables(40), None),
    "objectives too deep": (_chain(1500, backwards=False), "PGC003"),
    "objectives too deep, backwards": (_chain(1500, backwards=True), "PGC003"),
    "minus signs": (NORMAL.format("-" * 1000 + "1"), "PGC003"),
    "divisions": (NORMAL.format("z[0] / " * 3000 + "z[0]"), "PGC003"),
    "indices": (NORMAL.format("z" + "[0]" * 1000), "PGC003"),
    "powers": (NORMAL.format("(" * 50 + "z[0]" + "^2)" * 50), None),
    "digits of a size": ("x : real[" + "9" * 5000 + "]\np(x) = Normal(0, 1)\n", "PGC002"),
    "digits of a number": (NORMAL.format("9" * 5000), "PGC002"),
    "names": (
        "x : real\np(x) = Normal(h999, 1) where h0 = 1, "
        + ", ".join(f"h{i} = h{i - 1} + 1" for i in range(1, 1000))
        + "\nl = log p(x)\n",
        "PGC003",
    ),
}


@pytest.mark.parametrize("name", TEXTS)
def test_it_ends(name: str) -> None:
    text, code = TEXTS[name]
    start = time.process_time()
    if code is None:
        pgc.compile(text)
    else:
        with pytest.raises(pgc.CompileError) as error:
            pgc.compile(text)
        assert error.value.diagnostics[0].code == code
    assert time.process_time() - start < 60  # exponential time would be years
