"""AOS transfer frames (CCSDS 732.0-B-4): the receiving side in C behind :class:`Receiver`."""

from __future__ import annotations

from collections.abc import Mapping

from flightsw.codec.frames import FrameReceiver
from flightsw.codec.native import lib


class Receiver(FrameReceiver):
    """Takes AOS frames of one length and gives packets, bitstreams or data fields as they are.

    ``scid`` None takes frames of any spacecraft; numbers beyond 255 use the two bits of the
    signalling field that older issues leave 0. ``insert_nbytes`` is the insert zone, ``fhec`` says
    that headers have their own error control, which is used to correct them, ``ocf`` that frames
    hold a control field. ``services`` names what a virtual channel carries if that is not packets:
    ``bitstream`` (B_PDU) or ``opaque``. Channel 63 is idle.

    Counts have 24 bits, or 28 where frames use the cycle. A jump to 0 is a restart of that channel,
    a step back of less than half the range a frame repeated or late; neither is a loss.
    """

    KIND = lib.FS_FRAME_AOS
    NAME = "AOS"

    def __init__(
        self,
        scid: int | None,
        nbytes: int,
        *,
        insert_nbytes: int = 0,
        fhec: bool = False,
        ocf: bool = False,
        fecf: bool = True,
        channels: int = 8,
        services: Mapping[int, str] | None = None,
        keep_idle: bool = False,
    ) -> None:
        super().__init__(
            scid,
            nbytes,
            channels=channels,
            services=services,
            insert_nbytes=insert_nbytes,
            fhec=fhec,
            ocf=ocf,
            fecf=2 * fecf,
            keep_idle=keep_idle,
        )
