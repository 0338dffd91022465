#!/usr/bin/env python3
"""Turn files into a C table: embed.py OUTPUT NAME=FILE...

Each becomes an array of bytes with its content type and an ETag (its SHA-256); the table is in the order of the
names, for bsearch.
"""

import hashlib
import os
import sys

TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
    ".woff2": "font/woff2",
}
LICENSE_TYPE = "text/plain; charset=utf-8"


def main(output, *pairs):
    lines = ["/* Made by embed.py. */", "", '#include "gateway/asset.h"', ""]
    rows = []
    for number, (name, path) in enumerate(sorted(pair.split("=", 1) for pair in pairs)):
        ending = os.path.splitext(name)[1]
        kind = TYPES.get(ending) or (LICENSE_TYPE if ending in (".LICENSE", "") else None)
        if not kind:
            sys.exit(f"embed.py: {name}: no content type is known for {ending}; TYPES names them")
        with open(path, "rb") as f:
            data = f.read()
        digest = hashlib.sha256(data).hexdigest()[:32]
        lines.append(f"static const unsigned char file_{number}[] = {{")
        data_or_nul = data or b"\0"  # C has no arrays of nothing
        lines.extend(
            ",".join(map(str, data_or_nul[i : i + 1000])) + "," for i in range(0, len(data_or_nul), 1000)
        )
        lines.append("};")
        rows.append(
            f'        {{"{name}", "{kind}", "\\"{digest}\\"", {{(const char *)file_{number}, {len(data)}}}}},'
        )
    lines += ["", "const Asset assets[] = {", *rows, "};", f"const size_t n_assets = {len(rows)};", ""]
    with open(output, "w", encoding="utf-8") as f:
        f.write("\n".join(lines))


if __name__ == "__main__":
    main(*sys.argv[1:])
