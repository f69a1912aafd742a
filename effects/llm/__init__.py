"""The model providers, each behind `protocol.Provider`, and the chain that asks them in the charter's order."""
