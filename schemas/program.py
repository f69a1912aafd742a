"""Which version of Nightdesk this process runs."""

from functools import cache
from importlib.metadata import version


@cache
def program_version() -> str:
    """The version that was installed when this was first called. It is read once, because a process goes on with the
    code that it loaded when another version is installed under it.
    """
    return version("nightdesk")
