"""How we reach other systems: `llm` asks models, `handlers` performs the steps of playbooks, each behind a narrow
protocol.

`nightdesk/bootstrap.py` builds what is in here; `streams` calls it through protocols. The two packages do not import
each other.
"""
