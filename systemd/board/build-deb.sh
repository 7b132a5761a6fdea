#!/bin/sh
# A Debian package of the box: systemd/board/build-deb.sh SUITE [ARCH]     for example: bookworm arm64
#   SUITE  bookworm (Debian 12, Raspberry Pi OS Bookworm) or trixie (Debian 13)
#   ARCH   amd64 or arm64; without it, this machine's. Another one runs through qemu-user.
# The package holds one release, which its switch unpacks as /opt/tillwire/releases/VERSION beside the one that runs: a
# Python environment of the locked packages, checked by their hashes, for that Debian's own Python. Nothing is fetched
# when it is installed. out/board keeps what is slow.
# It is made of what is committed (COMMIT, else HEAD), never of what only lies in the folder.
# Needs root, and: mmdebstrap, dpkg-dev, python3-pip, and for another ARCH qemu-user-static and binfmt-support.
set -eu
cd "$(dirname "$0")/../.."
here=$PWD/systemd/board
suite=${1:?usage: $0 SUITE [ARCH]} arch=${2:-$(dpkg --print-architecture)}
out=$PWD/out/board
version=${VERSION:-$(sed -n 's/^version = //p' setup.cfg)}
case $suite in
bookworm) python=3.11 next=3.12 mark=deb12 sound=libasound2 ;;
trixie) python=3.13 next=3.14 mark=deb13 sound=libasound2t64 ;;
*) echo "$suite: bookworm or trixie" >&2 && exit 2 ;;
esac
case $arch in
amd64) machine=x86_64 ;;
arm64) machine=aarch64 ;;
*) echo "$arch: amd64 or arm64" >&2 && exit 2 ;;
esac
commit=$(git rev-parse "${COMMIT:-HEAD}")
release=/opt/tillwire/releases/$version
package=$out/tillwire_$version+${mark}_$arch.deb
say() { printf 'tillwire: %s\n' "$*" >&2; }

if [ "$arch" != "$(dpkg --print-architecture)" ]; then
    [ -e /proc/sys/fs/binfmt_misc/register ] || mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc
    [ -e /proc/sys/fs/binfmt_misc/qemu-$machine ] || update-binfmts --enable "qemu-$machine"
fi
mkdir -p "$out"
work=$(mktemp -d "$out/work.XXXXXX")
trap 'rm -rf "$work"' EXIT

base=$out/build-$suite-$arch.tar
if [ ! -e "$base" ]; then
    say "a $suite $arch tree to build in: some minutes, kept as $base"
    # Unpacked only: nothing in it has to be set up to compile, which takes an hour where it is emulated.
    mmdebstrap --quiet --format=tar --variant=extract --architectures="$arch" --aptopt='APT::Install-Recommends "false"' \
        --include=python3,python3-dev,gcc,libc6-dev,libasound2-dev,dash,coreutils,findutils,grep,sed "$suite" "$base.new"
    mv "$base.new" "$base"
fi

# What has no wheel of its own is compiled in the tree; its archive is checked by its hash like all others.
wheels=$out/wheels-$suite-$arch
if ! cmp -s "$here/requirements.lock" "$wheels/.lock"; then
    say "the locked packages, for Python $python on $machine"
    rm -rf "$wheels"
    mkdir -p "$wheels"
    locked() { awk -v keep="$1" '/^[a-z0-9]/ { on = (($0 ~ /^simpleaudio==/) == keep) } on' "$here/requirements.lock"; }
    locked 0 >"$work/wheels.txt"
    locked 1 >"$work/compiled.txt"
    platforms=$(for glibc in 2_17 2_24 2_26 2_27 2_28 2_31 2_34; do printf ' --platform manylinux_%s_%s' $glibc $machine; done)
    # shellcheck disable=SC2086 # a list of options
    python3 -m pip --quiet download --require-hashes --no-deps --only-binary=:all: --dest "$wheels" \
        --python-version "$python" --implementation cp --platform "manylinux2014_$machine" $platforms \
        -r "$work/wheels.txt"
    python3 -m pip --quiet download --require-hashes --no-deps --no-binary=:all: --dest "$wheels" -r "$work/compiled.txt"
    cp "$here/requirements.lock" "$wheels/.lock"
fi

say "release $version in a $suite $arch tree"
tree=$work/tree
mkdir "$tree"
tar -C "$tree" -xf "$base"
mkdir -p "$tree/wheels" "$tree/source" "$tree$release"
cp "$wheels"/* "$tree/wheels/"
git archive "$commit" agent config drivers receipt relay wire setup.cfg pyproject.toml README.md LICENSE |
    tar -C "$tree/source" -xf -
sed -i "s/^version = .*/version = $version/; /^ *cloud/d; /tillwire-cloud/d" "$tree/source/setup.cfg"
cat >"$tree/build.sh" <<BUILD
set -eu
pip() { PYTHONPATH="\$(echo /wheels/pip-*.whl)" /build/bin/python -m pip --quiet --no-cache-dir "\$@"; }
python3 -m venv --without-pip /build
pip install --no-index --find-links /wheels setuptools
pip wheel --no-index --no-deps --no-build-isolation --wheel-dir /wheels /wheels/simpleaudio-*.tar.gz
rm /wheels/simpleaudio-*.tar.gz
pip wheel --no-index --no-deps --no-build-isolation --wheel-dir /wheels /source
python3 -m venv --without-pip $release
PYTHONPATH="\$(echo /wheels/pip-*.whl)" $release/bin/python -m pip --quiet --no-cache-dir install --no-index --no-deps \
    --no-compile \$(ls /wheels/*.whl | grep -v '/pip-')
find $release/bin -mindepth 1 ! -name 'tillwire*' ! -name 'python*' -delete
rm -rf $release/bin/python-* $release/include $release/share
$release/bin/python -m compileall -q -j 2 --invalidation-mode unchecked-hash $release/lib
BUILD
env -i HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin chroot "$tree" /bin/sh /build.sh

say "package"
# Only a change of what the relay is made of makes an update stop the till's line for its third of a second.
(cd "$tree$release"/lib/python*/site-packages && find relay drivers config receipt serial usb -name '*.py' -o -name '*.sql' -o -name '*.toml' |
    LC_ALL=C sort | xargs sha256sum && echo "$python") | sha256sum | cut -d' ' -f1 >"$tree$release/relay.sha256"
echo "$version" >"$tree$release/VERSION"
echo "$mark $arch" >"$tree$release/FOR"
: "${SOURCE_DATE_EPOCH:=$(git log -1 --format=%ct "$commit")}"
export SOURCE_DATE_EPOCH
root=$work/root
mkdir -p "$root/DEBIAN" "$root/usr/bin" "$root/usr/lib/tillwire" "$root/usr/share/tillwire" "$root/usr/share/doc/tillwire" \
    "$root/lib/systemd/system" "$root/lib/udev/rules.d" "$root/usr/lib/sysusers.d" "$root/usr/lib/tmpfiles.d"
release_tar=$out/tillwire_$version+${mark}_$arch.tar.gz # also what an update carries
tar -C "$tree$release" --sort=name --mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 --numeric-owner -cf - . |
    gzip -9n >"$release_tar"
cp "$release_tar" "$root/usr/lib/tillwire/release.tar.gz"
cp "$here/switch" "$root/usr/lib/tillwire/switch"
ln -s /usr/lib/tillwire/switch "$root/usr/bin/tillwire-switch"
ln -s /opt/tillwire/current/bin/tillwire "$root/usr/bin/tillwire"
cp config/agent.toml "$root/usr/share/tillwire/agent.toml"
if [ -n "${UPDATE_KEY:-}" ]; then # the public half; without it, this box takes updates by apt alone
    openssl pkey -pubin -in "$UPDATE_KEY" -pubout -out "$root/usr/share/tillwire/update.pub"
fi
cp LICENSE "$root/usr/share/doc/tillwire/copyright"
for file in systemd/tillwire-relay.service systemd/tillwire-agent.service systemd/tillwire-gadget.service \
    systemd/tillwire-trial.service systemd/tillwire-trial-watch.service \
    systemd/tillwire-update.service systemd/tillwire-update.path; do
    [ ! -e "$file" ] || cp "$file" "$root/lib/systemd/system/"
done
for file in systemd/*.rules; do [ ! -e "$file" ] || cp "$file" "$root/lib/udev/rules.d/"; done
grep -v tillwire-cloud systemd/tillwire.sysusers >"$root/usr/lib/sysusers.d/tillwire.conf"
cp systemd/tillwire.tmpfiles "$root/usr/lib/tmpfiles.d/tillwire.conf"
for script in postinst prerm postrm; do install -m 0755 "$here/deb/$script" "$root/DEBIAN/$script"; done
cat >"$root/DEBIAN/control" <<CONTROL
Package: tillwire
Version: $version+$mark
Architecture: $arch
Maintainer: Tillwire <tillwire@localhost>
Installed-Size: $(du -sk "$root" "$tree$release" | awk '{ n += $1 } END { print n }')
Depends: python3 (>= $python), python3 (<< $next), $sound, libusb-1.0-0, systemd, openssl
Recommends: alsa-utils, fonts-dejavu-core, fonts-noto-core, fonts-noto-cjk
Section: net
Priority: optional
Description: the box between a shop's till and its receipt printer
 Passes print data on unchanged, captures each receipt, keeps it until the cloud has acknowledged it, and prints
 orders on the same printer. Run "tillwire setup" after installing.
CONTROL
(cd "$root" && find . -type f ! -path './DEBIAN/*' -printf '%P\0' | LC_ALL=C sort -z | xargs -0 md5sum >DEBIAN/md5sums)
find "$root" -exec touch -hd "@$SOURCE_DATE_EPOCH" {} +
dpkg-deb --root-owner-group -Znone --build "$root" "$package" >/dev/null
(cd "$out" && sha256sum "$(basename "$package")" >"$(basename "$package").sha256")
say "$package ($(du -h "$package" | cut -f1))"
