"""The current end of a partition, for a reader that reads up to there and no further.

librdkafka reports the end after an empty fetch. On a topic with constant writes that never happens, so a reader asks
for the end first and compares offsets.
"""

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from nightdesk.messaging.transient_errors import ask_until_answered


def end_of(consumer: Consumer, place: TopicPartition, within_s: float) -> int:
    """The offset that the next record will have. Raises `KafkaException` if the broker does not answer in time."""
    bounds = ask_until_answered(lambda: consumer.get_watermark_offsets(place, timeout=within_s), within_s)
    if bounds is None or bounds[1] < 0:
        raise KafkaException(KafkaError(KafkaError._TIMED_OUT))
    return bounds[1]
