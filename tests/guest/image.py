"""Builds the virtual machine's disk: Debian's own kernel with a simulated USB bus, systemd, Python; nothing compiled.

Gives   out/guest/{vmlinuz, initrd.img, root.ext4}, kept between runs; made anew when what stands in this file changes.
Needs   root (mmdebstrap makes a tree with owners and device nodes), mmdebstrap and e2fsprogs; 900 MB of disk.

Debian's kernel has all that is tested here as modules: `dummy_hcd` (a USB bus without wires: its UDC is the board's
USB socket, its host the till's), `usb_f_fs`, `usb_f_printer`, `usblp`, `snd_intel8x0`, `sch_netem`.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
FOLDER = ROOT / "out" / "guest"
SUITE = "bookworm"
SIZE = "1200M"
PACKAGES = (
    "systemd-sysv", "udev", "kmod", "dbus", "initramfs-tools", "linux-image-amd64",  # it boots as a board does
    "python3", "libusb-1.0-0",  # what the relay needs
    "alsa-utils", "libasound2-data",  # sounds
    "iproute2", "usbutils", "e2fsprogs",  # to look at things, and to break them
)  # fmt: skip
UNUSED = ("gpu", "media", "infiniband", "scsi", "net", "iio", "staging", "ata", "hwmon", "isdn", "mtd", "platform")
USED = ("net/virtio_net", "net/net_failover", "net/veth", "scsi/scsi_mod", "scsi/scsi_common", "scsi/sd_mod")
MODULES = ("virtio_pci", "virtio_blk", "ext4")  # what the initrd needs to reach the disk

CHANNEL_UNIT = """[Unit]
Description=Does what the machine outside asks
[Service]
ExecStart=/usr/bin/python3 -u /usr/local/lib/channel.py
Restart=always
RestartSec=0.2
[Install]
WantedBy=multi-user.target
"""
FSTAB = """/dev/vda / ext4 rw,noatime 0 1
/dev/vdb /opt/tillwire ext4 ro,nofail,noauto 0 0
"""


def build() -> Path:
    """-> the folder with the machine's parts; built now when there is none that fits this file."""
    stamp = FOLDER / "recipe"
    if is_built():
        return FOLDER
    FOLDER.mkdir(parents=True, exist_ok=True)
    stamp.unlink(missing_ok=True)
    tree = FOLDER / "tree"
    shutil.rmtree(tree, ignore_errors=True)
    try:
        _debian(tree)
        _ours(tree)
        for name, kept in (("vmlinuz-*", "vmlinuz"), ("initrd.img-*", "initrd.img")):
            shutil.copyfile(next((tree / "boot").glob(name)), FOLDER / kept)
        make_disk(tree, FOLDER / "root.ext4", SIZE)
    finally:
        shutil.rmtree(tree, ignore_errors=True)
    stamp.write_text(recipe())
    return FOLDER


def is_built() -> bool:
    stamp = FOLDER / "recipe"
    return stamp.exists() and stamp.read_text() == recipe()


def recipe() -> str:
    """What the disk was made from, as a hash."""
    parts = [Path(__file__).read_bytes(), Path(__file__).with_name("channel.py").read_bytes()]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


def make_disk(tree: Path, disk: Path, size: str) -> None:
    """An ext4 file system with the content of a folder; needs neither a loop device nor a mount."""
    disk.unlink(missing_ok=True)
    subprocess.run(
        ["/sbin/mke2fs", "-q", "-F", "-t", "ext4", "-d", str(tree), str(disk), size],
        check=True,
        stdout=subprocess.DEVNULL,
    )


def _debian(tree: Path) -> None:
    kernel = "/lib/modules/*/kernel"
    left_out = ["/usr/share/doc/*", "/usr/share/man/*", "/usr/share/locale/*", f"{kernel}/sound/soc/*"]
    left_out += [f"{kernel}/drivers/{name}/*" for name in UNUSED]
    options = [f"--dpkgopt=path-exclude={path}" for path in left_out]
    options += [f"--dpkgopt=path-include={kernel}/drivers/{name}.ko" for name in USED]
    modules = "\\n".join(MODULES)
    hook = (
        'mkdir -p "$1/etc/initramfs-tools/conf.d"; '
        'printf "MODULES=list\\nCOMPRESS=gzip\\n" > "$1/etc/initramfs-tools/conf.d/guest"; '
        f'printf "{modules}\\n" > "$1/etc/initramfs-tools/modules"'
    )
    sources = [f"deb http://deb.debian.org/debian {SUITE} main"]
    if Path("/etc/apt/sources.list.d/debian.sources").exists() and SUITE in _release():
        sources = ["/etc/apt/sources.list.d/debian.sources"]  # this machine's own mirror
    subprocess.run(
        ["mmdebstrap", "--quiet", "--variant=minbase", "--architectures=amd64",
         '--aptopt=APT::Install-Recommends "false"', *options, f"--include={','.join(PACKAGES)}",
         f"--essential-hook={hook}", SUITE, str(tree), *sources],
        check=True,
    )  # fmt: skip


def _release() -> str:
    return Path("/etc/os-release").read_text(encoding="utf-8")


def _ours(tree: Path) -> None:
    (tree / "opt/tillwire").mkdir(parents=True)
    shutil.copyfile(Path(__file__).with_name("channel.py"), tree / "usr/local/lib/channel.py")
    units = tree / "etc/systemd/system"
    (units / "channel.service").write_text(CHANNEL_UNIT)
    (units / "multi-user.target.wants").mkdir(exist_ok=True)
    (units / "multi-user.target.wants/channel.service").symlink_to("../channel.service")
    for unit in ("apt-daily.timer", "apt-daily-upgrade.timer", "e2scrub_all.timer", "dpkg-db-backup.timer",
                 "fstrim.timer", "getty@tty1.service", "systemd-timesyncd.service"):  # fmt: skip
        (units / unit).unlink(missing_ok=True)
        (units / unit).symlink_to("/dev/null")
    (tree / "etc/hostname").write_text("guest\n")
    (tree / "etc/fstab").write_text(FSTAB)
    (tree / "etc/modules-load.d/guest.conf").write_text("virtio_console\n")
    machine_id = tree / "etc/machine-id"
    machine_id.write_text("5ca1ab1e0ddba11ca1ab1e0ddba11ca1\n")
    machine_id.chmod(0o444)


if __name__ == "__main__":
    print(build())
