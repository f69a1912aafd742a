"""How the world is changed: one handler for each kind of step, behind `protocol.Handler`.

`nightdesk/bootstrap.py` gives `registry.build` the connections and ports; the act stage performs each step through
`perform.perform`, which knows what to do with a call that was begun before a crash.
"""
