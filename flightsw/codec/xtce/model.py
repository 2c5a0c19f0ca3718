"""What an XTCE document holds (OMG XTCE 1.2, CCSDS 660.0-B-2), as data, and its text.

Only the part of the standard that the common readers share: integers, floats, enumerations,
booleans, strings and octets, of fixed size or of one that another parameter gives; polynomials and
splines; containers that extend each other under comparisons. No arrays, aggregates, or algorithms.

The text depends on nothing but what it is made from: no date, no random name.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterable
from dataclasses import dataclass, field

from flightsw.codec.columns.calibration import Calibration, Polynomial, Spline
from flightsw.codec.columns.declaration import LayoutError
from flightsw.codec.xtce.conditions import Comparison

NAMESPACE = "http://www.omg.org/spec/XTCE/20180204"
SCHEMA = "https://www.omg.org/spec/XTCE/20180204/SpaceSystem.xsd"
#: XML 1.0 has no place for other control characters, not even escaped.
_UNWRITABLE = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_LEAST, _GREATEST = -(1 << 63), (1 << 63) - 1


@dataclass(frozen=True)
class Size:
    """``intercept`` bits, and ``slope`` times the raw value of a parameter if there is one.

    ``most`` is the size in bits that cannot be exceeded.
    """

    intercept: int
    parameter: str = ""
    slope: int = 0
    most: int = 0


@dataclass(frozen=True)
class Number:
    """``form`` is "unsigned", "twosComplement" or "float"; ``swap`` puts the low octet first."""

    form: str
    nbits: int
    swap: bool = False
    calibration: Calibration | None = None


@dataclass(frozen=True)
class Octets:
    """Bits as they are, or text if ``charset`` is given, which ``end`` (hexadecimal) may cut."""

    size: Size
    charset: str = ""
    end: str = ""


@dataclass(frozen=True)
class Type:
    """``kind`` is Integer, Float, Enumerated, Boolean, String or Binary."""

    kind: str
    encoding: Number | Octets
    unit: str = ""
    labels: tuple[tuple[int, str], ...] = ()


@dataclass(frozen=True)
class Parameter:
    """One value of a packet."""

    name: str
    type: Type
    doc: str


@dataclass
class Container:
    """Parameters in wire order, behind those of ``base`` and if all of ``where`` hold."""

    name: str
    doc: str = ""
    base: str = ""
    where: tuple[Comparison, ...] = ()
    entries: list[str] = field(default_factory=list)
    abstract: bool = False


@dataclass
class System:
    """One SpaceSystem. ``names`` gives the parameters of each (layout, field)."""

    name: str
    doc: str = ""
    parameters: dict[str, Parameter] = field(default_factory=dict)
    containers: dict[str, Container] = field(default_factory=dict)
    names: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    _alike: dict[tuple[str, str, str], list[str]] = field(default_factory=dict, repr=False)

    def parameter(self, layout: str, of: str, name: str, kind: Type, doc: str = "") -> str:
        """Return the name of the parameter of a field; the same one for the same field and type."""
        alike = self._alike.setdefault((layout, of, name), [])
        for each in alike:
            if self.parameters[each].type == kind:
                return each
        made = _free(legal(name), self.parameters)
        self.parameters[made] = Parameter(made, kind, doc)
        alike.append(made)
        self.names.setdefault((layout, of), []).append(made)
        return made

    def container(
        self, name: str, doc: str = "", base: str = "", where: Iterable[Comparison] = ()
    ) -> Container:
        """Add a container and return it."""
        made = _free(legal(name), self.containers)
        self.containers[made] = Container(made, doc, base, tuple(where))
        return self.containers[made]

    def text(self) -> str:
        """Return the document. LayoutError names what cannot be written."""
        root = ET.Element(
            "SpaceSystem",
            {
                "name": legal(self.name),
                "xmlns": NAMESPACE,
                "xmlns:xsi": "http://www.w3.org/2001/XMLSchema-instance",
                "xsi:schemaLocation": f"{NAMESPACE} {SCHEMA}",
            }
            | _described(self.doc),
        )
        ET.SubElement(root, "Header", validationStatus="Working", version="1.0")
        telemetry = ET.SubElement(root, "TelemetryMetaData")
        types = ET.SubElement(telemetry, "ParameterTypeSet")
        parameters = ET.SubElement(telemetry, "ParameterSet")
        for each in self.parameters.values():
            _write_type(types, each)
            ET.SubElement(
                parameters,
                "Parameter",
                {"name": each.name, "parameterTypeRef": f"{each.name}_Type"} | _described(each.doc),
            )
        containers = ET.SubElement(telemetry, "ContainerSet")
        for container in self.containers.values():
            _write_container(containers, container)
        ET.indent(root)
        text = ET.tostring(root, encoding="unicode")
        if found := _UNWRITABLE.search(text):
            near = text[max(0, found.start() - 40) : found.start()]
            raise LayoutError(f"XTCE: {found[0]!r} behind {near!r} cannot be written in XML")
        return f'<?xml version="1.0" encoding="UTF-8"?>\n{text}\n'


def legal(name: str) -> str:
    """Return a name with only letters, digits and underscores: ``a[0].b`` is ``a_0_b``."""
    return re.sub(r"[\W_]+", "_", name).strip("_") or "unnamed"


def _free(name: str, taken: Iterable[str]) -> str:
    made, number = name, 1
    while made in taken:
        number += 1
        made = f"{name}_{number}"
    return made


def _described(doc: str) -> dict[str, str]:
    return {"shortDescription": doc} if doc else {}


def _write_type(parent: ET.Element, parameter: Parameter) -> None:
    kind = parameter.type
    made = ET.SubElement(parent, f"{kind.kind}ParameterType", name=f"{parameter.name}_Type")
    encoding = kind.encoding
    if isinstance(encoding, Number):
        if kind.kind == "Integer":
            made.set("signed", "true" if encoding.form == "twosComplement" else "false")
            made.set("sizeInBits", "32" if encoding.nbits <= 32 else "64")
        elif kind.kind == "Float":
            single = encoding.form == "float" and encoding.nbits <= 32
            made.set("sizeInBits", "32" if single and not encoding.calibration else "64")
    if kind.unit:
        ET.SubElement(ET.SubElement(made, "UnitSet"), "Unit").text = kind.unit
    if isinstance(encoding, Number):
        _write_number(made, parameter.name, encoding)
    else:
        _write_octets(made, encoding)
    if kind.labels:
        labels = ET.SubElement(made, "EnumerationList")
        for number, label in kind.labels:
            if not _LEAST <= number <= _GREATEST:
                raise LayoutError(f"{parameter.name}: XTCE has no label for {number}")
            ET.SubElement(labels, "Enumeration", value=str(number), label=label)


def _write_number(parent: ET.Element, name: str, number: Number) -> None:
    if number.form == "float":
        form = "IEEE754_1985" if number.nbits > 16 else "IEEE754"
        made = ET.SubElement(parent, "FloatDataEncoding", encoding=form)
    else:
        made = ET.SubElement(parent, "IntegerDataEncoding", encoding=number.form)
    made.set("sizeInBits", str(number.nbits))
    made.set("byteOrder", f"{'least' if number.swap else 'most'}SignificantByteFirst")
    calibration = number.calibration
    if calibration is None:
        return
    inside = ET.SubElement(made, "DefaultCalibrator")
    if isinstance(calibration, Polynomial):
        curve = ET.SubElement(inside, "PolynomialCalibrator")
        for exponent, coefficient in enumerate(calibration.coefficients):
            ET.SubElement(
                curve, "Term", coefficient=repr(float(coefficient)), exponent=str(exponent)
            )
    elif isinstance(calibration, Spline):
        more = "true" if calibration.extrapolate else "false"
        curve = ET.SubElement(inside, "SplineCalibrator", order="1", extrapolate=more)
        for raw, value in calibration.points:
            point = {"raw": repr(float(raw)), "calibrated": repr(float(value))}
            ET.SubElement(curve, "SplinePoint", point)
    else:
        raise LayoutError(
            f"{name}: a {type(calibration).__name__} is none of the calibrations that XTCE readers"
            " share; make it a Polynomial or a Spline"
        )


def _write_octets(parent: ET.Element, octets: Octets) -> None:
    size = octets.size
    if not octets.charset:
        made = ET.SubElement(ET.SubElement(parent, "BinaryDataEncoding"), "SizeInBits")
        if not size.parameter:
            ET.SubElement(made, "FixedValue").text = str(size.intercept)
            return
    else:
        text = ET.SubElement(parent, "StringDataEncoding", encoding=octets.charset)
        if size.parameter:
            made = ET.SubElement(text, "Variable", maxSizeInBits=str(max(8, size.most)))
        else:
            made = ET.SubElement(text, "SizeInBits")
            fixed = ET.SubElement(ET.SubElement(made, "Fixed"), "FixedValue")
            fixed.text = str(size.intercept)
    if size.parameter:
        dynamic = ET.SubElement(made, "DynamicValue")
        ET.SubElement(
            dynamic,
            "ParameterInstanceRef",
            parameterRef=size.parameter,
            useCalibratedValue="false",
        )
        line = {"slope": str(size.slope), "intercept": str(size.intercept)}
        ET.SubElement(dynamic, "LinearAdjustment", line)
    if octets.end:
        ET.SubElement(made, "TerminationChar").text = octets.end


def _write_container(parent: ET.Element, container: Container) -> None:
    made = ET.SubElement(
        parent,
        "SequenceContainer",
        {"name": container.name, "abstract": "true" if container.abstract else "false"}
        | _described(container.doc),
    )
    entries = ET.SubElement(made, "EntryList")
    for name in container.entries:
        ET.SubElement(entries, "ParameterRefEntry", parameterRef=name)
    if not container.base:
        return
    base = ET.SubElement(made, "BaseContainer", containerRef=container.base)
    if not container.where:
        return
    criteria = ET.SubElement(base, "RestrictionCriteria")
    if len(container.where) > 1:
        criteria = ET.SubElement(criteria, "ComparisonList")
    for each in container.where:
        ET.SubElement(
            criteria,
            "Comparison",
            parameterRef=each.name,
            comparisonOperator=each.sign,
            value=str(each.value),
            useCalibratedValue="false",
        )
