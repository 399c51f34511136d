"""Nested states as named tensors and JSON: what a checkpoint without pickle can hold."""

import json
from typing import Any

import torch
from torch import Tensor

_TENSOR = "__tensor__"
_TUPLE = "__tuple__"
_PAIRS = "__pairs__"


def pack(state: Any) -> tuple[dict[str, Tensor], str]:
    """Tensors by name, and the rest as JSON.

    Raises:
        TypeError: something in it is neither a tensor nor a number, text, list or dict of such.
    """
    tensors: dict[str, Tensor] = {}
    rest = _without_tensors(state, "state", tensors)
    return tensors, json.dumps(rest)


def unpack(tensors: dict[str, Tensor], text: str) -> Any:
    """The state that `pack` took apart.

    Raises:
        ValueError: the text is not JSON.
        KeyError: a tensor is missing.
    """
    return _with_tensors(json.loads(text), tensors)


def _without_tensors(value: Any, path: str, tensors: dict[str, Tensor]) -> Any:
    match value:
        case Tensor():
            # Safetensors holds no two names of one piece of memory.
            tensors[path] = value.detach().cpu().clone(memory_format=torch.contiguous_format)
            return {_TENSOR: path}
        case dict() if all(isinstance(key, str) for key in value):
            return {key: _without_tensors(item, f"{path}.{key}", tensors) for key, item in value.items()}
        case dict():
            return {_PAIRS: [[key, _without_tensors(item, f"{path}.{key}", tensors)] for key, item in value.items()]}
        case tuple():
            return {_TUPLE: [_without_tensors(item, f"{path}.{i}", tensors) for i, item in enumerate(value)]}
        case list():
            return [_without_tensors(item, f"{path}.{i}", tensors) for i, item in enumerate(value)]
        case None | bool() | int() | float() | str():
            return value
        case _:
            raise TypeError(f"{path} is {type(value).__name__}, which a checkpoint cannot hold")


def _with_tensors(value: Any, tensors: dict[str, Tensor]) -> Any:
    match value:
        case {"__tensor__": path}:
            return tensors[path]
        case {"__tuple__": items}:
            return tuple(_with_tensors(item, tensors) for item in items)
        case {"__pairs__": pairs}:
            return {key: _with_tensors(item, tensors) for key, item in pairs}
        case dict():
            return {key: _with_tensors(item, tensors) for key, item in value.items()}
        case list():
            return [_with_tensors(item, tensors) for item in value]
        case _:
            return value
