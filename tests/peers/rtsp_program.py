"""GStreamer's RTSP server as a program of its own, run by the system's Python, which has its bindings.

usage: /usr/bin/python3 tests/peers/rtsp_program.py PORT PATH=LAUNCH … [--user USER:PASSWORD[:digest]]
"""

import sys

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtsp, GstRtspServer  # noqa: E402  # after the versions were chosen


def main() -> None:
    """Serve until it is killed."""
    Gst.init(None)
    port, *mounts = [argument for argument in sys.argv[1:] if not argument.startswith("--user=")]
    logins = [argument.removeprefix("--user=") for argument in sys.argv if argument.startswith("--user=")]
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(port)
    for mount in mounts:
        path, _, launch = mount.partition("=")
        factory = GstRtspServer.RTSPMediaFactory()
        factory.set_launch(launch)
        factory.set_shared(True)
        if logins:
            permissions = GstRtspServer.RTSPPermissions()
            permissions.add_permission_for_role("user", "media.factory.access", True)
            permissions.add_permission_for_role("user", "media.factory.construct", True)
            factory.set_permissions(permissions)
        server.get_mount_points().add_factory(path, factory)
    for login in logins:
        name, password, *kind = login.split(":")
        server.set_auth(_doorkeeper(name, password, is_digest=kind == ["digest"]))
    assert server.attach(None), f"cannot listen on {port}"
    print("listening", flush=True)
    GLib.MainLoop().run()


def _doorkeeper(name: str, password: str, *, is_digest: bool) -> object:
    auth = GstRtspServer.RTSPAuth()
    token = GstRtspServer.RTSPToken()
    token.set_string("media.factory.role", "user")
    if is_digest:
        auth.set_supported_methods(GstRtsp.RTSPAuthMethod.DIGEST)
        auth.add_digest(name, password, token)
    else:
        auth.add_basic(GstRtspServer.RTSPAuth.make_basic(name, password), token)
    return auth


main()
