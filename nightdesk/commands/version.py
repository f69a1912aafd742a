"""`nightdesk version`: for bug reports and for scripts that check what is installed."""

from nightdesk import __version__


def version() -> None:
    """Print the version."""
    print(__version__)
