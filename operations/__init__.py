"""Everything that a person may do and see: charters, orders to stop, approvals, dead letters, the audit of budgets,
status.

User interfaces only parse input and print results: the command line, and later the web console.
"""
