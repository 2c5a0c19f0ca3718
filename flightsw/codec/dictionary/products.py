"""Products: what a finished image job sends to ground, in parts of service 13.

A product is header, class map, CRC-32 (zlib's) over both. The class map is coded as
:mod:`flightsw.codec.class_map` says. Products go down as TM[13,1] first, [13,2] next, [13,3] last
part; a product of one part is a single TM[13,3].
"""

from __future__ import annotations

from construct import Bytes, Const, Int8ub, Int16ub, Int32sb, Int32ub, Int64ub, Struct, this

from flightsw.codec.columns.declaration import field

PRODUCT_MAGIC = 0xF5A7
PRODUCT_VERSION = 1

PRODUCT_HEADER = Struct(
    field("magic", Const(PRODUCT_MAGIC, Int16ub), "", "mark of a product"),
    field("version", Int8ub, "", "layout version"),
    field("kind", Int8ub, "", "1: class map"),
    field("job", Int32ub, "", "job id"),
    field("t_ns", Int64ub, "ns", "mission time at start of exposure"),
    field("latitude", Int32sb, "1e-7 deg", "below the camera, from GNSS"),
    field("longitude", Int32sb, "1e-7 deg", "below the camera, from GNSS"),
    field("altitude_m", Int32sb, "m", "height above the ellipsoid"),
    field("position_age_ms", Int32ub, "ms", "age of the position; 0xFFFFFFFF: none"),
    field("exposure_us", Int32ub, "us", "exposure"),
    field("width", Int16ub, "pixel", "columns of the class map"),
    field("height", Int16ub, "pixel", "rows of the class map"),
    field("decimation", Int8ub, "", "image pixels per map pixel along each axis"),
    field("priority", Int8ub, "", "0 sent first"),
    field("tiles", Int16ub, "", "tiles classified"),
    field("sea_permille", Int16ub, "1/1000", "share of sea"),
    field("land_permille", Int16ub, "1/1000", "share of land"),
    field("cloud_permille", Int16ub, "1/1000", "share of cloud"),
    field("model", Bytes(8), "", "first octets of the SHA-256 of the model file"),
    field("body_nbytes", Int32ub, "octet", "length of the compressed class map"),
)
PRODUCT_HEADER_NBYTES = PRODUCT_HEADER.sizeof()
PRODUCT_CRC_NBYTES = 4

#: The whole of a product.
PRODUCT = Struct(
    *PRODUCT_HEADER.subcons,
    field("body", Bytes(this.body_nbytes), "", "compressed class map"),
    field("crc", Int32ub, "", "CRC-32 over all that stands in front"),
)

#: Head of each TM[13,x]: large message transaction id and part number (8.13.2 of the standard).
PART_HEADER = Struct(
    field("job", Int32ub, "", "job id, the transaction"),
    field("part", Int16ub, "", "part number, from 1"),
)
#: Octets of product in a part, so that one part fills one telemetry frame of 256 octets.
PART_NBYTES = 215
#: TM[13] subtypes.
PART_FIRST, PART_NEXT, PART_LAST = 1, 2, 3
