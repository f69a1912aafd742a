"""One module for each command; `nightdesk.cli.COMMANDS` lists them."""
