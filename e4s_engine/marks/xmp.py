"""XMP packets: a statement written beside the metadata that a picture had, and read again."""

from __future__ import annotations

import logging
import re
from xml.etree import ElementTree

from e4s_engine.marks.statement import Statement

logger = logging.getLogger("e4s_engine")

RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
IPTC = "http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
OURS = "urn:e4s-engine:marks:1.0#"
_META = "adobe:ns:meta/"
_KNOWN = {"rdf": RDF, "Iptc4xmpExt": IPTC, "e4s": OURS, "x": _META}
_REPLACED = tuple(
    f"{{{IPTC}}}{name}" for name in ("DigitalSourceType", "AISystemUsed", "AISystemVersionUsed")
)
_PREFIX = re.compile(rb'xmlns:([A-Za-z_][\w.-]*)="([^"<&]+)"')
_OPEN = b'<?xpacket begin="\xef\xbb\xbf" id="W5M0MpCehiHzreSzNTczkc9d"?>\n'
_CLOSE = b'\n<?xpacket end="w"?>'

Element = ElementTree.Element


def packet(statement: Statement, before: bytes | None = None) -> bytes:
    """Return a packet that states what was done. before: the picture's own, whose other properties stay.

    A damaged packet, or one that declares entities, is left out, with a warning.
    """
    root = _root(before)
    rdf = root.find(f"{{{RDF}}}RDF")
    assert rdf is not None
    _clear(rdf)
    mine = ElementTree.SubElement(rdf, f"{{{RDF}}}Description", {f"{{{RDF}}}about": _about(rdf)})
    _text(mine, IPTC, "DigitalSourceType", statement.source_type)
    _text(mine, IPTC, "AISystemUsed", statement.tool)
    _text(mine, IPTC, "AISystemVersionUsed", statement.version)
    for name, value in statement.facts().items():
        _text(mine, OURS, name, str(value))
    if statement.faces:
        sequence = _sequence(mine, "Faces")
        for face in statement.faces:
            item = _item(sequence)
            _text(item, OURS, "Regions", ", ".join(face.regions))
            _text(item, OURS, "Box", " ".join(map(str, face.box)))
            _text(item, OURS, "Reenacted", str(face.reenacted))
            _text(item, OURS, "Restored", str(face.restored))
    if statement.inputs:
        sequence = _sequence(mine, "Inputs")
        for picture in statement.inputs:
            item = _item(sequence)
            _text(item, OURS, "Role", picture.role)
            _text(item, OURS, "DigitalSourceType", picture.source_type or "not declared")
            _text(item, OURS, "ContentCredentials", str(picture.signed))
    return _OPEN + ElementTree.tostring(root, encoding="utf-8") + _CLOSE


def read(data: bytes) -> dict[str, str]:
    """Return the properties of IPTC and of ours in a packet, by prefixed name; {} for a damaged one.

    Lists of structures are one string: "Regions=eyes; Box=1 2 3 4 | Regions=...".
    """
    root = _parsed(data)
    found: dict[str, str] = {}
    for description in () if root is None else root.iter(f"{{{RDF}}}Description"):
        for name, value in description.attrib.items():
            _note(found, name, value)
        for child in description:
            _note(found, child.tag, _told(child))
    return found


def damaged(data: bytes) -> bool:
    """Return whether a packet cannot be parsed."""
    return _parsed(data) is None


def source_type(data: bytes) -> str:
    """Return the IPTC digital source type that a packet declares, or ""."""
    return read(data).get("Iptc4xmpExt:DigitalSourceType", "")


def _note(found: dict[str, str], name: str, value: str) -> None:
    for prefix, space in (("Iptc4xmpExt", IPTC), ("e4s", OURS)):
        if name.startswith(f"{{{space}}}"):
            # Some programs write the property's first form, with another capital.
            found[f"{prefix}:{name.partition('}')[2]}".replace(":digitalSource", ":DigitalSource")] = value


def _told(element: Element) -> str:
    items = element.findall(f".//{{{RDF}}}li")
    if items:
        return " | ".join(_told(item) for item in items)
    parts = [f"{part.tag.partition('}')[2]}={(part.text or '').strip()}" for part in element]
    resource = element.get(f"{{{RDF}}}resource", "")
    return "; ".join(parts) if parts else (element.text or "").strip() or resource


def _parsed(data: bytes) -> Element | None:
    """Parse a packet; None for damaged ones. Entities, which XMP does not have, are not expanded."""
    start, end = data.find(b"<"), data.rfind(b">")
    if start < 0 or b"<!DOCTYPE" in data or b"<!ENTITY" in data:
        return None
    try:
        return ElementTree.fromstring(data[start : end + 1])
    except (ElementTree.ParseError, ValueError, LookupError):
        return None


def _root(before: bytes | None) -> Element:
    if before is not None:
        for prefix, space in _PREFIX.findall(before):
            if not re.fullmatch(rb"ns\d+|xml.*", prefix):  # reserved by ElementTree
                ElementTree.register_namespace(prefix.decode(), space.decode("utf-8", "replace"))
    for name, space in _KNOWN.items():
        ElementTree.register_namespace(name, space)
    root = None if before is None else _parsed(before)
    if root is not None and root.tag == f"{{{RDF}}}RDF":
        root, inner = Element(f"{{{_META}}}xmpmeta"), root
        root.append(inner)
    if root is None or root.find(f"{{{RDF}}}RDF") is None:
        if before is not None:
            logger.warning("the photo's XMP is damaged and left out")
        root = Element(f"{{{_META}}}xmpmeta")
        ElementTree.SubElement(root, f"{{{RDF}}}RDF")
    return root


def _clear(rdf: Element) -> None:
    """Remove properties that are about to be written; a mark of the input's is listed among the inputs."""
    for description in rdf.findall(f"{{{RDF}}}Description"):
        for name in list(description.attrib):
            if name in _REPLACED or name.startswith(f"{{{OURS}}}"):
                del description.attrib[name]
        for child in list(description):
            if child.tag in _REPLACED or child.tag.startswith(f"{{{OURS}}}"):
                description.remove(child)


def _about(rdf: Element) -> str:
    """Return the subject that the picture's own properties name: one packet describes one."""
    first = rdf.find(f"{{{RDF}}}Description")
    return "" if first is None else first.get(f"{{{RDF}}}about", "")


def _text(parent: Element, space: str, name: str, value: str) -> None:
    ElementTree.SubElement(parent, f"{{{space}}}{name}").text = value


def _sequence(parent: Element, name: str) -> Element:
    return ElementTree.SubElement(ElementTree.SubElement(parent, f"{{{OURS}}}{name}"), f"{{{RDF}}}Seq")


def _item(sequence: Element) -> Element:
    return ElementTree.SubElement(sequence, f"{{{RDF}}}li", {f"{{{RDF}}}parseType": "Resource"})
