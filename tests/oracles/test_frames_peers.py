"""TM and USLP frames against spacepackets, header by header.

Two of its defects are kept out of the way: it refuses TM frames of exactly 2,048 octets, and packs
virtual channels beyond 7 into the bits of the spacecraft. Ours does neither.
"""

import random
from typing import Any

import numpy as np
import pytest
from spacepackets.ccsds.tm_frame import (
    MasterChannelId,
    TmFramePrimaryHeader,
    TmTransferFrame,
    TransferFrameDataFieldStatus,
)
from spacepackets.uslp.frame import (
    FixedFrameProperties,
    FrameType,
    TfdzConstructionRules,
    TransferFrame,
    TransferFrameDataField,
    UslpProtocolIdentifier,
    VarFrameProperties,
)
from spacepackets.uslp.header import (
    BypassSequenceControlFlag,
    PrimaryHeader,
    ProtocolCommandFlag,
    SourceOrDestField,
)

from flightsw.codec.coding.crc import crc16
from flightsw.codec.errors import FieldRangeError
from flightsw.codec.link import tm_frame, uslp_frame
from flightsw.codec.link.frames import Frames
from flightsw.codec.link.receiver import FrameReceiver
from flightsw.codec.native import lib

COUNT = 3000
SOAK = 100_000

#: Columns of our table of frames by what they hold.
TM_COLUMNS = {"scid": "scid", "vcid": "vcid", "mc_count": "mc", "count": "vc", "pointer": "pointer"}
USLP_COLUMNS = {
    "scid": "scid",
    "vcid": "vcid",
    "map": "map_id",
    "count": "count",
    "rule": "rule",
    "protocol": "protocol",
}
USLP_FLAGS = {
    lib.FS_FRAME_DESTINATION: "destination",
    lib.FS_FRAME_BYPASS: "bypass",
    lib.FS_FRAME_CONTROL: "control",
    lib.FS_FRAME_HAS_OCF: "ocf",
}

PROTOCOLS = [int(one) for one in UslpProtocolIdentifier]


def random_tm(rnd: random.Random) -> dict[str, Any]:
    """Return the fields of a random TM frame."""
    return {
        "scid": rnd.randrange(1024),
        "vcid": rnd.randrange(8),
        "ocf": rnd.randbytes(4) if rnd.random() < 0.5 else None,
        "mc": rnd.randrange(256),
        "vc": rnd.randrange(256),
        "sync": rnd.random() < 0.5,
        "order": rnd.random() < 0.5,
        "segment": rnd.randrange(4),
        "pointer": rnd.randrange(2048),
        "data": rnd.randbytes(rnd.choice([20, 100, 1103])),
    }


def tm_by_spacepackets(f: dict[str, Any]) -> bytes:
    """Return a TM frame as spacepackets packs it, with its CRC behind."""
    status = TransferFrameDataFieldStatus(False, f["sync"], f["order"], f["segment"], f["pointer"])
    header = TmFramePrimaryHeader(
        MasterChannelId(0, f["scid"]), f["vcid"], f["ocf"] is not None, f["mc"], f["vc"], status
    )
    body = bytes(header.pack()) + f["data"] + (f["ocf"] or b"")
    return body + crc16(body).to_bytes(2, "big")


def check_tm(count: int, seed: int) -> None:
    """Compare what spacepackets packs and unpacks with what our receiver reads."""
    rnd = random.Random(seed)
    by_length: dict[int, list[dict[str, Any]]] = {}
    for _ in range(count):
        fields = random_tm(rnd)
        frame = tm_by_spacepackets(fields)
        by_length.setdefault(len(frame), []).append(fields | {"frame": frame})
    for nbytes, cases in by_length.items():
        receiver = tm_frame.Receiver(Frames("tm", nbytes, ocf=True))
        table = receiver.frames(b"".join(case["frame"] for case in cases), infos=True).frames
        assert table is not None
        for name, field in TM_COLUMNS.items():
            assert table[name].tolist() == [case[field] for case in cases]
        flags = table["flags"] & lib.FS_FRAME_HAS_OCF != 0
        assert flags.tolist() == [case["ocf"] is not None for case in cases]
        want = [int.from_bytes(case["ocf"] or b"", "big") for case in cases]
        assert table["ocf"].tolist() == want
        assert table["data_nbytes"].tolist() == [len(case["data"]) for case in cases]
        assert set(table["data_at"].tolist()) == {6}
        for case in cases[:: max(1, len(cases) // 200)]:
            theirs = TmTransferFrame.unpack(case["frame"], nbytes, has_error_control_field=True)
            assert bytes(theirs.data_field) == case["data"]
            assert bytes(theirs.pack()) == case["frame"]


def random_uslp(rnd: random.Random) -> dict[str, Any]:
    """Return the fields of a random USLP frame."""
    count_nbytes, variable = rnd.randrange(8), rnd.random() < 0.5
    return {
        "scid": rnd.randrange(65536),
        "vcid": rnd.randrange(64),
        "map_id": rnd.randrange(16),
        "rule": rnd.randrange(3, 8) if variable else rnd.randrange(3),
        "protocol": rnd.choice(PROTOCOLS),
        "pointer": None if variable else rnd.randrange(65536),
        "count": rnd.randrange(1 << 8 * count_nbytes),
        "count_nbytes": count_nbytes,
        "destination": rnd.random() < 0.5,
        "bypass": rnd.random() < 0.5,
        "control": rnd.random() < 0.5,
        "insert": rnd.randbytes(5) if not variable and rnd.random() < 0.5 else b"",
        "ocf": rnd.randbytes(4) if rnd.random() < 0.5 else b"",
        "data": rnd.randbytes(rnd.randint(1, 200)),
    }


def uslp_by_spacepackets(f: dict[str, Any]) -> bytes:
    """Return a USLP frame as spacepackets packs it."""
    header = PrimaryHeader(
        scid=f["scid"],
        src_dest=SourceOrDestField(f["destination"]),
        vcid=f["vcid"],
        map_id=f["map_id"],
        frame_len=0,
        bypass_seq_ctrl_flag=BypassSequenceControlFlag(f["bypass"]),
        prot_ctrl_cmd_flag=ProtocolCommandFlag(f["control"]),
        op_ctrl_flag=bool(f["ocf"]),
        vcf_count_len=f["count_nbytes"],
        vcf_count=f["count"],
    )
    field = TransferFrameDataField(
        TfdzConstructionRules(f["rule"]),
        UslpProtocolIdentifier(f["protocol"]),
        f["data"],
        f["pointer"],
    )
    frame = TransferFrame(header, field, f["insert"] or None, f["ocf"] or None, has_fecf=True)
    frame.set_frame_len_in_header()
    return bytes(frame.pack())


def uslp_read_by_spacepackets(f: dict[str, Any], frame: bytes) -> None:
    """Check what spacepackets reads of a frame."""
    if f["pointer"] is None:
        kind, properties = FrameType.VARIABLE, VarFrameProperties(False, True, len(frame), 0)
    else:
        kind = FrameType.FIXED
        properties = FixedFrameProperties(
            len(frame), bool(f["insert"]), True, len(f["insert"]) or None
        )
    theirs = TransferFrame.unpack(frame, kind, properties)
    assert theirs.header.vcf_count == f["count"]
    assert (theirs.tfdf.tfdz_contr_rules, theirs.tfdf.uslp_ident) == (f["rule"], f["protocol"])
    assert bytes(theirs.tfdf.tfdz) == f["data"]


def check_uslp(count: int, seed: int) -> None:
    """Compare our frames with those of spacepackets, and what our receiver reads of them."""
    rnd = random.Random(seed)
    for insert in (0, 5):
        cases = [f for f in (random_uslp(rnd) for _ in range(count)) if len(f["insert"]) == insert]
        air = []
        for i, fields in enumerate(cases):
            frame = uslp_frame.pack(**fields)
            assert frame == uslp_by_spacepackets(fields)
            if i % 20 == 0:
                uslp_read_by_spacepackets(fields, frame)
            air.append(frame)
        receiver = FrameReceiver(
            Frames("uslp", 300, variable=True, insert_nbytes=insert, channels=1024)
        )
        table = receiver.frames(b"".join(air), infos=True).frames
        assert table is not None
        for name, field in USLP_COLUMNS.items():
            assert table[name].tolist() == [case[field] for case in cases]
        for bit, field in USLP_FLAGS.items():
            assert (table["flags"] & bit != 0).tolist() == [bool(case[field]) for case in cases]
        assert table["ocf"].tolist() == [int.from_bytes(case["ocf"], "big") for case in cases]
        begins = np.cumsum([0, *map(len, air[:-1])])
        assert begins.shape == table["data_at"].shape
        for case, at, frame in zip(cases, table["data_at"].tolist(), air, strict=True):
            assert frame[at:].startswith(case["data"])


def test_tm_frames_read_as_spacepackets_packs_them() -> None:
    """Random TM frames of spacepackets: every field comes out, and they unpack to the same."""
    check_tm(COUNT, 1)


def test_uslp_frames_are_those_of_spacepackets() -> None:
    """Random USLP frames are the same octets, and every field of them comes out."""
    check_uslp(COUNT, 1)


@pytest.mark.soak
def test_100000_tm_frames() -> None:
    """The same for 100,000 frames."""
    check_tm(SOAK, 2)


@pytest.mark.soak
def test_100000_uslp_frames() -> None:
    """The same for 100,000 frames."""
    check_uslp(SOAK, 2)


def test_spacepackets_defect_5_longest_tm_frame() -> None:
    """A TM frame of exactly 2,048 octets, which spacepackets 0.32.0 refuses, is legal here."""
    encoder, receiver = (
        tm_frame.Encoder(Frames("tm", 2048, 1, ocf=True)),
        tm_frame.Receiver(Frames("tm", 2048, 1, ocf=True)),
    )
    frame = encoder.idle_frame(bytes(4))
    assert len(frame) == 2048
    receiver.frame(frame)
    assert receiver.counters["idle_frames"] == 1


def test_spacepackets_defect_6_virtual_channel_in_the_bits_of_the_spacecraft() -> None:
    """Channel 9, which spacepackets 0.32.0 packs into the spacecraft's bits, is refused here."""
    status = TransferFrameDataFieldStatus(False, False, False, 3, 0)
    theirs = TmFramePrimaryHeader(MasterChannelId(0, 1), 9, False, 0, 0, status).pack()
    assert theirs[1] >> 4 == 1
    assert theirs[1] >> 1 & 7 != 9
    for frame in (
        lambda: tm_frame.Encoder(Frames("tm", 256, 1, ocf=True)).idle_frame(bytes(4), vcid=9),
        lambda: uslp_frame.pack(1, 64, 0, b"x"),
        lambda: uslp_frame.pack(1, 0, 16, b"x"),
    ):
        with pytest.raises(FieldRangeError):
            frame()
