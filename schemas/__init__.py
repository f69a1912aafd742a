"""What flows: the topic table, the frozen records, their Avro schemas and the codec.

Every other room imports this one; it imports no other room.
"""
