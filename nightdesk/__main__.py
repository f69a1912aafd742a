"""`python -m nightdesk`. The local stack starts its own children this way, because the script may
not be on the path.
"""

from nightdesk.cli import main

main()
