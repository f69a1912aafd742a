"""A copy of a record changes fields that records have: pydantic copies a misspelled name without a word."""

import ast

from tests.test_architecture import MAY_IMPORT, modules


def test_what_a_copy_changes_is_a_field() -> None:
    trees = [(path, tree) for room in (*MAY_IMPORT, "tests") for path, tree in modules(room)]
    fields = {
        item.target.id
        for _, tree in trees
        for owner in ast.walk(tree)
        if isinstance(owner, ast.ClassDef)
        for item in owner.body
        if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name)
    }
    changed = [
        (f"{path}:{call.lineno}", key.value)
        for path, tree in trees
        for call in ast.walk(tree)
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr == "model_copy"
        for keyword in call.keywords
        if isinstance(keyword.value, ast.Dict)
        for key in keyword.value.keys
        if isinstance(key, ast.Constant)
    ]
    assert len(changed) > 100, "the copies are found"
    assert [(where, name) for where, name in changed if name not in fields] == []
