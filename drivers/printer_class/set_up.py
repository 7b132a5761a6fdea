"""`tillwire-gadget`: what only root may do for a gadget, once, before the relay starts. Makes the configfs tree, mounts
FunctionFS for the relay's user, and gives it the file UDC, by which the relay puts the board onto the bus.

    tillwire-gadget --config /etc/tillwire/agent.toml --user tillwire-relay
    tillwire-gadget --config /etc/tillwire/agent.toml --down

Takes   the gadget:// URLs of the [pos.NAME] sections; reads nothing else of the configuration.
Gives   0 also when there is no such URL; 1 with one line that says what to do; may be run again at any time.
"""

from __future__ import annotations

import argparse
import errno
import os
import pwd
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

from drivers.printer_class.configfs import GADGETS, MOUNTS, Gadget, parse

CONFIGFS = Path("/sys/kernel/config")
ENGLISH = "0x409"


class CannotSetUp(Exception):
    """What was tried, on what, and what helps."""


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="tillwire-gadget", description="Sets up the board as a USB printer.")
    parser.add_argument("--config", required=True)
    parser.add_argument("--user", default="tillwire-relay", help="who may use it")
    parser.add_argument("--down", action="store_true", help="take it away again")
    options = parser.parse_args(arguments)
    try:
        gadgets = find_gadgets(Path(options.config))
        for gadget in gadgets:
            if options.down:
                take_down(gadget)
            else:
                set_up(gadget, options.user)
                print(f"gadget={gadget.name} id={gadget.vid}:{gadget.pid} udc={gadget.find_udc()} user={options.user}")
    except CannotSetUp as error:
        print(f"tillwire-gadget: {error}", file=sys.stderr)
        return 1
    if not gadgets:
        print("no [pos.NAME] has a gadget:// url: nothing to do")
    return 0


def find_gadgets(config: Path) -> list[Gadget]:
    """Those of the configuration. A file that cannot be read is the relay's to complain of, in full."""
    try:
        sections = tomllib.loads(config.read_text(encoding="utf-8")).get("pos", {})
        urls = [str(pos.get("url", "")) for pos in sections.values() if isinstance(pos, dict)]
        return [parse(url) for url in urls if url.startswith("gadget:")]
    except (OSError, ValueError, AttributeError) as error:
        raise CannotSetUp(f"{config}: {error}; `tillwire check-config` tells more") from None


def set_up(gadget: Gadget, user: str) -> None:
    """Raises CannotSetUp."""
    try:
        owner = pwd.getpwnam(user)
    except KeyError:
        raise CannotSetUp(f"there is no user {user}: systemd-sysusers makes it from tillwire.sysusers") from None
    _kernel_is_ready()
    if not gadget.find_udc():
        raise CannotSetUp(
            "this board has no USB socket that can be a device: /sys/class/udc is empty. On a Raspberry Pi 4, 400 or "
            "Zero 2 W write dtoverlay=dwc2,dr_mode=peripheral into config.txt; a Pi 3 B cannot"
        )
    take_down(gadget)
    try:
        function = _make_tree(gadget)
        if function == "ffs":
            _mount(gadget, owner)
            os.chown(gadget.tree / "UDC", owner.pw_uid, owner.pw_gid)
        else:
            _bind_node(gadget, owner)
    except OSError as error:
        take_down(gadget)
        raise CannotSetUp(f"{gadget.tree}: {error}; does another gadget use {gadget.find_udc()}?") from error


def take_down(gadget: Gadget) -> None:
    """The reverse, as far as there is something. A relay that uses it loses it. Raises CannotSetUp if it must not."""
    tree = gadget.tree
    if _in_use(gadget.node):
        raise CannotSetUp(f"{gadget.node} is in use: stop tillwire-relay first")
    _quietly(lambda: (tree / "UDC").write_text("\n"))
    if gadget.mount.is_dir():
        subprocess.run(["umount", "-l", str(gadget.mount)], stderr=subprocess.DEVNULL, check=False)
        _quietly(gadget.mount.rmdir)
    gadget.node.unlink(missing_ok=True)
    if not tree.is_dir():
        return
    for link in (tree / "configs/c.1").glob("*.*"):
        _quietly(link.unlink)
    for folder in (*(tree / "configs/c.1/strings").glob("*"), tree / "configs/c.1", *(tree / "functions").glob("*"),
                   *(tree / "strings").glob("*"), tree):  # fmt: skip
        _quietly(folder.rmdir)


def _kernel_is_ready() -> None:
    if not GADGETS.is_dir():
        subprocess.run(["modprobe", "libcomposite"], stderr=subprocess.DEVNULL, check=False)
    if not GADGETS.is_dir() and not os.path.ismount(CONFIGFS):
        subprocess.run(["mount", "-t", "configfs", "configfs", str(CONFIGFS)], stderr=subprocess.DEVNULL, check=False)
    if not GADGETS.is_dir():
        raise CannotSetUp("this kernel has no USB gadgets: CONFIG_USB_LIBCOMPOSITE and CONFIG_USB_CONFIGFS are needed")


def _make_tree(gadget: Gadget) -> str:
    """-> the function that it has: ffs or printer."""
    tree = gadget.tree
    strings, config = tree / "strings" / ENGLISH, tree / "configs/c.1"
    for folder in (tree, strings, config):
        folder.mkdir()
    for name, value in (
        ("idVendor", f"0x{gadget.vid}"), ("idProduct", f"0x{gadget.pid}"),
        ("bcdUSB", "0x0200"), ("bcdDevice", "0x0100"),
    ):  # fmt: skip
        (tree / name).write_text(value)
    _quietly(lambda: (tree / "max_speed").write_text("high-speed"))  # kernels before 5.15 have no such file
    for name, value in (
        ("serialnumber", gadget.serial), ("manufacturer", gadget.maker), ("product", gadget.product),
    ):  # fmt: skip
        (strings / name).write_text(value)
    (config / "MaxPower").write_text("2")  # mA: the board has its own supply
    (config / "bmAttributes").write_text("0xc0")
    function = _make_function(gadget)
    (config / function.name).symlink_to(function)
    return function.name.split(".")[0]


def _make_function(gadget: Gadget) -> Path:
    functions = gadget.tree / "functions"
    if gadget.function != "printer":
        ffs = functions / f"ffs.{gadget.name}"
        try:
            ffs.mkdir()
            return ffs
        except OSError as error:
            if gadget.function == "ffs":
                raise CannotSetUp(f"this kernel has no FunctionFS (CONFIG_USB_CONFIGFS_F_FS): {error}") from error
    printer = functions / "printer.0"
    printer.mkdir()
    # f_printer writes the text's length where the length with its own two bytes belongs: two more at the end
    (printer / "pnp_string").write_text(gadget.device_id + "  ")
    return printer


def _mount(gadget: Gadget, owner: pwd.struct_passwd) -> None:
    gadget.mount.mkdir(parents=True, exist_ok=True)
    MOUNTS.chmod(0o755)
    options = f"uid={owner.pw_uid},gid={owner.pw_gid},rmode=0550,fmode=0660"
    done = subprocess.run(
        ["mount", "-t", "functionfs", "-o", options, gadget.name, str(gadget.mount)],
        stderr=subprocess.PIPE, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise CannotSetUp(f"mount functionfs on {gadget.mount}: {done.stderr.strip()}")


def _bind_node(gadget: Gadget, owner: pwd.struct_passwd) -> None:
    """f_printer is bound here and stays so. Its node, under our name, for the relay's user."""
    before = set(Path("/dev").glob("g_printer*"))
    (gadget.tree / "UDC").write_text(gadget.find_udc() + "\n")
    node = min(set(Path("/dev").glob("g_printer*")) - before)
    MOUNTS.mkdir(exist_ok=True)
    gadget.node.symlink_to(node)
    os.chown(node, owner.pw_uid, owner.pw_gid)


def _in_use(node: Path) -> bool:
    """Is f_printer's node open? Unbinding it then is a use after free in the kernel (seen with 6.1)."""
    try:
        os.close(os.open(node, os.O_RDWR | os.O_NONBLOCK))
    except OSError as error:
        return error.errno == errno.EBUSY
    return False


def _quietly(call: Callable[[], object]) -> None:
    try:
        call()
    except OSError:
        pass


if __name__ == "__main__":
    sys.exit(main())
