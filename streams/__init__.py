"""Runs the stages: one Faust app for each, all of them on the safety layer in `runtime/`."""
