"""Write the hashes of a bundle's files into its manifest, and check the whole.

usage: python models/seal.py FOLDER      each `file:` line of manifest.yaml is followed by its `sha256:` line
"""

import hashlib
import re
import sys
from pathlib import Path

from edge.bundles.store import MANIFEST, load

FILE_AND_HASH = re.compile(r"(file: *(\S+)\n +sha256: *)\S*")


def seal(folder: Path) -> str:
    """Rewrite the hashes in place and return the bundle's digest."""

    def with_hash(line: re.Match[str]) -> str:
        return line[1] + hashlib.sha256((folder / line[2]).read_bytes()).hexdigest()

    manifest = folder / MANIFEST
    manifest.write_text(FILE_AND_HASH.sub(with_hash, manifest.read_text()))
    return load(folder).digest


if __name__ == "__main__":
    print(seal(Path(sys.argv[1]).resolve()))
