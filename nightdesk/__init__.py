"""The command line, settings, bootstrap and the local stack. It builds the implementations that the
other rooms need.
"""

__version__ = "0.1.0"
