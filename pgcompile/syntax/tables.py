"""The kept tables of the parser, `tables.json`, which `python docs/generate.py` makes from `grammar/pgc.lark`.

They are data and not a module: Python takes ten times as long to import a literal of this size as to read it as JSON.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PATH = Path(__file__).with_suffix(".json")


@dataclass(frozen=True)
class Tables:
    """A parser as lark serialises it, made again without a look at its grammar.

    Args:
        grammar: the digest of the grammar that they were made from.
        lark: the version of lark that made them.
        data: the tables, as lark serialises them.
        memo: the rules and terminals that the tables refer to by number.
    """

    grammar: str
    lark: str
    data: dict[str, Any]
    memo: dict[int, Any]


def read_tables() -> Tables | None:
    """The kept tables; None where there are none."""
    if not PATH.is_file():
        return None
    found = json.loads(PATH.read_text(encoding="utf-8"))
    states = found["data"]["parser"]["parser"]
    states["tokens"] = _by_number(states["tokens"])
    states["states"] = {state: _by_number(actions) for state, actions in _by_number(states["states"]).items()}
    return Tables(found["grammar"], found["lark"], found["data"], _by_number(found["memo"]))


def tables_text(tables: Tables) -> str:
    """The text of the file; JSON spells the numbers that are keys as text."""
    return json.dumps(vars(tables), separators=(",", ":")) + "\n"


def _by_number(found: dict[str, Any]) -> dict[int, Any]:
    return {int(key): value for key, value in found.items()}
