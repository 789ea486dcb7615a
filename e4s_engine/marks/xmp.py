"""XMP packets: a statement written beside the metadata that a picture had, and read again."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from xml.etree import ElementTree

from e4s_engine.marks.statement import Statement

logger = logging.getLogger("e4s_engine")

RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
IPTC = "http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
OURS = "urn:e4s-engine:marks:1.0#"
_META = "adobe:ns:meta/"
_KNOWN = {"rdf": RDF, "Iptc4xmpExt": IPTC, "e4s": OURS, "x": _META}
_EXTENDED = "{http://ns.adobe.com/xmp/note/}HasExtendedXMP"  # names further segments, which are not copied
_REPLACED = (
    *(f"{{{IPTC}}}{name}" for name in ("DigitalSourceType", "AISystemUsed", "AISystemVersionUsed")),
    _EXTENDED,
)
_PREFIX = re.compile(rb'xmlns:([A-Za-z_][\w.-]*)="([^"<&]+)"')
_OPEN = b'<?xpacket begin="\xef\xbb\xbf" id="W5M0MpCehiHzreSzNTczkc9d"?>\n'
_CLOSE = b'\n<?xpacket end="w"?>'
_BEGIN = f'<x:xmpmeta xmlns:x="{_META}"><rdf:RDF xmlns:rdf="{RDF}">'.encode()
_END_RDF, _END = b"</rdf:RDF>", b"</x:xmpmeta>"
_SUBJECT = f'<rdf:Description xmlns:rdf="{RDF}" xmlns:Iptc4xmpExt="{IPTC}" xmlns:e4s="{OURS}" rdf:about="'
_WRITTEN = re.compile(re.escape(_SUBJECT.encode()) + rb".*?</rdf:Description>", re.DOTALL)  # by us, before

Element = ElementTree.Element


def packet(statement: Statement, before: bytes | None = None) -> bytes:
    """Return a packet that states what was done. before: the picture's own, whose other properties stay.

    A damaged packet, or one that declares entities, is left out, with a warning.
    """
    if before is None:
        return b"".join((_OPEN, _BEGIN, _description(statement, ""), _END_RDF, _END, _CLOSE))
    if b"HasExtendedXMP" in before:
        logger.warning("the photo's extended XMP is left out: only the first 64 kB of its metadata are kept")
    return _OPEN + (_spliced(statement, before) or _merged(statement, before)) + _CLOSE


def _spliced(statement: Statement, before: bytes) -> bytes | None:
    """Return the photo's packet with ours in it, its own text as it is; None: it has to be written anew.

    To write it anew takes longer than everything else about a mark.
    """
    start, end = before.find(_BEGIN[:10]), before.rfind(_END)
    own = _WRITTEN.sub(b"", before[start : end + len(_END)])
    at = own.rfind(_END_RDF)
    # Comments and the like might hold these tags; another encoding would not take ours.
    if min(start, end, at) < 0 or b"<!" in own or b"<?" in own or b"<?xml" in before[:start]:
        return None
    root = _parsed(own)
    rdf = None if root is None else root.find(f"{{{RDF}}}RDF")
    last = own[at + len(_END_RDF) :].strip() == _END
    if root is None or rdf is None or len(root) != 1 or not last or any(map(_is_replaced, _names(rdf))):
        return None
    return own[:at] + _description(statement, _about(rdf)) + own[at:]


def _merged(statement: Statement, before: bytes) -> bytes:
    """Return the photo's packet, read and written anew without what ours replaces, with ours in it."""
    root = _root(before)
    rdf = root.find(f"{{{RDF}}}RDF")
    assert rdf is not None
    about = _about(rdf)
    _clear(rdf)
    rdf.append(ElementTree.fromstring(_description(statement, about)))
    return ElementTree.tostring(root, encoding="utf-8")


def _description(statement: Statement, about: str) -> bytes:
    """Return the statement as RDF."""
    named = {
        "Iptc4xmpExt:DigitalSourceType": statement.source_type,
        "Iptc4xmpExt:AISystemUsed": statement.tool,
        "Iptc4xmpExt:AISystemVersionUsed": statement.version,
    }
    text = [f'{_SUBJECT}{_escaped(about)}">']
    text += [_element(name, value) for name, value in named.items()]
    text += [_element(f"e4s:{name}", str(value)) for name, value in statement.facts().items()]
    text += _sequence(
        "Faces",
        [
            {
                "Regions": ", ".join(face.regions),
                "Box": " ".join(map(str, face.box)),
                "Reenacted": str(face.reenacted),
                "Restored": str(face.restored),
            }
            for face in statement.faces
        ],
    )
    text += _sequence(
        "Inputs",
        [
            {
                "Role": picture.role,
                "DigitalSourceType": picture.source_type or "not declared",
                "ContentCredentials": str(picture.signed),
            }
            for picture in statement.inputs
        ],
    )
    return "".join([*text, "</rdf:Description>"]).encode()


def _element(name: str, value: str) -> str:
    return f"<{name}>{_escaped(value)}</{name}>"


def _escaped(text: str) -> str:
    """Return text for an element or an attribute; the library's function loads half of urllib."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;")


def _sequence(name: str, items: list[dict[str, str]]) -> list[str]:
    """Return a list of structures; nothing for an empty one."""
    if not items:
        return []
    structures = ("".join(_element(f"e4s:{part}", value) for part, value in item.items()) for item in items)
    listed = (f'<rdf:li rdf:parseType="Resource">{structure}</rdf:li>' for structure in structures)
    return [f"<e4s:{name}><rdf:Seq>", *listed, f"</rdf:Seq></e4s:{name}>"]


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
            if _is_replaced(name):
                del description.attrib[name]
        for child in list(description):
            if _is_replaced(child.tag):
                description.remove(child)
        if not len(description) and set(description.attrib) <= {f"{{{RDF}}}about"}:
            rdf.remove(description)


def _is_replaced(name: str) -> bool:
    return name in _REPLACED or name.startswith(f"{{{OURS}}}")


def _names(rdf: Element) -> Iterator[str]:
    """Yield the names of all properties."""
    for description in rdf.iterfind(f"{{{RDF}}}Description"):
        yield from description.attrib
        yield from (child.tag for child in description)


def _about(rdf: Element) -> str:
    """Return the subject that the picture's own properties name: one packet describes one."""
    first = rdf.find(f"{{{RDF}}}Description")
    return "" if first is None else first.get(f"{{{RDF}}}about", "")
