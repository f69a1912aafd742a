"""Adds a toy one of each thing that can be added, by the recipes of CONTRIBUTING.md, to a copy of the repository."""
