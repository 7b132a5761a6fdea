#!/bin/sh
# The flashable image, out/board/tillwire_VERSION.img.zst, with its parts list (.spdx.json) and checksums.
# For Raspberry Pi 3, 4, 400, CM and Zero 2 W, 64 bit. A root that is never written, an overlay in memory over it, and a
# data partition for the journal, the settings and the releases. Needs root; see config/environment.sh image.
# UPDATE_KEY=update.pub: the key that updates must be signed with (systemd/board/sign).
set -eu
cd "$(dirname "$0")/../.."
here=$PWD/systemd/image out=$PWD/out/board
version=${VERSION:-$(sed -n 's/^version = //p' setup.cfg)}
commit=$(git rev-parse "${COMMIT:-HEAD}")
: "${SOURCE_DATE_EPOCH:=$(git log -1 --format=%ct "$commit")}"
export SOURCE_DATE_EPOCH E2FSPROGS_FAKE_TIME="$SOURCE_DATE_EPOCH"
say() { printf 'tillwire: %s\n' "$*" >&2; }
mkdir -p "$out"

recipe=$(cat "$here/base.sh" "$here/overlay" | sha256sum | cut -c1-12)
base=$out/image-base-$recipe.tar
if [ ! -e "$base" ]; then
    say "the Debian in the image: a quarter of an hour or more, once; kept as $base"
    sh "$here/base.sh" "$base"
fi
package=$out/tillwire_$version+deb12_arm64.deb
made_of="$commit $(cat "${UPDATE_KEY:-/dev/null}" | sha256sum)"
if [ ! -e "$package" ] || [ "$(cat "$package.made-of" 2>/dev/null)" != "$made_of" ]; then
    sh systemd/board/build-deb.sh bookworm arm64
    echo "$made_of" >"$package.made-of"
fi

say "the tree"
work=$(mktemp -d "$out/work.XXXXXX")
trap 'rm -rf "$work"' EXIT
tree=$work/tree
mkdir "$tree"
tar -C "$tree" -xf "$base"
cp "$package" "$tree/tillwire.deb"
# as on any Debian: users, units, the release; through qemu-user
env -i HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive unshare --mount \
    sh -c 'mount -t proc proc "$0/proc" && exec chroot "$0" dpkg -i /tillwire.deb' "$tree" >"$work/dpkg.log" 2>&1 ||
    { cat "$work/dpkg.log" >&2 && exit 1; }
rm "$tree/tillwire.deb"
mkdir -p "$tree/data/opt" "$tree/data/state" "$tree/data/etc" "$tree/data/network" "$tree/data/timesync"
mv "$tree"/opt/tillwire/* "$tree/data/opt/"

install -m 0755 "$here/data" "$here/grow" "$tree/usr/lib/tillwire/"
wants=$tree/etc/systemd/system
mkdir -p "$wants/multi-user.target.wants" "$wants/local-fs.target.wants"
for unit in data card claim grow; do
    cp "$here/tillwire-$unit.service" "$tree/lib/systemd/system/"
    target=$(sed -n 's/^WantedBy=//p' "$here/tillwire-$unit.service")
    ln -sf "/lib/systemd/system/tillwire-$unit.service" "$wants/$target.wants/"
done
cat >"$tree/etc/fstab" <<'FSTAB'
# The root is mounted by the initramfs, under an overlay.
LABEL=FIRMWARE /boot/firmware vfat ro,nofail,umask=0077 0 0
LABEL=data /data ext4 noatime,nofail,x-systemd.device-timeout=20s 0 2
FSTAB
echo tillwire >"$tree/etc/hostname"
: >"$tree/etc/machine-id"
rm -f "$tree/var/lib/dbus/machine-id" "$tree"/etc/ssh/ssh_host_* "$wants/multi-user.target.wants/ssh.service" \
    "$wants/sshd.service"
ln -sf /dev/null "$wants/ssh.socket"
mkdir -p "$wants.conf.d" "$tree/etc/systemd/journald.conf.d" "$tree/etc/ssh/sshd_config.d"
# The board's watchdog: a kernel or a systemd that hangs is started anew. The chip cannot count further than 15 s.
printf '[Manager]\nRuntimeWatchdogSec=14s\nRebootWatchdogSec=2min\n' >"$wants.conf.d/tillwire.conf"
# The log is in memory: a card lives longer that way. The cloud can ask for it (send_logs).
printf '[Journal]\nStorage=volatile\nRuntimeMaxUse=32M\n' >"$tree/etc/systemd/journald.conf.d/tillwire.conf"
# ssh is off; it is switched on by a file authorized_keys on the card, and takes keys alone
printf 'PasswordAuthentication no\nPermitRootLogin prohibit-password\nHostKey /data/ssh/ssh_host_ed25519_key\n' \
    >"$tree/etc/ssh/sshd_config.d/tillwire.conf"
for unit in apt-daily.timer apt-daily-upgrade.timer e2scrub_all.timer dpkg-db-backup.timer e2scrub_reap.service \
    fstrim.timer wpa_supplicant-nl80211@.service; do
    ln -sf /dev/null "$wants/$unit"
done
! grep -Ev '^[^:]*:[!*]' "$tree/etc/shadow" || { say "somebody has a password" && exit 1; }
cp "$here/tillwire.toml" "$tree/boot/firmware/tillwire.toml"
sed -i 's|root=[^ ]*|root=LABEL=root|; s| rw | ro |; s|$| ro panic=10|' "$tree/boot/firmware/cmdline.txt"
rm -rf "$tree"/var/cache/apt/* "$tree"/var/lib/apt/lists/* "$tree"/var/log/*.log "$tree"/var/log/apt
python3 "$here/sbom.py" "$tree" systemd/board/requirements.lock "$version" >"$out/tillwire_$version.spdx.json"
cp "$tree"/boot/vmlinuz-*-arm64 "$out/image-vmlinuz"
cp "$tree"/boot/initrd.img-*-arm64 "$out/image-initrd"
rm -f "$tree"/boot/vmlinuz-* "$tree"/boot/initrd.img-* "$tree"/boot/firmware/*.dpkg-bak # the firmware partition has both
find "$tree" -newermt "@$SOURCE_DATE_EPOCH" -exec touch -hd "@$SOURCE_DATE_EPOCH" {} +

say "the image"
mkdir "$work/tmp" "$work/in"
genimage --config "$here/genimage.cfg" --rootpath "$tree" --tmppath "$work/tmp" --inputpath "$work/in" \
    --outputpath "$work/out"
mv "$work/out/tillwire.img" "$out/tillwire_$version.img"
zstd -q -f -9 -T0 "$out/tillwire_$version.img" -o "$out/tillwire_$version.img.zst"
(cd "$out" && sha256sum "tillwire_$version.img" "tillwire_$version.img.zst" "tillwire_$version.spdx.json" \
    >"tillwire_$version.sha256")
say "$(du -h "$out/tillwire_$version.img.zst" | cut -f1) $out/tillwire_$version.img.zst"
