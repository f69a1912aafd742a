"""`python -m nightdesk`: how the local stack starts its own children, also where no script is on the path."""

from nightdesk.cli import main

main()
