"""Where this device speaks: every topic begins with the root, the site and the device."""

from __future__ import annotations

import re

from edge.domain.errors import ConfigurationError

ROOT = "edge/v1"
ALL_FINDINGS = f"{ROOT}/+/+/finding/#"
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_ROOT = re.compile(r"[^/+#$\s\0]+(/[^/+#\s\0]+)*")


def site_prefix(*, site: str, root: str = ROOT) -> str:
    """Return `root/site`, what the topics of the groups of a site begin with.

    Raises:
        ConfigurationError: One of them cannot be part of a topic.
    """
    return device_prefix(site=site, device="x", root=root).rpartition("/")[0]


def device_prefix(*, site: str, device: str, root: str = ROOT) -> str:
    """Return `root/site/device`, what comes before the `/` of each of this device's topics.

    Raises:
        ConfigurationError: One of them cannot be part of a topic.
    """
    for what, name in (("site", site), ("device", device)):
        if not _ID.fullmatch(name):
            raise ConfigurationError(
                f"{what} {name!r}: wanted 1 to 63 letters, digits, '.', '_' or '-', a letter or digit first"
            )
    if not _ROOT.fullmatch(root):
        raise ConfigurationError(
            f"topic root {root!r}: wanted words between single '/', no '+', '#' or space"
        )
    return f"{root}/{site}/{device}"
