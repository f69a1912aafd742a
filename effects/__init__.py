"""How we reach other systems: `llm` asks models, `handlers` performs the steps of playbooks, and `channels` tells
people, each behind a narrow protocol.

`nightdesk/bootstrap.py` and `nightdesk/adapters.py` build what is in here; `streams` calls it through protocols. `llm`
and `handlers` do not import each other; `channels` uses the HTTP client of `handlers`.
"""
