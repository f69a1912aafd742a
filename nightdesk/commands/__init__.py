"""One module per command; `nightdesk.cli.COMMANDS` is the list."""
