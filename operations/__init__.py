"""Everything that a person may do and see: charters, orders to stop, approvals, dead letters, the audit of budgets,
status.

The command line and the web console only parse input and show results.
"""
