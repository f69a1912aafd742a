"""Puts a fault into functions that are already imported: each gets its code from the module with the fault."""

import gc
import os
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from types import CodeType, FunctionType

from tests.mutants.faults import Fault

Functions = dict[str, list[FunctionType]]


class NotSwappable(Exception):
    """The fault is not in the body of an imported function, or its code does not fit."""


def imported_functions(root: Path) -> Functions:
    """All functions of this process that were defined below `root`, by module."""
    found: Functions = defaultdict(list)
    module_of: dict[str, str] = {}
    for thing in gc.get_objects():
        if isinstance(thing, FunctionType):
            file = thing.__code__.co_filename
            if file not in module_of:
                module_of[file] = os.path.relpath(os.path.realpath(file), os.path.realpath(root))
            found[module_of[file]].append(thing)
    return found


def swap(functions: Functions, root: Path, module: str, fault: Fault) -> None:
    """Give every function that contains the fault its code with the fault."""
    faulty = fault.put_into((root / module).read_text())
    by_name: dict[tuple[str, int], list[CodeType]] = defaultdict(list)
    for code in _codes(compile(faulty, module, "exec", dont_inherit=True)):
        by_name[code.co_qualname, code.co_firstlineno].append(code)
    concerned = [function for function in functions.get(module, ()) if _contains(function.__code__, fault.line)]
    if not concerned:
        raise NotSwappable(module)
    for function in concerned:
        sound = function.__code__
        new = by_name[sound.co_qualname, sound.co_firstlineno]
        if len(new) != 1 or new[0].co_freevars != sound.co_freevars:
            raise NotSwappable(sound.co_qualname)
        function.__code__ = new[0].replace(co_filename=sound.co_filename)


def _codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _codes(constant)


def _contains(code: CodeType, line: int) -> bool:
    lines = [found for _, _, found in code.co_lines() if found is not None]
    inside = any(_contains(inner, line) for inner in code.co_consts if isinstance(inner, CodeType))
    return inside or (code.co_firstlineno < line <= max(lines) or line in lines)
