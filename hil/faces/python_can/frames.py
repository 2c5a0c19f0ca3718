"""Between :class:`can.Message` and an identifier with its data, as the bench has them."""

from __future__ import annotations

from can import CanOperationError, Message

from hil.buses.can_frame import (
    BRS_FLAG,
    ERROR_FLAG,
    ESI_FLAG,
    EXTENDED_FLAG,
    EXTENDED_MASK,
    FD_FLAG,
    REMOTE_FLAG,
)


def outgoing(message: Message) -> tuple[int, bytes]:
    """Return identifier and data of a message; the data of a remote frame only tells its DLC.

    Raises :class:`can.CanOperationError` for an error frame, which a controller sends by itself.
    """
    can_id = message.arbitration_id
    if message.is_extended_id:
        can_id |= EXTENDED_FLAG
    if message.is_error_frame:
        raise CanOperationError(
            "send: an error frame is no message; plan a fault of the bus to have one"
        )
    if message.is_remote_frame:
        return can_id | REMOTE_FLAG | FD_FLAG * message.is_fd, bytes(message.dlc)
    if message.is_fd:
        can_id |= FD_FLAG | BRS_FLAG * message.bitrate_switch
        can_id |= ESI_FLAG * message.error_state_indicator
    data = bytes(message.data)
    if len(data) != message.dlc:
        data = data[: message.dlc].ljust(message.dlc, b"\0")
    return can_id, data


def incoming(timestamp: float, can_id: int, data: bytes, is_rx: bool, channel: str) -> Message:
    """Return the message of a frame; ``timestamp`` in seconds of the wall."""
    if can_id >> 29 == 0:  # classic, standard identifier: nearly all
        return Message(
            timestamp,
            can_id,
            False,
            False,
            False,
            channel,
            len(data),
            bytearray(data),
            False,
            is_rx,
        )
    fd = bool(can_id & FD_FLAG)
    return Message(
        timestamp,
        can_id & EXTENDED_MASK,
        bool(can_id & EXTENDED_FLAG),
        bool(can_id & REMOTE_FLAG),
        bool(can_id & ERROR_FLAG),
        channel,
        len(data),
        bytearray(data),
        fd,
        is_rx,
        bool(can_id & BRS_FLAG),
        bool(can_id & ESI_FLAG),
    )
