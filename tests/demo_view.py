"""What the demo shows: one line per fact, or a picture that is drawn anew and fits the terminal it is in."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.demo import Demo

STEPS = ("paper", "safe", "acked", "gone")
WORDS = {"paper": "on paper", "safe": "safe", "acked": "acknowledged", "gone": "gone"}
PAPER = 46  # columns of a receipt


@dataclass
class Slip:
    """A receipt of the till, or an order, and how far it has come."""

    label: str
    detail: str
    via: str
    began: float
    digest: bytes = b""
    reached: dict[str, float] = field(default_factory=dict)  # step -> seconds after the start
    state: str = ""
    proof: str = ""
    alert: str = ""
    read: str = ""  # the total that was read off the paper


class Plain:
    """One line per fact."""

    def __init__(self, demo: Demo) -> None:
        self.demo = demo
        self.told: set[tuple[object, str]] = set()

    def __enter__(self) -> Plain:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def show(self) -> None:
        for digest, slip in list(self.demo.receipts.items()):
            for step, seconds in list(slip.reached.items()):
                if (digest, step) not in self.told:
                    self.told.add((digest, step))
                    print(f"receipt {slip.label} ({slip.via}): {WORDS[step]} after {seconds * 1000:.0f} ms", flush=True)
        for order, slip in list(self.demo.orders.items()):
            if slip.state and (order, slip.state) not in self.told:
                self.told.add((order, slip.state))
                print(f"order for {slip.label}: {slip.state} {slip.proof}".rstrip(), flush=True)


class Live:
    """The two flows side by side with the paper, where there is room for it; drawn anew five times a second."""

    def __init__(self, demo: Demo) -> None:
        from rich.console import Console
        from rich.live import Live as Drawing

        self.demo, self.console = demo, Console()
        self.live = Drawing(self.picture(), console=self.console, refresh_per_second=5, screen=False)

    def __enter__(self) -> Live:
        self.live.__enter__()
        return self

    def __exit__(self, *args: Any) -> None:
        self.live.__exit__(*args)

    def show(self) -> None:
        self.live.update(self.picture())

    def picture(self) -> Any:
        from rich.console import Group
        from rich.panel import Panel
        from rich.table import Table
        from rich.text import Text

        width, height = self.console.size
        beside = width >= 150
        room = width - (PAPER + 7 if beside else 0)
        # the tables' titles, heads and edges take 10 lines, the address below them up to 4, the cursor 1
        rows = max(height - 15, 6)
        orders = min(6, rows // 3)
        tables = Group(self.receipts(room, min(14, rows - orders)), self.orders(room, orders))
        trouble = (Text(f"! {text}", style="red") for text in self.demo.trouble[-3:])
        if not beside:
            return Group(tables, self.foot(), *trouble)
        paper = Panel("\n".join(self.paper(min(34, height - 7))), title="paper", width=PAPER + 4, border_style="dim")
        both = Table.grid(expand=True, padding=(0, 1))
        both.add_column(ratio=1)
        both.add_column(width=PAPER + 4)
        both.add_row(tables, paper)
        return Group(both, self.foot(), *trouble)

    def receipts(self, room: int, rows: int) -> Any:
        """A line each: how long after it was sent a receipt was on paper, safe, acknowledged, gone."""
        from rich import box
        from rich.table import Table
        from rich.text import Text

        table = Table(expand=True, box=box.SIMPLE_HEAD, border_style="dim", title_justify="left", padding=(0, 1, 0, 0))
        table.title = "till → printer, and what is remembered"
        table.add_column("receipt", ratio=1, no_wrap=True)
        if room >= 90:
            table.add_column("by", width=6)
            table.add_column("total", justify="right", width=9)
        table.add_column("as read", justify="right", width=9)
        for word in WORDS.values():
            table.add_column(word if room >= 90 else word[:5] + "." * (len(word) > 8), justify="right", min_width=9)
        for slip in list(self.demo.recent)[-rows:]:
            steps = [
                Text(f"✔ {slip.reached[s] * 1000:.0f} ms", "green") if s in slip.reached else Text("·", "dim")
                for s in STEPS
            ]
            sent = (slip.via, slip.detail) if room >= 90 else ()
            table.add_row(slip.label, *sent, slip.read, *steps)
        return table

    def orders(self, room: int, rows: int) -> Any:
        """A line each: what was ordered, whether it was heard, and what became of it."""
        from rich import box
        from rich.table import Table
        from rich.text import Text

        table = Table(expand=True, box=box.SIMPLE_HEAD, border_style="dim", title_justify="left", padding=(0, 1, 0, 0))
        table.title = "orders → alert → paper, with proof"
        table.add_column("order", width=9, no_wrap=True)
        table.add_column("what", ratio=1, no_wrap=True)
        table.add_column("alert", width=10, no_wrap=True)
        table.add_column("state", width=30 if room >= 90 else 12, no_wrap=True)
        table.add_column("proof", width=5, no_wrap=True)
        for slip in list(self.demo.orders.values())[-rows:]:
            style = {"printed": "green", "review": "yellow"}.get(slip.state, "cyan")
            hint = " (accept it on the page)" if slip.state == "review" and room >= 90 else ""
            table.add_row(slip.label, slip.detail, slip.alert, Text(slip.state + hint, style), slip.proof)
        return table

    def foot(self) -> Any:
        from rich.text import Text

        from tests.simulators.system import PASSWORD, USER

        demo = self.demo
        slips = list(demo.receipts.values())
        gone = sum("gone" in slip.reached for slip in slips)
        return Text.assemble(
            ("console ", "dim"), (demo.system.url, "bold"), ("  name ", "dim"), USER, ("  password ", "dim"), PASSWORD,
            ("    receipts ", "dim"), f"{len(slips)}", (" through and gone ", "dim"), f"{gone}",
        )  # fmt: skip

    def paper(self, lines: int) -> list[str]:
        """The last lines that came out of the simulated printer."""
        if not self.demo.printer:
            return ["(a real printer has it)"]
        from receipt import read

        tail = self.demo.printer.received[-2500:]
        start = tail.find(b"\x1b@")
        return [line.text[:PAPER] for line in read(bytes(tail[max(start, 0) :])).lines][-lines:]
