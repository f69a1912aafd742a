"""How we reach out: `llm` asks models, `actions` changes the world, each behind a narrow protocol.

`nightdesk/bootstrap.py` builds what is in here; `streams` calls it through the protocols. Neither knows the other.
"""
