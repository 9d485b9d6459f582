#!/usr/bin/env bash
# Set up a checkout: Debian packages where they may be installed, beside them a virtual environment from locks.
# usage: tools/setup.sh [--peers] VENV LOCK...     (--peers also installs what only the tests talk to)
set -euo pipefail
peers=
if [ "$1" = --peers ]; then peers=yes; shift; fi
venv=$1
shift
python=${PYTHON:-python3}

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"
  elif sudo -n true 2>/dev/null; then sudo -n "$@"
  else return 1; fi
}

missing=()
need() { command -v "$1" >/dev/null 2>&1 || PATH="$PATH:/usr/sbin:/sbin" command -v "$1" >/dev/null 2>&1 || missing+=("$2"); }
need mosquitto mosquitto
"$python" -c 'import ensurepip' 2>/dev/null || missing+=(python3-venv)
if [ -n "$peers" ]; then
  need storescu dcmtk
  need mosquitto_rr mosquitto-clients
  need systemd-nspawn systemd-container
  need systemd-analyze systemd
  # cameras: GStreamer's RTSP server, run by the system's Python, with the encoders the tests use
  /usr/bin/python3 - 2>/dev/null <<'EOF' || missing+=(gir1.2-gst-rtsp-server-1.0 python3-gi gstreamer1.0-plugins-{base,good,bad,ugly})
import gi
gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import Gst, GstRtspServer
Gst.init(None)
elements = "videotestsrc", "x264enc", "x265enc", "jpegenc", "rtph264pay", "alawenc"
raise SystemExit(not all(map(Gst.ElementFactory.find, elements)))
EOF
fi
install_missing() {
  echo "installing Debian packages: ${missing[*]}"
  if command -v apt-get >/dev/null 2>&1 && as_root true; then
    as_root env DEBIAN_FRONTEND=noninteractive apt-get update -qq || true
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null \
      || echo "could not install ${missing[*]}; going on without" >&2
  else
    echo "may not install Debian packages here; going on without ${missing[*]}" >&2
  fi
}
if [ ${#missing[@]} -gt 0 ]; then install_missing & fi
"$python" -c 'import ensurepip' 2>/dev/null || wait  # python3-venv is on its way

[ -x "$venv/bin/python" ] || "$python" -m venv "$venv"
echo "installing Python packages of $* into $venv"
export PIP_DISABLE_PIP_VERSION_CHECK=1
# A lock names everything, so nothing is looked for beyond it; nilearn has a lock without what it asks for.
"$venv/bin/pip" install -q --no-deps --require-hashes "${@/#/--requirement=}"
"$venv/bin/pip" install -q --no-deps -e .
wait
