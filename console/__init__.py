"""The web console: the second user interface of `operations`, beside the command line.

    settings where it listens, and how people log in
    visitors      persons, their roles and agents
    token_file    reads them from the token file
    logins        logins that have begun at the identity provider
    limits how often somebody may try to log in, or change something
    sessions      who is logged in
    recent        one answer for many open pages
    requests      the checks that every request passes, and the headers of every answer
    formats       how values are written in a page
    failures an error as a page that shows the request as a command
    frame what a page is made with: the visit, the template or its JSON form
    pages/        one module for each page: its routes and its view model
    catalog       the list of pages
    app           puts all of it together

A page reads with one operation and shows the value. It changes something only through an operation, too.
"""
