"""The pages of the console, in the order of the navigation. A new page is a module in `pages/` and a line here."""

from __future__ import annotations

from nightdesk.console.frame import Page
from nightdesk.console.pages import agents, approvals, ask, cases, dead_letters, tonight

PAGES: tuple[Page, ...] = (
    tonight.PAGE,
    cases.PAGE,
    approvals.PAGE,
    dead_letters.PAGE,
    agents.PAGE,
    ask.PAGE,
)
