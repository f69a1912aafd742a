"""The headers of a dead letter: Kafka Connect's names, so that its tools read them, and one that carries our record.

Called by whoever buries: the guard of the stages and the sink.
"""

from schemas.codec import Codec
from schemas.records import DeadLetter

CONTEXT_HEADER = "nightdesk.dead_letter"


def headers(letter: DeadLetter, codec: Codec) -> tuple[tuple[str, bytes], ...]:
    """Where the record lay and why it could not be done. Without a traceback there is no header for one."""
    fields = {
        "topic": letter.topic,
        "partition": letter.partition,
        "offset": letter.offset,
        "stage": letter.stage,
        "class.name": letter.error,
        "exception.class.name": letter.error,
        "exception.message": letter.message,
    }
    if letter.traceback:
        fields["exception.stacktrace"] = letter.traceback
    connect = ((f"__connect.errors.{name}", str(value).encode()) for name, value in fields.items())
    return (*connect, (CONTEXT_HEADER, codec.encode(letter)))
