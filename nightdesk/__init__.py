"""The front door: command line, settings, bootstrap and the local stack. Everything concrete is built here."""

__version__ = "0.1.0"
