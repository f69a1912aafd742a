"""`nightdesk version`: for bug reports and for scripts that check what is installed."""

from nightdesk import __version__
from nightdesk.output import print_line


def version() -> None:
    """Print the version."""
    print_line(__version__)
