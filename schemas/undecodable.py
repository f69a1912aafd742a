"""Why bytes are not decoded: what the codec raises, and what a dead letter is called after."""


class Undecodable(ValueError):
    """The bytes are not a record of this topic; the message says why."""


class UnknownSchema(Undecodable):
    """The registry does not know the schema id."""


class UnsafeSchema(Undecodable):
    """The registry knows the schema, but reading with it could cost more than a record may."""
