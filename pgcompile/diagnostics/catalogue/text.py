"""Codes of programs that cannot be read."""

from pgcompile.diagnostics.catalogue.entry import Entry
from pgcompile.diagnostics.catalogue.programs import CHAIN

TEXT: tuple[Entry, ...] = (
    Entry("PGC001", "the program is not text", "p(x) = Normal(0\0, 1)", "x : real\np(x) = Normal(0, 1)"),
    Entry("PGC002", "the program is too large", "# " + "a" * 4_000_000, "p(x|z) p(z)"),
    Entry("PGC003", "brackets are nested too deeply", "y = " + "(" * 120 + "1" + ")" * 120, "p(x|z) p(z)"),
    Entry("PGC004", "the program is empty", "# nothing yet", "p(x|z) p(z)"),
    Entry("PGC005", "a character has no meaning in a formula", "p(x|z) p(z) ☃", "p(x|z) p(z)"),
    Entry("PGC006", "the statement cannot be read", "p(x|) p(z)", "p(x|z) p(z)"),
    Entry("PGC007", "a bracket is never closed", "p(x|z p(z)", "p(x|z) p(z)"),
    Entry("PGC008", "a bracket closes nothing", "p(x|z)) p(z)", "p(x|z) p(z)"),
    Entry(
        "PGC010",
        "a part of the language that this version does not compile",
        CHAIN.replace("sum_t", "sum_{t=3}^{T}"),
        CHAIN,
    ),
)
