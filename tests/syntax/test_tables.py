"""The kept tables of the parser are those of the grammar."""

import lark
import pytest

from pgcompile.diagnostics import Sink, Source
from pgcompile.syntax import grammar, parse, tables
from tests.programs import EXAMPLES


def test_they_are_made_from_the_grammar_as_it_is() -> None:
    assert grammar.tables_are_current(), "run python docs/generate.py"


@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_they_parse_as_a_parser_that_is_built(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = parse(Sink(Source(EXAMPLES[name])))
    monkeypatch.setattr(tables, "read_tables", lambda: None)
    grammar.parser.cache_clear()
    built = parse(Sink(Source(EXAMPLES[name])))
    grammar.parser.cache_clear()
    assert kept == built
    assert kept.statements


def test_tables_of_another_version_of_lark_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lark, "__version__", "0.0.0")
    monkeypatch.setattr(lark.Lark, "_load_from_dict", None)  # reading them would fail
    grammar.parser.cache_clear()
    assert grammar.parser().parse("x : real") is not None
    grammar.parser.cache_clear()
