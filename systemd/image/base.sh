#!/bin/sh
# The Debian in the image, as a file: systemd/image/base.sh FILE
# Slow (a quarter of an hour: every package is set up through qemu-user), so it is made once, and again only when this
# file or the overlay beside it has changed. Needs root and: mmdebstrap, qemu-user-static, binfmt-support.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
file=$1
# it boots, on a Pi and in QEMU / what the box needs / the ways out: Ethernet, Wi-Fi, mobile / looking after it
packages=systemd-sysv,udev,kmod,dbus,busybox,initramfs-tools,linux-image-arm64,raspi-firmware
packages=$packages,python3,libusb-1.0-0,libasound2,alsa-utils,openssl,ca-certificates,systemd-timesyncd
packages=$packages,network-manager,wpasupplicant,wireless-regdb,firmware-brcm80211,modemmanager,usb-modeswitch,iproute2
packages=$packages,fdisk,e2fsprogs,dosfstools,procps,less,openssh-server

[ -e /proc/sys/fs/binfmt_misc/register ] || mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc
[ -e /proc/sys/fs/binfmt_misc/qemu-aarch64 ] || update-binfmts --enable qemu-aarch64

kernel='/lib/modules/*/kernel'
set --
for folder in /usr/share/doc /usr/share/man /usr/share/locale /usr/share/info "$kernel/sound/soc" \
    "$kernel"/fs/ocfs2 "$kernel"/fs/ceph "$kernel"/fs/btrfs "$kernel"/fs/xfs "$kernel"/fs/smb "$kernel"/fs/nfs \
    "$kernel"/fs/gfs2 "$kernel"/drivers/gpu "$kernel"/drivers/media "$kernel"/drivers/infiniband \
    "$kernel"/drivers/scsi "$kernel"/drivers/iio "$kernel"/drivers/net/ethernet "$kernel"/drivers/net/wireless \
    "$kernel"/drivers/staging "$kernel"/drivers/isdn "$kernel"/drivers/ata "$kernel"/drivers/target; do
    set -- "$@" "--dpkgopt=path-exclude=$folder/*"
done
for kept in '/usr/share/doc/*/copyright' "$kernel/drivers/scsi/scsi_mod.ko" "$kernel/drivers/scsi/scsi_common.ko" \
    "$kernel/drivers/scsi/sd_mod.ko" "$kernel/drivers/net/wireless/broadcom/brcm80211/*" \
    "$kernel/drivers/net/ethernet/broadcom/genet/*"; do
    set -- "$@" "--dpkgopt=path-include=$kept"
done
# A list of modules, because `most` makes modprobe hang under qemu-user.
cat >"$file.modules" <<'MODULES'
virtio_pci
virtio_blk
ext4
vfat
overlay
sdhci-iproc
bcm2835
mmc_block
gpio-raspberrypi-exp
gpio-regulator
reset-raspberrypi
clk-raspberrypi
MODULES
mirror=http://deb.debian.org/debian
printf 'deb %s bookworm main non-free-firmware\ndeb %s bookworm-updates main non-free-firmware\ndeb %s-security bookworm-security main non-free-firmware\n' \
    $mirror $mirror $mirror >"$file.list"
export here file
mmdebstrap --quiet --format=tar --variant=minbase --architectures=arm64 --aptopt='APT::Install-Recommends "false"' "$@" \
    --include="$packages" \
    --essential-hook='mkdir -p "$1/etc/initramfs-tools/conf.d" "$1/etc/initramfs-tools/scripts/init-bottom" "$1/boot/firmware"
        printf "MODULES=list\nCOMPRESS=gzip\nBUSYBOX=y\n" >"$1/etc/initramfs-tools/conf.d/tillwire"
        cp "$file.modules" "$1/etc/initramfs-tools/modules"
        cp "$here/overlay" "$1/etc/initramfs-tools/scripts/init-bottom/overlay"' \
    bookworm "$file.new" - <"$file.list"
rm -f "$file.list" "$file.modules"
mv "$file.new" "$file"
