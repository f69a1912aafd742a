"""Puts small faults into the code, one at a time, and reports whether the tests that need no broker find them."""
