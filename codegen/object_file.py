"""Object files: which symbols compiled code asks of others.

In: the bytes of an object. Out: names. It must not know what the code does.
"""

from __future__ import annotations

import struct

_SECTION = struct.Struct("<IIQQQQIIQQ")  # name, type, flags, address, offset, size, link, info, alignment, entry size
_SYMBOL = struct.Struct("<IBBHQQ")  # name, info, other, section, value, size
_SYMBOL_TABLE = 2


def undefined_symbols(image: bytes) -> list[str]:
    """Return the names that an ELF object uses but does not define; other formats are not looked into."""
    if image[:6] != b"\x7fELF\x02\x01":
        return []
    (table,) = struct.unpack_from("<Q", image, 40)
    size, count = struct.unpack_from("<HH", image, 58)
    sections = [_SECTION.unpack_from(image, table + size * number) for number in range(count)]
    found: list[str] = []
    for _, kind, _, _, offset, length, link, _, _, _ in sections:
        if kind != _SYMBOL_TABLE:
            continue
        names = sections[link][4]
        for name, _, _, section, _, _ in _SYMBOL.iter_unpack(image[offset : offset + length]):
            if section == 0 and name:
                end = image.index(b"\0", names + name)
                found.append(image[names + name : end].decode())
    return found
