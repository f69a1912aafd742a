"""How bytes travel on Kafka: one client configuration, one producer, one way to read a topic to its end, one rule for
the partition of a key, and the envelope of a changelog.
"""
