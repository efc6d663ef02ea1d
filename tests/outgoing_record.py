"""The conversion of a record of a generated feed into an outgoing record."""

from infra.kafka import OutgoingRecord, Record


def to_outgoing(record: Record) -> OutgoingRecord:
    """The record to send: to its own partition, or to that of its key when it says -1; at its own time, if any."""
    partition = record.partition if record.partition >= 0 else None
    return OutgoingRecord(record.topic, record.key, record.value, record.headers, partition, record.timestamp_ms)
