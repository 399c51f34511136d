"""Names in canonical spelling: `q_φ`, `q_\\phi`, `q_{\\phi}` and `q_phi` are one name; and back to Greek for people."""

import re
import unicodedata

_GREEK = {
    "α": "alpha",
    "β": "beta",
    "γ": "gamma",
    "δ": "delta",
    "ε": "epsilon",
    "ϵ": "epsilon",
    "ζ": "zeta",
    "η": "eta",
    "θ": "theta",
    "ϑ": "theta",
    "ι": "iota",
    "κ": "kappa",
    "λ": "lambda",
    "μ": "mu",
    "µ": "mu",
    "ν": "nu",
    "ξ": "xi",
    "π": "pi",
    "ρ": "rho",
    "σ": "sigma",
    "τ": "tau",
    "υ": "upsilon",
    "φ": "phi",
    "ϕ": "phi",
    "χ": "chi",
    "ψ": "psi",
    "ω": "omega",
    "Γ": "Gamma",
    "Δ": "Delta",
    "Θ": "Theta",
    "Λ": "Lambda",
    "Ξ": "Xi",
    "Π": "Pi",
    "Σ": "Sigma",
    "Φ": "Phi",
    "Ψ": "Psi",
    "Ω": "Omega",
    "ℓ": "ell",
}
GREEK_NAMES = frozenset(_GREEK.values())
_COMMAND = re.compile(r"\\([a-zA-Z]+)")
_STYLED = re.compile(r"\\(?:mathbf|mathcal|mathrm|mathit|mathsf|boldsymbol|bm|text|operatorname)\{\s*(\\?\w+)\s*\}")
_SUBSCRIPT_DIGITS = str.maketrans("₀₁₂₃₄₅₆₇₈₉", "0123456789")
_SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-")


def canonical_name(text: str) -> str | None:
    """The one ASCII-where-possible spelling of a name as it was typed; None where a subscript is not a plain name."""
    if text.isascii() and text.isidentifier() and not text.startswith("_"):
        return text
    text = _UP_TO.sub(r"{1:\1}", _STYLED.sub(r"\1", text))
    text = _COMMAND.sub(lambda m: m[1].removeprefix("var"), text)
    text = re.sub(r"(?<![_₀-₉])([₀-₉]+)", r"_\1", text).translate(_SUBSCRIPT_DIGITS)
    text = "".join(_GREEK.get(char, char) for char in text)
    text = unicodedata.normalize("NFKC", text)
    text = text.replace("′", "'").replace("'", "_prime")
    text, place = _place_apart(text)
    text = re.sub(r"_?\{([^{}]*)\}", lambda m: "_" + re.sub(r"\s*,\s*|\s+", "_", m[1].strip()), text)
    if place is not None:
        return f"{text}_{{{place}}}" if text.isidentifier() and not text.startswith("_") else None
    return text if text.isidentifier() and not text.startswith("_") else None


_UP_TO = re.compile(r"\{\s*(?:<=|≤|\\leq?(?![a-zA-Z]))\s*(\w+)\s*\}")
"""`x_{<=t}` is `x_{1:t}`."""
_PART = r"(?:\w+(?:\s*[-+]\s*\d+)?(?:\s*:\s*\w+(?:\s*[-+]\s*\d+)?)?|-\s*\d+|<\s*\w+)"
_PLACE = re.compile(rf"_\{{\s*({_PART}(?:\s*,\s*{_PART})*)\s*\}}$")


def _place_apart(text: str) -> tuple[str, str | None]:
    """A name and the place that its last subscript says, as `t-1`, `<t`, `1:T` or `n,t-1` do; None for any other."""
    found = _PLACE.search(text)
    if found is None or not re.search(r"[-+<:]", found[1]):
        return text, None
    return text[: found.start()], re.sub(r"\s+", "", found[1])


def superscript(text: str) -> str:
    """`²` as `2`."""
    return text.translate(_SUPERSCRIPTS)


def latex_name(name: str) -> str:
    r"""A name for typesetting: `q_phi` as `q_{\phi}`, `hidden` as `\mathrm{hidden}`."""
    if name.endswith(".inv"):
        return f"{latex_name(name.removesuffix('.inv'))}^{{-1}}"
    if name.endswith("_prime"):
        return f"{latex_name(name.removesuffix('_prime'))}'"
    if name.endswith("}"):
        base, _, place = name.partition("_{")
        return f"{latex_name(base)}_{{{place}"
    base, *subscripts = name.split("_")
    parts = [_latex_word(word) for word in subscripts if word]
    head = _latex_word(base)
    return f"{head}_{{{', '.join(parts)}}}" if parts else head


def _latex_word(word: str) -> str:
    if word in GREEK_NAMES:
        return "\\" + word
    if len(word) <= 1 or word.isdigit():
        return word
    match = re.fullmatch(r"([a-zA-Z])(\d+)", word)
    if match:
        return f"{match[1]}_{{{match[2]}}}"
    return rf"\mathrm{{{word}}}"
