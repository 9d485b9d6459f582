"""How mosquitto is told who may do what: its configuration, `acl_file`, dynamic security, and bridges."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from edge.fleet.access import Access

CONTROL: Final = "$CONTROL/dynamic-security/v1"
DEVICES: Final = """\
# Devices: each is who its certificate says, and has no other client id than that.
"""
PEOPLE: Final = """
# Operators, receivers, theatre systems, bridges. Another authority vouches for them, so that no device comes
# in here and takes the client id, and with it the session, of somebody else.
"""
LISTENER: Final = """\
listener {port}
cafile {folder}/{stem}-ca.crt
certfile {folder}/{stem}.crt
keyfile {folder}/{stem}.key
crlfile {folder}/{stem}-crl.pem
tls_version tlsv1.2
require_certificate true
use_identity_as_username true
"""
FOR_ALL: Final = """
allow_anonymous false
acl_file {folder}/acl

# Findings are as safe as the broker that says it has them: many are kept for a receiver that is away. Not 0,
# which is all: mosquitto 2.0.11 then hangs up on everybody to whom it denies a publish.
persistence true
persistence_location {folder}/
autosave_on_changes true
autosave_interval 1
max_queued_messages 1000000
max_packet_size 1048576
"""
BRIDGE: Final = """\
connection {name}
address {address}
bridge_protocol_version mqttv50
bridge_tls_version tlsv1.2
bridge_cafile {files[0]}
bridge_certfile {files[1]}
bridge_keyfile {files[2]}
remote_clientid {name}
local_clientid {name}
cleansession false
notifications false
bridge_outgoing_retain true
restart_timeout 1 60
"""


def broker_settings(folder: Path, *, port: int) -> str:
    """Return a whole mosquitto.conf: TLS with certificates for everybody, and an access list.

    Args:
        folder: Where its files lie: `devices.crt`, `devices-ca.crt`, `people.crt` …, and `acl`.
        port: For devices; people come in at the next one.
    """
    devices = LISTENER.format(port=port, folder=folder, stem="devices") + "use_username_as_clientid true\n"
    people = LISTENER.format(port=port + 1, folder=folder, stem="people")
    return DEVICES + devices + PEOPLE + people + FOR_ALL.format(folder=folder)


def mosquitto_acl(access: Access) -> str:
    """Return the lines for mosquitto's `acl_file`."""
    both = [topic for topic in access.writes if topic in access.reads]
    lines = [
        *(f"topic readwrite {topic}" for topic in both),
        *(f"topic write {topic}" for topic in access.writes if topic not in both),
        *(f"topic read {topic}" for topic in access.reads if topic not in both),
    ]
    return "\n".join([f"user {access.name}", *lines]) + "\n"


def dynamic_security(access: Access) -> Mapping[str, Any]:
    """Return what makes a client with its role known to mosquitto's dynamic security, sent to `CONTROL`."""
    role = role_of(access.name)
    rules = [
        *(("publishClientSend", topic) for topic in access.writes),
        *((kind, topic) for topic in access.reads for kind in ("publishClientReceive", "subscribePattern")),
        *(("subscribePattern", f"$share/+/{topic}") for topic in access.shares),
    ]
    acls = [{"acltype": kind, "topic": topic, "priority": 0, "allow": True} for kind, topic in rules]
    return {
        "commands": [
            {"command": "createRole", "rolename": role, "acls": acls},
            {
                "command": "createClient",
                "username": access.name,
                "roles": [{"rolename": role, "priority": 0}],
            },
        ]
    }


def dynamic_security_without(name: str) -> Mapping[str, Any]:
    """Return what takes a client and its role away, and ends its connection.

    Not `disableClient`: mosquitto 2.0 lets one with a certificate come back and go on.
    """
    return {
        "commands": [
            {"command": "deleteClient", "username": name},
            {"command": "deleteRole", "rolename": role_of(name)},
        ]
    }


def command_line(file: Path) -> str:
    """Return how a person sends a file of commands for dynamic security, as its administrator.

    Not with `-f`: the `mosquitto_rr` of 2.0.11 sends a file so that the broker cannot read it.
    """
    asked = ["mosquitto_rr", "-V", "5", "-q", "1", "-t", CONTROL, "-e", f"{CONTROL}/response"]
    return f'{shlex.join(asked)} -m "$(cat {shlex.quote(str(file))})"'


def bridge_settings(access: Access, *, address: str, files: Sequence[str]) -> str:
    """Return what makes the mosquitto of a site speak with the centre, as a part of its mosquitto.conf.

    Args:
        access: Of the bridge, at the centre.
        address: `host:port` of the centre.
        files: Who vouches for the centre, our certificate, its key.
    """
    both = tuple(topic for topic in access.reads if topic.endswith("/cmd/#"))
    ways = {
        "out": [topic for topic in access.writes if "/cmd/" not in topic],
        "in": [topic for topic in access.reads if topic not in both],
        "both": both,
    }
    topics = "".join(f"topic {topic} {way} 1\n" for way, filters in ways.items() for topic in filters)
    return BRIDGE.format(name=access.name, address=address, files=files) + topics


def acl_with(text: str, access: Access) -> str:
    """Return an `acl_file` in which a client may do this, whatever it said about it before."""
    others = acl_without(text, access.name).rstrip("\n")
    return (others + "\n\n" if others else "") + mosquitto_acl(access)


def acl_without(text: str, name: str) -> str:
    """Return an `acl_file` that does not name a client."""
    kept, is_about = [], False
    for line in text.splitlines():
        word, _, rest = line.strip().partition(" ")
        is_about = rest.strip() == name if word == "user" else is_about and word != "pattern"
        if not is_about:
            kept.append(line)
    return "".join(f"{line}\n" for line in kept)


def role_of(name: str) -> str:
    """Return what the role of a client is called."""
    return f"edge {name}"
