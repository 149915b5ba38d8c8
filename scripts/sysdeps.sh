#!/usr/bin/env bash
# The system packages that a Debian or Ubuntu machine without a screen lacks: a virtual
# X server, OpenGL in software, and what Qt loads at run time. Installs them as root,
# names them otherwise, and does nothing where they are present.
set -euo pipefail

python=${1:-python3}
packages=(
  xvfb xauth libgl1 libegl1 libglib2.0-0 libdbus-1-3 libfontconfig1 libxkbcommon-x11-0
  libxcb-cursor0 libxcb-icccm4 libxcb-keysyms1 libxcb-shape0
)

need_python() {
  echo "error: $python is missing or older than 3.11; install Python 3.11 or newer," \
    "or name one: make PYTHON=python3.12 …" >&2
  exit 1
}

if command -v dpkg-query >/dev/null && command -v apt-get >/dev/null; then
  # a system Python comes without the module that makes virtual environments
  "$python" -c 'import ensurepip' 2>/dev/null || packages+=(python3-venv)
  missing=()
  for package in "${packages[@]}"; do
    # newer releases append t64 to some names
    dpkg-query -W -f '${Status}\n' "$package" "${package}t64" 2>/dev/null |
      grep -q 'ok installed' || missing+=("$package")
  done
  if ((${#missing[@]})); then
    install="apt-get install -y --no-install-recommends ${missing[*]}"
    if ((EUID == 0)); then
      echo "Installing system packages: ${missing[*]}"
      apt-get update -qq
      DEBIAN_FRONTEND=noninteractive $install -qq >/dev/null
    else
      echo "These system packages are missing; install them with: sudo $install" >&2
    fi
  fi
fi

"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || need_python
