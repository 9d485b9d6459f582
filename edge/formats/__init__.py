"""Bytes to domain types, one file a format, no state.

A format whose files hold whole scans stands in `READERS`; DICOM does not, since a scan is spread over many
of its files: `edge.formats.dicom` knows one file, `edge.studies` puts them together.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

from edge.domain.image import Scan
from edge.formats import nifti

READERS: Mapping[str, Callable[[Path], Scan]] = {"nifti": nifti.read}
"""Name of the format, as in `Instance.format`, to what reads a file of it."""
