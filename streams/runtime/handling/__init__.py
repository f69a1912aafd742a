"""Handles one record: its partition, the guard around its handler, a dead letter, or parking behind one."""
