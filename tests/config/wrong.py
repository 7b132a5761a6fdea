"""Wrong agent.toml files as people make them: name, text, and what the first problem must say.

`RIGHT` is a small right file; most are made from it by one change. Each names its line where there is one.
"""

from __future__ import annotations

RIGHT = """\
[box]
id = "shop42-front"
[printer.main]
url = "tcp://192.168.1.50:9100"
[pos.till]
url = "tcp://0.0.0.0:9100"
printer = "main"
[capture]
keep_days = 7
[cloud]
broker = "mqtts://mqtt.example.net:8883"
[alerts]
sound = true
"""


def _with(old: str, new: str) -> str:
    assert old in RIGHT, old
    return RIGHT.replace(old, new, 1)


PRINTER, POS = 'url = "tcp://192.168.1.50:9100"', 'url = "tcp://0.0.0.0:9100"'
BROKER, DAYS, SOUND = 'broker = "mqtts://mqtt.example.net:8883"', "keep_days = 7", "sound = true"

# name: (text of the file, what its message must contain, in this order)
WRONG: dict[str, tuple[str, tuple[str, ...]]] = {
    # ---- no TOML
    "text without quotes": (_with('"shop42-front"', "shop42-front"), ("line 2:", 'id = "shop42-front"')),
    "text with one quote": (_with('"shop42-front"', '"shop42-front'), ("line 2:", "a quote is missing")),
    "typographic quotes": (_with('"shop42-front"', "“shop42-front”"), ("line 2:", "typographic")),
    "colon for equals": (_with("keep_days = 7", "keep_days: 7"), ("line 9:", "KEY = VALUE")),
    "nothing behind equals": (_with("keep_days = 7", "keep_days ="), ("line 9:", "KEY = VALUE")),
    "True as in Python": (_with(SOUND, "sound = True"), ("line 13:", "true or false, in small letters")),
    "yes": (_with(SOUND, "sound = yes"), ("line 13:", "true or false")),
    "heading not closed": (_with("[alerts]", "[alerts"), ("line 12:", "ends with ]")),
    "key twice": (_with(DAYS, DAYS + "\nkeep_days = 8"), ("line 10:", "stands twice")),
    "section twice": (RIGHT + '[box]\nstate_dir = "/x"\n', ("line 14:", "section stands twice")),
    "backslash in a path": (_with("[alerts]", '[alerts]\nsounds_dir = "C:\\sounds"'), ("line 13:", "write / in paths")),
    "a remark without #": (_with("[capture]", "this is the capture\n[capture]"), ("line 8:", "begin the line with #")),
    "a German decimal comma": (_with(DAYS, "keep_days = 7,5"), ("line 9:", "not TOML")),
    "yaml": ("box:\n  id: shop42-front\n", ("line 1:", "KEY = VALUE")),
    "json": ('{"box": {"id": "shop42-front"}}\n', ("line 1:", "KEY = VALUE")),
    "ini with semicolon": ("; settings\n" + RIGHT, ("line 1:", "begin the line with #")),
    # ---- what is missing
    "empty": ("", ("there is no printer", "there is no POS")),
    "no printer": (RIGHT.replace("[printer.main]\n" + PRINTER + "\n", ""), ("[pos.till]" * 0, "there is no printer")),
    "no pos": (RIGHT.replace("[pos.till]\n" + POS + '\nprinter = "main"\n', ""), ("there is no POS: add",)),
    "printer without url": (_with(PRINTER, 'model = "auto"'), ("line 3:", "lacks 'url'", "tcp://192.168.1.50:9100")),
    "pos without url": (_with(POS + "\n", ""), ("line 5:", "lacks 'url'")),
    # ---- unknown names
    "misspelt section": (_with("[capture]", "[captur]"), ("line 8:", "did you mean 'capture'")),
    "misspelt key": (_with("keep_days", "keep_day"), ("line 9:", "did you mean 'keep_days'")),
    "foreign key": (_with(DAYS, "colour = 7"), ("line 9:", "allowed are", "keep_days")),
    "key in the wrong section": (_with(SOUND, "keep_days = 7"), ("line 13:", "[alerts] has no key 'keep_days'")),
    "key outside any section": ("hold_cut_ms = 5\n" + RIGHT, ("line 1:", "the file has no key 'hold_cut_ms'")),
    "printers for printer": (_with("[printer.main]", "[printers.main]"), ("line 3:", "did you mean 'printer'")),
    "capital letters": (_with("[printer.main]", "[Printer.main]"), ("line 3:", "did you mean 'printer'")),
    "capital key": (_with("keep_days", "Keep_Days"), ("line 9:", "did you mean 'keep_days'")),
    # ---- wrong types
    "number in quotes": (_with(DAYS, 'keep_days = "7"'), ("line 9:", "must be a number")),
    "bool in quotes": (_with(SOUND, 'sound = "true"'), ("line 13:", "must be true or false")),
    "bool as number": (_with(SOUND, "sound = 1"), ("line 13:", "must be true or false")),
    "text as number": (_with('"shop42-front"', "42"), ("line 2:", "must be a text in quotes")),
    "list for text": (_with(PRINTER, f"url = [{PRINTER[6:]}]"), ("line 4:", "must be a text in quotes")),
    "fraction for a whole number": (_with(DAYS, "quiet_ms = 1.5"), ("line 9:", "must be a whole number")),
    "section as value": ("box = 3\n" + RIGHT.split("\n", 2)[2], ("line 1:", "a section [box] belongs")),
    "printer without a name": (_with("[printer.main]", "[printer]"), ("line 4:", "[printer.NAME]")),
    "printer's name with a blank": (_with("[printer.main]", '[printer."the bar"]'), ("line 3:", "small letters")),
    "printer's name with capitals": (_with("[printer.main]", "[printer.Main]"), ("line 3:", "small letters")),
    # ---- out of range
    "box id too short": (_with("shop42-front", "shop42"), ("line 2:", "8 to 36")),
    "box id with capitals": (_with("shop42-front", "Shop42-Front"), ("line 2:", "small letters")),
    "box id with underscore": (_with("shop42-front", "shop42_front"), ("line 2:", "small letters, digits and -")),
    "days below nought": (_with(DAYS, "keep_days = -1"), ("line 9:", "at least 0")),
    "too many days": (_with(DAYS, "keep_days = 400"), ("line 9:", "at most 365")),
    "quiet too short": (_with(DAYS, "quiet_ms = 3"), ("line 9:", "at least 100")),
    "seconds for milliseconds": (_with(DAYS, "hold_cut_ms = 250000"), ("line 9:", "at most 5000")),
    "quota too small": (_with(DAYS, "quota_mb = 1"), ("line 9:", "at least 16")),
    "unknown choice": (_with(DAYS, 'send = "everything"'), ("line 9:", "must be one of raw, reading")),
    "unknown when_gone": (_with(POS, POS + '\nwhen_gone = "drop"'), ("line 7:", "one of hold, hang-up")),
    "unknown model": (_with(PRINTER, PRINTER + '\nmodel = "epson-tm-t889"'), ("line 5:", "is not known")),
    "unknown log level": (RIGHT + '[log]\nlevel = "verbose"\n', ("line 15:", "debug, info, warning, error")),
    # ---- devices
    "path for url": (_with(PRINTER, 'url = "/dev/ttyUSB0"'), ("line 4:", "must begin with one of", "serial://")),
    "address without scheme": (_with(PRINTER, 'url = "192.168.1.50:9100"'), ("line 4:", "must begin with one of")),
    "http printer": (_with(PRINTER, 'url = "http://192.168.1.50"'), ("line 4:", "must begin with one of")),
    "misspelt scheme": (_with(PRINTER, 'url = "seral:///dev/ttyUSB0"'), ("line 4:", "did you mean 'serial'")),
    "two slashes": (_with(PRINTER, 'url = "serial://dev/ttyUSB0"'), ("line 4:", "three slashes", "serial:///dev")),
    "usb without ids": (_with(PRINTER, 'url = "usb:///dev/usb/lp0"'), ("line 4:", "VID:PID as lsusb", "usb://04b8:0e15")),
    "usb with half an id": (_with(PRINTER, 'url = "usb://04b8"'), ("line 4:", "VID:PID as lsusb")),
    "usb with a wrong socket": (_with(PRINTER, 'url = "usb://auto?port=1"'), ("line 4:", "as in 1-1.2")),
    "till on usb": (_with(POS, 'url = "usb://04b8:0e15"'), ("line 6:", "gadget://")),
    "gadget with a short id": (_with(POS, 'url = "gadget://?vid=4b8"'), ("line 6:", "four hex digits")),
    "gadget with an unknown option": (_with(POS, 'url = "gadget://?serail=1"'), ("line 6:", "did you mean 'serial'?")),
    "no port": (_with(PRINTER, 'url = "tcp://192.168.1.50"'), ("line 4:", "has no port", "9100")),
    "no host": (_with(PRINTER, 'url = "tcp://:9100"'), ("line 4:", "has no host")),
    "port too high": (_with(PRINTER, 'url = "tcp://192.168.1.50:91000"'), ("line 4:", "1 to 65535")),
    "port nought": (_with(POS, 'url = "tcp://0.0.0.0:0"'), ("line 6:", "1 to 65535")),
    "port is a word": (_with(PRINTER, 'url = "tcp://192.168.1.50:raw"'), ("line 4:", "1 to 65535")),
    "path behind the port": (_with(PRINTER, 'url = "tcp://192.168.1.50:9100/queue"'), ("line 4:", "'/queue'")),
    "baud is a word": (
        _with(PRINTER, 'url = "serial:///dev/ttyUSB0?baud=fast"'), ("line 4:", "option baud = 'fast'", "whole number")
    ),
    "baud out of range": (_with(PRINTER, 'url = "serial:///dev/ttyUSB0?baud=96"'), ("line 4:", "300 to 4000000")),
    "misspelt option": (
        _with(PRINTER, 'url = "serial:///dev/ttyUSB0?baudrate=9600"'), ("line 4:", "did you mean 'baud'")
    ),
    "parity as a letter": (
        _with(PRINTER, 'url = "serial:///dev/ttyUSB0?parity=N"'), ("line 4:", "none, even, odd")
    ),
    "flow unknown": (_with(POS, 'url = "serial:///dev/ttyS0?flow=hardware"'), ("line 6:", "rtscts")),
    "socket of a path": (_with(POS, 'url = "serial:///dev/ttyS0?port=1-1"'), ("line 6:", "option port", "serial://usb")),
    "two adapters": (_with(POS, 'url = "serial://usb/A/B"'), ("line 6:", "one serial number")),
    "baud for tcp": (_with(POS, 'url = "tcp://0.0.0.0:9100?baud=9600"'), ("line 6:", "no option 'baud'", "allow")),
    "allow is a word": (_with(POS, 'url = "tcp://0.0.0.0:9100?allow=kitchen"'), ("line 6:", "192.168.1.0/24")),
    "limit nought": (_with(POS, 'url = "tcp://0.0.0.0:9100?limit=0"'), ("line 6:", "1 to 64")),
    "question mark alone": (_with(POS, 'url = "tcp://0.0.0.0:9100?allow"'), ("line 6:", "is no address")),
    "file without a path": (_with(PRINTER, 'url = "file://"'), ("line 4:", "names no path")),
    "one port for two tills": (
        RIGHT + '[pos.bar]\nurl = "tcp://0.0.0.0:9100"\n', ("line 15:", "same device as pos.till.url")
    ),
    "one line for till and printer": (
        _with(POS, 'url = "serial:///dev/ttyUSB0"').replace(PRINTER, 'url = "serial:///dev/ttyUSB0?baud=38400"'),
        ("line 6:", "same device as printer.main.url"),
    ),
    "pos names no printer": (_with('printer = "main"', 'printer = "kitchen"'), ("line 7:", "there are: main")),
    # ---- the way to the cloud
    "plain mqtt": (_with("mqtts://", "mqtt://"), ("line 11:", "not encrypted", "mqtts://")),
    "http broker": (_with("mqtts://", "https://"), ("line 11:", "mqtts://HOST:PORT")),
    "broker without scheme": (_with("mqtts://", ""), ("line 11:", "mqtts://HOST:PORT")),
    "broker's port too high": (_with(":8883", ":88830"), ("line 11:", "is not an address")),
    "certificate without key": (_with(BROKER, BROKER + '\ncert_file = "/etc/c.pem"'), ("line 12:", "belong together")),
    "key without certificate": (_with(BROKER, BROKER + '\nkey_file = "/etc/k.pem"'), ("line 12:", "belong together")),
    "mqtt version 4": (_with(BROKER, BROKER + '\nversion = "4"'), ("line 12:", "auto, 5, 3.1.1")),
    "mqtt version as a number": (_with(BROKER, BROKER + "\nversion = 5"), ("line 12:", "a text in quotes")),
    "cloud's pages without https": (_with(BROKER, BROKER + '\nweb = "cloud.net"'), ("line 12:", "https://HOST")),
    # ---- the local page
    "page without a port": (RIGHT + '[page]\nlisten = "127.0.0.1"\n', ("line 15:", "ADDRESS:PORT")),
    "page open to all": (RIGHT + '[page]\nlisten = "0.0.0.0:8090"\n', ("line 15:", "needs a code_file")),
    "slip after boot as a text": (
        _with("[printer.main]", 'status_slip = "yes"\n[printer.main]'), ("line 3:", "true or false")
    ),
}  # fmt: skip
