"""Counters of a decoded channel as text: what they mean, which tell of a loss, what to try next."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from flightsw.codec.stream.channel import ON_AIR, Channel

Counters = dict[str, dict[str, int]]
_MANY_APIDS = 40

#: Where something was lost, wrong or skipped. They bear a mark, and ``--strict`` minds them.
TROUBLE = {
    "skipped_bits": "between markers, or before the first",
    "bad_units": "units behind a marker whose frame was bad",
    "bad_bits": "bits of such units",
    "checks_failed": "markers that no other one followed where it should",
    "locks_lost": "times that the markers were lost",
    "slips": "markers up to marker.slip bits early or late: the link lost or gained bits",
    "held_bits": "at the end, less than a unit",
    "held_octets": "at the end, less than a unit",
    "octets_left": "at the end, less than a unit",
    "failed_units": "units with a codeword beyond correction",
    "failed_octets": "octets of their frames",
    "failed_codewords": "codewords beyond correction",
    "fill_codewords": "of those, corrections in the virtual fill",
    "bad_fecf": "frames whose check is wrong",
    "bad_fhec": "frames whose header check is wrong",
    "bad_version": "frames of another kind",
    "bad_length": "frames whose length field contradicts",
    "foreign_frames": "frames of another spacecraft",
    "mc_gaps": "gaps in the master channel",
    "mc_lost_frames": "frames missing in them",
    "vc_gaps": "gaps in virtual channels",
    "vc_lost_frames": "frames missing in them",
    "broken_frames": "frames without a usable data field",
    "no_slot_frames": "frames of more channels than frames.channels",
    "pointer_errors": "frames whose pointer contradicts the packets",
    "bad_packets": "packets of a version or a length that cannot be",
    "oversize_units": "units longer than can be held",
    "packets_lost_pieces": "packets begun whose end was lost",
    "unaligned_octets": "passed over until a packet starts",
    "unaligned": "passed over until a packet starts",
    "lost": "packets missing in them",
    "refused": "octets of frames not taken",
    "pending": "at the end, of a packet that is not complete",
    "skipped_octets": "that belong to no packet",
    "searches": "times that the next packet had to be looked for",
    "bad_frames": "frames that are not what their standard allows",
    "bad_checks": "frames whose check is wrong",
    "aborted_frames": "frames given up by the sender",
    "overlong_frames": "frames longer than packets.max_nbytes",
    "bad_octets": "octets of such frames",
    "not_packets": "frames whose content is no packet",
    "short_frames": "telecommand frames cut off",
    "bad_packet_octets": "of frames, behind the last whole packet",
    "rejected_codeblocks": "link units that ended in a codeblock beyond correction",
    "empty_units": "link units without a codeblock",
    "overlong_units": "link units longer than can be",
    "lost_pieces": "units begun whose last segment did not come",
    "orphans": "segments whose first one did not come",
    "oversize": "segmented units longer than can be held",
    "lost_octets": "of such units",
    "bad_error_control": "packets whose CRC is wrong",
    "no_pus_header": "packets without the PUS header described",
    "gaps": "in sequence counts",
    "jumps": "sequence counts that went back far",
    "bad": "packets whose CRC is wrong",
    "wrong_length": "packets that do not have the layout's length, or end in front of it",
    "undecodable": "packets that the layout could not decode",
}
#: What a name means in one stage only.
_ELSEWHERE = {("frame octets", "lost"): "of packets whose end is missing"}
#: Between the units of an uplink there is fill as a rule.
_NO_TROUBLE = {("cltu", "skipped_octets")}
#: The others: what there was.
PLAIN = {
    "octets": "of the input, or of packets",
    "symbols": "soft symbols taken",
    "bits": "bits decoded from them",
    "steps_checked": "bits encoded again and compared",
    "known_symbols": "symbols compared that are no erasures",
    "wrong_symbols": "of those, overruled by the decoder",
    "air_units": "units, from marker to marker or cut from the file",
    "air_octets": "octets of units",
    "inverted_units": "units with every bit turned over",
    "flywheel_units": "units cut out where a marker is missing",
    "wrong_marker_bits": "wrong bits in accepted markers",
    "marker_bit_errors": "wrong bits in accepted markers",
    "missed_markers": "markers not found where they should be",
    "locks": "times that lock was reached",
    "turns": "changes between upright and inverted",
    "unit_bits": "bits of units",
    "marker_bits": "bits of markers",
    "blocks": "code blocks",
    "codewords": "codewords in them",
    "corrected_octets": "octets corrected",
    "corrected_codewords": "codewords with a correction",
    "parity_octets": "Reed-Solomon parity taken off",
    "corrected_headers": "frame headers corrected by their check",
    "frames": "good frames",
    "back_frames": "frames sent again or late: their count, of 16 bits or more, went back",
    "repeated_frames": "frames that came twice in a row, and gave nothing the second time",
    "restarts_seen": "frame counts that began anew at 0",
    "idle_frames": "frames that carry nothing",
    "replayed_frames": "frames marked as a replay",
    "unpacketised_frames": "frames that say they carry no packets",
    "truncated_frames": "truncated frames (USLP)",
    "control_frames": "frames with protocol control commands (USLP)",
    "ocf_mismatches": "frames whose control field is or is not there, against frames.ocf",
    "packets": "space packets",
    "idle_packets": "packets that carry nothing",
    "encapsulation_packets": "encapsulation packets",
    "units": "what is no packet: bitstream, opaque data, octet streams",
    "given": "octets of frames",
    "overhead": "headers, insert zones, trailers",
    "packet": "octets of packets",
    "unit": "octets of units that are no packets",
    "idle": "octets, or packets, that carry nothing",
    "repeated": "octets that repeated frames carry",
    "packet_octets": "octets of packets",
    "record_octets": "of the records around packets",
    "good_octets": "octets of good frames on the line",
    "idle_octets": "delimiters alone, and what stands before the first",
    "duplicates": "packets with the count of the one before",
    "late": "packets out of order, or sent again",
    "restarts": "sequence counts that began anew at 0",
    "tails": "link units that ended as they should",
    "codeblocks": "codeblocks taken",
    "corrected_bits": "wrong bits corrected in codeblocks",
    "start_errors": "start sequences with one wrong bit",
    "slipped_starts": "start sequences off an octet boundary",
    "inverted_starts": "start sequences inverted",
    "segments": "segments of telecommand frames",
    "rows": "rows of the layout's table",
}


def is_trouble(stage: str, name: str) -> bool:
    """Tell whether a counter that is not 0 means that something was lost, wrong or skipped."""
    return name in TROUBLE and (stage, name) not in _NO_TROUBLE


def trouble(counters: Counters) -> dict[str, int]:
    """Return those counters that are not 0, as ``stage: name``."""
    return {
        f"{stage}: {name}": value
        for stage, values in counters.items()
        for name, value in values.items()
        if value and is_trouble(stage, name)
    }


def summary(counters: Counters) -> str:
    """Return the counters that are not 0: a stage a paragraph, channels and APIDs as tables."""
    tables: dict[str, Counters] = {"vc": {}, "apid": {}}
    lines: list[str] = []
    for stage, values in counters.items():
        kind, _, key = stage.partition(" ")
        if kind in tables and key:
            tables[kind][key] = values
        else:
            lines += _paragraph(stage, values)
    for title, rows in tables.items():
        lines += _table(title, rows)
    return "\n".join(lines)


def _paragraph(stage: str, values: dict[str, int]) -> Iterator[str]:
    there = {name: value for name, value in values.items() if value}
    if there or stage == "input" or stage.startswith("layout "):
        yield stage
    for name, value in (there or dict(list(values.items())[:1])).items():
        if name in there or stage == "input" or stage.startswith("layout "):
            mark = (
                f"  ! {_ELSEWHERE.get((stage, name), TROUBLE[name])}"
                if value and is_trouble(stage, name)
                else ""
            )
            yield f"  {name:<22}{value:>16,}{mark}"


def _table(title: str, rows: Counters) -> Iterator[str]:
    """Yield one line a row, with the columns in which there is anything; trouble is marked."""
    names = [
        name
        for name in next(iter(rows.values()), {})
        if any(values.get(name) for values in rows.values())
    ]
    heads = [name + "!" * is_trouble(title, name) for name in names]
    widths = [max(12, len(head) + 2) for head in heads]
    if names:
        yield f"{title:<8}" + "".join(h.rjust(w) for h, w in zip(heads, widths, strict=True))
    for key, values in rows.items():
        cells = [f"{values[name]:,}" if values[name] else "-" for name in names]
        yield f"{key:<8}" + "".join(c.rjust(w) for c, w in zip(cells, widths, strict=True))


def hints(
    channel: Channel, counters: Counters, reasons: Mapping[str, Mapping[str, int]]
) -> list[str]:
    """Return what to try where a stage gave nothing at all, from the front of the chain on."""
    if not counters["input"]["octets"]:
        return ["the input is empty"]
    why = [
        f"layout {name}: {count:,} undecodable, a packet {reason}"
        for name, each in reasons.items()
        for reason, count in each.items()
    ]
    return [*_front_hints(channel, counters), *_layout_hints(channel, counters), *why]


def _front_hints(channel: Channel, counters: Counters) -> Iterator[str]:
    if channel.input == "cltu":
        if not counters["cltu"]["units"]:
            yield "no link unit was found: look at channel.input, and at channel.randomiser"
        return
    link = counters.get("link", {})
    units, frames = link.get("air_units", 0), link.get("frames", 0)
    if channel.input in ON_AIR and not units + link["bad_units"]:
        assert channel.marker is not None, "what comes off the air has markers"
        yield (
            f"no marker {channel.marker.octets.hex()} was found: look at channel.input (now"
            f" {channel.input!r}), marker.octets, marker.inverted, marker.search_wrong, and whether"
            " a convolutional code is on"
        )
    elif channel.frames and not units:
        yield "the input is shorter than one unit: look at frames.nbytes and reed_solomon"
    elif link.get("failed_units") and link["failed_units"] == units:
        refused = link.get("fill_codewords", 0)
        what = "reed_solomon.fill, or say lenient" if refused else "randomiser, e, basis, fill"
        yield f"no unit passed the Reed-Solomon code: look at {what} and interleave"
    elif channel.frames and not frames:
        yield from _frame_hints(link)
    elif not counters["packets"]["packets"] and not link.get("units"):
        yield from _packet_hints(channel)
    elif 2 * counters.get("file", {}).get("skipped_octets", 0) > counters["input"]["octets"]:
        yield (
            "most of the input is no packet: look at packets.before_nbytes, behind_nbytes, apids"
            " and max_nbytes"
        )


def _frame_hints(link: dict[str, int]) -> Iterator[str]:
    causes = {
        "bad_fecf": "frames.nbytes, frames.fecf, channel.randomiser",
        "bad_fhec": "frames.fhec, channel.randomiser",
        "bad_version": "frames.kind, channel.randomiser",
        "bad_length": "frames.kind, frames.nbytes",
        "foreign_frames": "frames.scid",
    }
    why = max(causes, key=lambda name: link.get(name, 0))
    if link.get(why):
        yield f"no frame was taken, {link[why]:,} are {why}: look at {causes[why]}"


def _packet_hints(channel: Channel) -> Iterator[str]:
    if channel.frames:
        yield "the frames hold no packets: look at frames.insert_nbytes, ocf, fecf and services"
    elif channel.input == "packets":
        yield "no packets were found: look at packets.before_nbytes and behind_nbytes"
    else:
        yield f"no frame of the {channel.input} line holds a packet: look at channel.input"


def _layout_hints(channel: Channel, counters: Counters) -> Iterator[str]:
    packets = counters["packets"]
    count = packets["packets"] - packets["idle_packets"]
    if not count:
        return
    if packets["bad_error_control"] == count:
        yield "no packet passed its error control: look at packets.error_control"
    elif packets["no_pus_header"] == count:
        yield "no packet has the PUS header described: look at packets.pus and no_pus"
    for rule in channel.rules:
        seen = counters[f"layout {rule.name}"]
        if not seen["packets"]:
            wanted = {"apid": rule.apid, "telecommand": rule.telecommand, "vcid": rule.vcid}
            wanted |= {"service": rule.service, "subtype": rule.subtype}
            said = ", ".join(f"{name} {v}" for name, v in wanted.items() if v is not None)
            yield f"no packet is for layout {rule.name} ({said or 'any packet'})"
        elif seen["wrong_length"] == seen["packets"]:
            yield (
                f"no packet has the {rule.layout.nbytes + rule.skip_nbytes} octets that layout"
                f" {rule.name} describes: look at its fields, skip_nbytes, and longer"
            )
        elif seen["undecodable"] and not seen["rows"]:
            yield (
                f"no packet of layout {rule.name} could be decoded: look at its fields,"
                " skip_nbytes, and packets.error_control"
            )


def apid_hints(wanted: Iterable[int], counters: Counters) -> Iterator[str]:
    """Yield which APIDs there are, if packets of one were asked for and there is none."""
    there = sorted({int(stage.split()[1]) for stage in counters if stage.startswith("apid ")})
    missing = sorted(set(wanted) - set(there))
    if missing and there:
        more = f" and {len(there) - _MANY_APIDS:,} more" if len(there) > _MANY_APIDS else ""
        yield (
            f"no packet has APID {', '.join(map(str, missing))}; there are"
            f" {', '.join(map(str, there[:_MANY_APIDS]))}{more}"
        )


def written(sizes: dict[Path, int], what: str) -> Iterator[str]:
    """Yield one line a file: what was written."""
    for path, count in sizes.items():
        yield f"{path}: {count:,} {what}"
