#!/bin/sh
# Makes .venv with the locked packages, and sees that the system has what they need.
#   environment.sh            what `make demo` and `make run` need
#   environment.sh tests      also what the tests run against: brokers, a database, a browser
#   environment.sh bench      also what the benches compare with
#   environment.sh guest      also what the virtual machine with the USB bus is made with
#   environment.sh board      also what packages are made with, and the containers they are tried in
#   environment.sh image      also what the boards' image is made with, and the emulator that boots it
# As root (or with sudo that asks nothing) it installs missing system packages, and says which and why.
# Without, it says what to install; what only some tests need is left out, and those tests say so.
set -eu
cd "$(dirname "$0")/.."
PYTHON=${PYTHON:-python3}
VENV=${VENV:-.venv}
missing=""

say() { printf '%s\n' "tillwire: $*"; }

need() { # PACKAGE WHY CHECK...: note the package as missing where the check fails
    package=$1 why=$2
    shift 2
    if ! "$@" >/dev/null 2>&1; then
        say "missing: $package ($why)"
        missing="$missing $package"
    fi
}

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi
}

install_missing() { # MUST: yes = nothing goes on without them
    [ -n "$missing" ] || return 0
    if command -v apt-get >/dev/null && { [ "$(id -u)" = 0 ] || sudo -n true 2>/dev/null; }; then
        say "installing:$missing"
        { as_root apt-get -qq update && as_root env DEBIAN_FRONTEND=noninteractive \
            apt-get -qq install -y --no-install-recommends $missing >/dev/null; } || {
            say "apt-get could not install:$missing"
            [ "$1" = no ] || exit 1
        }
    elif [ "$1" = yes ]; then
        say "these need root. Ask for: sudo apt-get install$missing"
        exit 1
    else
        say "going on without them; as root: apt-get install$missing"
    fi
    missing=""
}

library() { ldconfig -p | grep -q "$1"; }
header() { [ -e "$("$PYTHON" -c 'import sysconfig; print(sysconfig.get_path("include"))')/Python.h" ]; }

PATH=$PATH:/usr/sbin:/sbin
need python3 "everything is Python" command -v "$PYTHON"
install_missing yes
"$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
    say "$("$PYTHON" -V) is too old: 3.11 or newer is needed (Debian 12, Raspberry Pi OS Bookworm); or set PYTHON=..."
    exit 1
}
need python3-venv "makes the environment" "$PYTHON" -c 'import venv, ensurepip'
if [ ! -e "$VENV/.ready" ]; then
    need gcc "builds simpleaudio, which plays the alerts" command -v cc
    need python3-dev "builds simpleaudio" header
    need libasound2-dev "builds simpleaudio" [ -e /usr/include/alsa/asoundlib.h ]
    need libc6-dev "builds simpleaudio" [ -e /usr/include/stdlib.h ]
fi
need libusb-1.0-0 "USB printers" library libusb-1.0.so.0
install_missing yes

case "${1:-}" in
tests)
    need mosquitto "a second MQTT broker" command -v mosquitto
    need postgresql "the database of large installations" sh -c 'ls /usr/lib/postgresql/*/bin/postgres'
    need chromium "pages are tested in a real browser" command -v chromium
    need chromium-driver "drives it" command -v chromedriver
    need alsa-utils "the second way to play a sound" command -v aplay
    need libasound2-data "sound without a sound card" [ -e /usr/share/alsa/alsa.conf ]
    need openssl "certificates of the tests, and signed updates" command -v openssl
    need curl "the platform API's guide is run as it is written" command -v curl
    need jq "the same" command -v jq
    need gcc "the rig that records what SQLite writes" command -v cc
    need libc6-dev "the same" [ -e /usr/include/stdlib.h ]
    need iproute2 "lines as bad as mobile ones" command -v ip
    need nftables "loses packets" command -v nft
    ;;
guest)
    need qemu-system-x86 "the virtual machine" command -v qemu-system-x86_64
    need mmdebstrap "makes its disk from Debian packages" command -v mmdebstrap
    need e2fsprogs "makes its file system" command -v mke2fs
    ;;
board | image)
    need mmdebstrap "makes Debian trees to build and to try in" command -v mmdebstrap
    need dpkg-dev "makes packages" command -v dpkg-deb
    need python3-pip "fetches the locked packages for other machines" "$PYTHON" -m pip --version
    need openssl "signs and checks updates" command -v openssl
    need systemd-container "runs a Debian with its own systemd" command -v systemd-nspawn
    if [ "$1" = image ] || [ "${ARCH:-}" = arm64 ]; then
        need qemu-user-static "runs the boards' programs while their tree is made" command -v qemu-aarch64-static
        need binfmt-support "knows them by their header" command -v update-binfmts
    fi
    if [ "$1" = image ]; then
        need genimage "lays file systems into an image, without mounting" command -v genimage
        need zstd "packs the image" command -v zstd
        need mtools "FAT without mounting" command -v mcopy
        need dosfstools "makes the FAT partition" command -v mkfs.vfat
        need e2fsprogs "makes the other partitions" command -v mke2fs
        need qemu-system-arm "boots the image" command -v qemu-system-aarch64
    fi
    ;;
bench)
    need socat "what the relay is measured against" command -v socat
    need ser2net "the same, to a serial line" command -v ser2net
    need p910nd "the same" command -v p910nd
    need gcc "the disk whose syncs are slow" command -v cc
    need libc6-dev "the same" [ -e /usr/include/stdlib.h ]
    need mosquitto "a broker that can be killed apart from the cloud" command -v mosquitto
    ;;
esac
install_missing no

lock=$(cat requirements.lock setup.cfg | sha256sum | cut -d' ' -f1)
if [ "$(cat "$VENV/.ready" 2>/dev/null)" != "$lock" ]; then
    say "making $VENV with the locked packages (a minute or two, once)"
    [ -x "$VENV/bin/python" ] || "$PYTHON" -m venv "$VENV"
    "$VENV/bin/python" -m pip install -qq --disable-pip-version-check --require-hashes -r requirements.lock
    "$VENV/bin/python" -m pip install -qq --disable-pip-version-check --no-deps --no-build-isolation -e .
    printf %s "$lock" >"$VENV/.ready"
fi
