"""Performs the steps of playbooks: one handler for each kind of step, behind `protocol.Handler`.

`nightdesk/adapters.py` gives `registry.build` the connections and ports. The act stage performs each step through
`perform.perform`, which also handles a call that was started before a crash.
"""
