"""What the alerts say of orders: what came in, what waits, what was not printed, what nobody knows. States, no events:
each is raised and resolved by what the slips of its order are."""

from __future__ import annotations

from collections.abc import Sequence

from agent import printers
from agent.alerts import Alerts
from agent.slips import Slip
from agent.voice import words_of
from wire.messages import OrderState

SOUNDS = {"dine_in": "new_order_dine_in", "takeaway": "new_order_takeaway", "delivery": "new_order_delivery"}
S = OrderState


def number(slip: Slip) -> str:
    content = slip.order_content()
    return content.number if content else slip.order_id


class OrderAlerts:
    def __init__(self, alerts: Alerts, until_printed: bool) -> None:
        self.alerts, self._until_printed = alerts, until_printed

    def came(self, slip: Slip) -> None:
        content = slip.order_content()
        kind = content.kind if content else ""
        table = f" table {content.table}" if content and content.table else ""
        text, sound = f"order {number(slip)} {kind}{table}", SOUNDS.get(kind, "new_order_takeaway")
        self.alerts.raise_("new_order", slip.order_id, text, sound, words_of(content))

    def waits(self, slip: Slip, status: dict[str, object] | None, problem: str | None) -> None:
        """For its printer."""
        text = f"order {number(slip)} waits for printer {slip.printer}: {problem or 'it is busy, or does not answer'}"
        sound = printers.fault_sound(status) if problem else "fault"
        self.alerts.raise_("waiting", slip.order_id, text, sound, (sound,))

    def waits_for_the_relay(self, slip: Slip) -> None:
        text = f"order {number(slip)} waits: the print path (tillwire-relay) does not answer"
        self.alerts.raise_("waiting", slip.order_id, text)

    def waits_for_a_go(self, slip: Slip) -> None:
        text = f"order {number(slip)} waits for the cloud's word that it may still be printed"
        self.alerts.raise_("held", slip.order_id, text)

    def stop(self, slip: Slip) -> None:
        """It was cancelled, and the kitchen may have it."""
        text = f"order {number(slip)} was cancelled after it was printed"
        say = ("cancelled", *words_of(slip.order_content())[1:])
        self.alerts.raise_("cancelled", slip.order_id, text, "cancelled", say)

    def settle(self, slip: Slip, all_of_it: Sequence[Slip]) -> None:
        """Make the alerts of its order what all its slips say."""
        order_id, name = slip.order_id, number(slip)
        states = {s.state for s in all_of_it}
        for kind, state, text, sound in (
            ("failed", S.FAILED, f"order {name} was not printed", "fault"),
            (
                "unconfirmed",
                S.UNCONFIRMED,
                f"order {name} may or may not be on paper: look, then decide",
                "unconfirmed",
            ),
            ("held", S.EXPIRED, f"order {name} was not printed in time", "fault"),
        ):
            found = [s for s in all_of_it if s.state is state]
            if kind == "held" and any(s.held and s.state is S.RECEIVED for s in all_of_it):
                continue
            if found:
                say = ("unconfirmed", *words_of(found[0].order_content())[1:]) if kind == "unconfirmed" else (sound,)
                self.alerts.raise_(kind, order_id, f"{text} ({found[0].printer}): {found[0].reason}", sound, say)
            elif kind != "failed" or not states & {S.QUEUED, S.RECEIVED}:  # one that is tried again stands till then
                self.alerts.resolve(kind, order_id)
        if not states & {S.QUEUED, S.RECEIVED}:
            self.alerts.resolve("waiting", order_id)
        if states <= {S.PRINTED, S.CANCELLED, S.CLOSED}:
            if self._until_printed or S.PRINTED not in states:
                self.alerts.resolve("new_order", order_id)
            self.alerts.resolve("cancelled", order_id)
