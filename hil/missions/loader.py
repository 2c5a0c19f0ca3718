"""Reading and checking mission profiles. Every complaint is one line: file, line, key, remedy."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

from hil.config import Document, check_keys, load_toml, nearest, parse_quantity
from hil.errors import ConfigError
from hil.missions.mission import Mission, ModelClass, Station, Value
from hil.missions.schema import EVIDENCE, SCHEMA, Field

FOLDER = Path(__file__).parent
_NAME = re.compile(r"[a-z][a-z0-9_-]{0,31}")
_ENTRY_KEYS = ("value", "unit", "evidence", "source", "unknown")
_PLAIN = {"text": "text", "flag": "a boolean", "free": "a plain value"}


def known() -> list[str]:
    """Return the names of the profiles that ship with the bench."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def load(name_or_path: str | Path) -> Mission:
    """Return a shipped profile by its name, or any profile by its path (it ends in ``.toml``).

    Raises :class:`~hil.errors.ConfigError` in one line for whatever is wrong with it.
    """
    text = str(name_or_path)
    if text in known():
        return read(load_toml(FOLDER / f"{text}.toml"))
    if text.endswith(".toml"):
        return read(load_toml(text))
    names = known()
    hint = nearest(text, names) or "; or give the path of a .toml file"
    raise ConfigError(f"unknown mission {text[:64]!r}: known are {', '.join(names)}{hint}")


def read(doc: Document) -> Mission:
    """Check a document against the schema and return the mission; also one out of a capture."""
    tops = {group.split(".")[0] for group in SCHEMA}
    check_keys(doc, (), tops)
    values: dict[str, Value] = {}
    for group, fields in SCHEMA.items():
        for path in _tables(doc, group):
            _read_group(doc, path, fields, values)
    if not _NAME.fullmatch(values["mission.id"].value):  # it names run directories
        raise doc.error("mission.id", "must be a-z, 0-9, _ or -, at most 32 characters")
    stations = _stations(doc, values)
    _check_curves(doc, values)
    models = _models(doc, values)
    return Mission(str(doc.path), values, _start(doc, values), stations, models, doc.source)


def _tables(doc: Document, group: str) -> list[tuple[str, ...]]:
    """Return the paths of the tables that a group of the schema covers."""
    parts = tuple(group.split("."))
    if parts[-1] != "*":
        if group not in ("governor", "verdict", "flight") or group in doc.data:
            doc.table(parts)
            return [parts]
        return []
    found = []
    for name in doc.table(parts[:-1]):
        if not _NAME.fullmatch(name):
            raise doc.error(
                (*parts[:-1], name), "a name is a-z, 0-9, _ or -, at most 32 characters"
            )
        doc.table((*parts[:-1], name))
        found.append((*parts[:-1], name))
    if not found:
        raise doc.error(parts[:-1], "must hold at least one table")
    return found


def _read_group(
    doc: Document, path: tuple[str, ...], fields: dict[str, Field] | Any, values: dict[str, Value]
) -> None:
    """Read one table of the file."""
    present = doc.table(path)
    inner = {
        group.split(".")[len(path)] for group in SCHEMA if group.startswith(".".join(path) + ".")
    }
    if "*" not in fields:
        check_keys(doc, path, [*fields, *inner])
    for key in present:
        if key not in inner:
            value = _entry(doc, (*path, key), fields.get(key) or fields["*"])
            values[value.key] = value
    for key, field in fields.items():
        if field.required and key not in present:
            raise doc.error(path, f"key {key!r} is missing")


def _entry(doc: Document, path: tuple[str, ...], field: Field) -> Value:
    """Read one value: a table with its evidence, or (texts, flags, free values) a plain one."""
    key, raw = ".".join(path), doc.find(path)
    if isinstance(raw, dict):
        check_keys(doc, path, _ENTRY_KEYS)
        evidence = doc.choice((*path, "evidence"), EVIDENCE)
        source = doc.text((*path, "source"))
        unknown = doc.find((*path, "unknown"), False)
        if not isinstance(unknown, bool):
            raise doc.error((*path, "unknown"), "must be true or false")
        if unknown and evidence != "assumed":
            raise doc.error((*path, "evidence"), "a value marked unknown is 'assumed'")
        value = _convert(doc, (*path, "value"), field, doc.find((*path, "unit"), None))
        return Value(key, value, field.unit, evidence, source, unknown)
    if field.kind not in _PLAIN:
        raise doc.error(path, "must be a table { value, unit, evidence, source }")
    return Value(key, _plain(doc, path, field, raw), "", "", "", False)


def _convert(doc: Document, path: tuple[str, ...], field: Field, unit: object) -> Any:
    """Return the value of an entry in the unit of its field."""
    raw = doc.find(path)
    if field.kind in _PLAIN:
        return _plain(doc, path, field, raw)
    if field.kind != "curve":
        return _quantity(doc, path, field, raw, unit)
    if not isinstance(raw, list) or not 1 <= len(raw) <= 64:
        raise doc.error(path, "must be an array of 1 to 64 numbers")
    return tuple(_quantity(doc, path, field, item, unit) for item in raw)


def _quantity(
    doc: Document, path: tuple[str, ...], field: Field, raw: object, unit: object
) -> float | int:
    """Return one number, converted and within its limits."""
    if isinstance(raw, bool) or not isinstance(raw, int | float) or not math.isfinite(raw):
        raise doc.error(path, "must be a finite number")
    if abs(raw) >= 1e19 or (raw and abs(raw) < 1e-19):
        raise doc.error(path, f"{raw:g} is out of all reason")
    if unit is None and field.unit != "1":
        raise doc.error(
            path[:-1], f"key 'unit' is missing; a unit such as {field.unit!r} must stand"
        )
    if unit is not None and not isinstance(unit, str):
        raise doc.error((*path[:-1], "unit"), "must be text in quotes")
    try:
        number = parse_quantity(f"{raw!r} {unit or '1'}", field.unit)
    except ConfigError as wrong:
        raise doc.error((*path[:-1], "unit" if unit else "value"), str(wrong)) from None
    if not field.lower <= number <= field.upper:
        limits = f"{field.lower:g} to {field.upper:g} {field.unit}"
        raise doc.error(path, f"{number:g} {field.unit} is outside {limits}")
    if field.kind != "count":
        return number
    if number != int(number):
        raise doc.error(path, f"{number:g} must be a whole number")
    return int(number)


def _plain(doc: Document, path: tuple[str, ...], field: Field, raw: object) -> Any:
    """Return a text, a flag or a free value."""
    if field.kind == "text":
        return doc.text(path)
    if field.kind == "flag":
        if not isinstance(raw, bool):
            raise doc.error(path, "must be true or false")
        return raw
    items = raw if isinstance(raw, list) else [raw]
    if not all(isinstance(item, bool | int | float | str) for item in items):
        raise doc.error(path, "must be a number, a text, a boolean or an array of them")
    return raw


def _start(doc: Document, values: dict[str, Value]) -> datetime:
    """Return the start of the mission as an aware datetime."""
    text = values["time.start_utc"].value
    try:
        instant: datetime | None = datetime.fromisoformat(text)
    except ValueError:
        instant = None
    if instant is None or instant.tzinfo is None or not 1980 <= instant.year <= 2099:
        hint = "must be a UTC time of 1980 to 2099 such as '2023-04-03T20:34:00Z'"
        raise doc.error("time.start_utc", hint)
    if instant.microsecond:
        raise doc.error("time.start_utc", "must be a whole second; the on-board clock counts them")
    return instant.astimezone(UTC)


def _stations(doc: Document, values: dict[str, Value]) -> tuple[Station, ...]:
    """Return the stations in the order of the file."""

    def of(name: str, key: str) -> float:
        return float(values[f"stations.{name}.{key}"].value)

    return tuple(
        Station(
            name, of(name, "latitude"), of(name, "longitude"), of(name, "altitude"),
            of(name, "min_elevation"),
        )
        for name in doc.table("stations")
    )  # fmt: skip


def _models(doc: Document, values: dict[str, Value]) -> dict[str, ModelClass]:
    """Return the model classes by name."""
    classes = {}
    for name in doc.table("payload.model_classes"):
        lead = f"payload.model_classes.{name}"
        time_s, energy_j = values[f"{lead}.time"].value, values[f"{lead}.energy"].value
        classes[name] = ModelClass(name, float(time_s), float(energy_j))
    return classes


def _check_curves(doc: Document, values: dict[str, Value]) -> None:
    """Raise ConfigError where values that belong together do not fit each other."""
    curve = values["power.battery_curve"].value
    if len(curve) < 2 or any(a <= b for a, b in pairwise(curve)):
        raise doc.error("power.battery_curve", "must fall from full to empty, 2 values or more")
    if values["power.brown_out_recovery"].value < values["power.brown_out"].value:
        raise doc.error("power.brown_out_recovery", "must be not below brown_out")
    if values["power.array_pointing"].value not in ("sun", "zenith"):
        raise doc.error("power.array_pointing", "must be 'sun' or 'zenith'")
    onset, clock = values["payload.throttle_onset"].value, values["payload.throttle_clock"].value
    factor = values["payload.throttle_power"].value
    if not len(onset) + 1 == len(clock) == len(factor):
        raise doc.error(
            "payload.throttle_clock",
            "throttle_clock and throttle_power need one value more than throttle_onset: "
            "the full clock comes first",
        )
    if any(a >= b for a, b in pairwise(onset)):
        raise doc.error("payload.throttle_onset", "must rise")
    if any(a < b for a, b in pairwise(clock)):
        raise doc.error("payload.throttle_clock", "must fall from the full clock")
