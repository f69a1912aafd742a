"""Sends messages to people: one channel for each way to reach them, behind `channel.Channel`.

`registry.build` builds the channels of the settings' routes. The notify stage sends through them.
"""
