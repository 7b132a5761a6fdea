"""One order's life on the box: stored, told, sounded, printed, and truthfully reported.

Everything happens one after the other in one task (`run`), so that no two events of an order meet. The rules:

- An order is stored before the broker hears that it arrived. Its id (order, part, copy number) prints once,
  however often it is sent; a new attempt of the cloud is a reprint, headed COPY n if paper may exist.
- Intent (state `queued`, attempt n) is stored before the relay is asked; the relay is idempotent by (slip, attempt), so
  that after any crash the same question gets the same slip's fate.
- Age is monotonic, since the box received it. What is too old, or of an unknown age, waits for the cloud's go.
- `printed` is said only with proof L1 or better. Sent but unproven is `unconfirmed`; a late proof always lands.
"""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

from agent import fates, printers, slips
from agent.alerts import Alerts
from agent.door import Door, Refused, RelayGone
from agent.mqtt import Incoming, Mqtt
from agent.order_alerts import OrderAlerts
from agent.outbox import Row
from agent.slips import Slip
from agent.store import DiskBad, Store, get_meta, set_aside, set_meta
from agent.uplink import Uplink
from config.box import Box
from wire import messages
from wire.messages import BadMessage, CancelOrder, CloseOrder, GoOrder, OrderState, PrintOrder, Proof

log = logging.getLogger("tillwire.agent")

TICK_S = 5.0
ASK_AGAIN_S = 15.0  # whether what is held may be printed: the answer may be lost
TOLD_MOST = 5000
WAITING_S = 10.0  # a slip that has not begun by then is told and sounded
RETRY_S, RETRY_MOST_S = 5.0, 60.0  # between attempts whose cause seems to have ended


class Orders:
    def __init__(self, box: Box, store: Store, door: Door, mqtt: Mqtt, uplink: Uplink, alerts: Alerts) -> None:
        self.box, self.store, self.door, self.mqtt, self.uplink, self.alerts = box, store, door, mqtt, uplink, alerts
        self.told = OrderAlerts(alerts, box.alerts.until == "printed")
        self.counters = {"orders": 0, "orders_again": 0, "slips_printed": 0, "bad_orders": 0}
        self.printers: dict[str, dict[str, Any]] = {}
        self._todo: asyncio.Queue[functools.partial[Awaitable[None]]] = asyncio.Queue()
        self._queued_at: dict[str, float] = {}  # slip name -> loop time of its hand-over
        self._asked_at = -1e9  # loop time of the last question about what is held
        self._told: dict[str, int] = {}  # slip name -> outbox row of its last report
        self._caught_up = False  # every fate that the relay told before has been heard
        mqtt.on_message["orders"] = lambda incoming: self._post(self._message, incoming)
        mqtt.on_state.append(lambda up: self._post(self._tell_held) if up else None)
        door.on_open.append(lambda hello: self._post(self._relay_is_back, hello))
        door.listen("fate", lambda event: self._post(self._news, event["fate"]))
        door.listen("printer", self._printer)

    async def run(self) -> None:
        ticker = asyncio.create_task(self._tick(), name="orders-tick")
        try:
            while True:
                work = await self._todo.get()
                try:
                    await work()
                except RelayGone as error:
                    log.info("orders wait for the relay: %s", error)
                except DiskBad as error:
                    self.alerts.raise_("disk", "", str(error))
                    self._caught_up = False
                    if work.func != self._sweep:
                        asyncio.get_running_loop().call_later(RETRY_S, self._todo.put_nowait, work)
        finally:
            ticker.cancel()

    def _post(self, work: Callable[..., Awaitable[None]], *args: Any) -> None:
        self._todo.put_nowait(functools.partial(work, *args))

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            if self._todo.empty():
                self._post(self._sweep)

    # ---- what the cloud says

    async def _message(self, incoming: Incoming) -> None:
        """Store, then acknowledge to the broker, then act. While the disk is bad it is neither: it is tried again."""
        if incoming.retained:  # whoever left it there would have it printed at every reconnect
            self.counters["bad_orders"] += 1
            log.error("topic=%s a retained order is set aside: the cloud never retains orders", incoming.topic)
            await self.store.run(lambda c: set_aside(c, incoming.topic, "a retained order", incoming.payload))
            incoming.done()
            return
        try:
            message = messages.decode("orders", incoming.payload, incoming.topic)
        except BadMessage as error:
            self.counters["bad_orders"] += 1
            log.error("message set aside: %s", error)
            problem = error.problem
            await self.store.run(lambda c: set_aside(c, incoming.topic, problem, incoming.payload))
            incoming.done()
            return
        if isinstance(message, PrintOrder):
            slip = await self._store_order(message)
            incoming.done()
            if slip is not None:
                self.told.came(slip)
                await self._advance(slip)
                if slip.held:  # by this box's clock it is old: the cloud's own says whether it is
                    await self._tell_held(waiting=True)
        elif isinstance(message, CancelOrder):
            found = await self.store.run(functools.partial(fates.cancel, message=message))
            incoming.done()
            for slip in found:
                await self._cancel(slip, message.reason, moves=bool(message.part))
        elif isinstance(message, GoOrder):
            found = await self.store.run(lambda c: slips.of_order(c, message.order))
            for slip in found:
                await self._go(slip, message.go)
            incoming.done()
        elif isinstance(message, CloseOrder):
            found = await self.store.run(lambda c: slips.of_order(c, message.order))
            for slip in found:
                await self._close(slip, message.reason)
            incoming.done()

    async def _store_order(self, order: PrintOrder) -> Slip | None:
        """-> the slip to print; None when there is nothing to do but tell."""
        printer = order.printer or next(iter(self.box.printer))
        told = self._told.get(f"{order.order}/{order.part}/{order.copy_number}", 0)
        receive = functools.partial(fates.receive, order=order, printer=printer, told=told)
        slip, row, fresh = await self.store.run(receive)
        self._tell(slip, row)
        self.counters["orders" if fresh else "orders_again"] += 1
        log.info("order=%s attempt=%d state=%s%s", slip.name, slip.asked, slip.state, "" if fresh else " (sent again)")
        return slip if fresh and slip.state is OrderState.RECEIVED else None

    async def _go(self, slip: Slip, go: bool) -> None:
        waits = slip.state in (OrderState.EXPIRED, OrderState.FAILED) or (
            slip.state is OrderState.RECEIVED and slip.held
        )
        if not waits:
            return
        if go:
            slip = replace(slips.young_again(slip), state=OrderState.RECEIVED, reason="")
            await self._save(slip)
            await self._advance(slip)
        elif slip.state is OrderState.RECEIVED:
            why = "it is older than it may be printed without a go, and the cloud gave none"
            state = OrderState.UNCONFIRMED if slip.on_paper else OrderState.EXPIRED  # a copy of what may be on paper
            await self._save(replace(slip, state=state, held=False, reason=why))
        elif slip.state is OrderState.EXPIRED:  # the cloud knows, and shows it until somebody has seen to it
            await self._save(replace(slip, state=OrderState.CANCELLED, held=False, reason="the cloud gave no go"))

    async def _close(self, slip: Slip, reason: str) -> None:
        """A person dealt with it: it is not tried again, and nothing sounds for it any more."""
        if slip.state is OrderState.QUEUED and slip.copy:  # the copy of an unconfirmed one is not needed any more
            answer = await self.door.ask("withdraw", slip=slip.name, attempt=slip.attempt)
            if answer.get("result") == "too_late":
                return
        elif slip.state not in (OrderState.UNCONFIRMED, OrderState.FAILED, OrderState.EXPIRED, OrderState.CLOSED):
            await self._save(slip)  # it is told how it is
            return
        await self._save(replace(slip, state=OrderState.CLOSED, held=False, reason=reason))

    async def _cancel(self, slip: Slip, reason: str, moves: bool = False) -> None:
        """`moves`: only this slip, because another printer takes it; what is on paper stays wanted."""
        if slip.mark == "stop":
            return
        if slip.state in (OrderState.QUEUED, OrderState.CANCELLING):
            await self._save(replace(slip, state=OrderState.CANCELLING, reason=reason), tell=False)
            answer = await self.door.ask("withdraw", slip=slip.name, attempt=slip.attempt)
            if answer.get("result") in ("withdrawn", "unknown"):
                await self._save(replace(slip, state=OrderState.CANCELLED, reason=reason))
            return  # too late: its fate comes, and then the STOP PREPARING slip
        if slip.state in (OrderState.RECEIVED, OrderState.FAILED, OrderState.EXPIRED):
            if slip.on_paper and not moves:  # an earlier attempt may have been read in the kitchen
                await self._stop_preparing(slip)
            await self._save(replace(slip, state=OrderState.CANCELLED, held=False, reason=reason))
            return
        await self._save(slip)  # printing, printed, unconfirmed, cancelled: told again
        if slip.state in (OrderState.PRINTED, OrderState.UNCONFIRMED) and not moves:
            await self._stop_preparing(slip)

    async def _stop_preparing(self, slip: Slip) -> None:
        self.told.stop(slip)
        stop = slips.young_again(
            replace(
                slip, part=f"{slip.part}.stop", mark="stop", attempt=0, copy=0, state=OrderState.RECEIVED,
                proof=Proof.NONE, reason="", on_paper=0,
            )
        )  # fmt: skip
        new = await self.store.run(functools.partial(fates.put_new, slip=stop))
        if new:
            await self._advance(stop)

    # ---- printing

    async def _advance(self, slip: Slip) -> None:
        """Hand a received slip to the relay, if it may be printed now."""
        if slip.held or not self.door.opened.is_set():
            return
        valid_s = self._valid_s(slip)
        if slip.age_s() is None:
            slip = slips.hold(slip)
        if slip.held:
            await self._save(slip)
            await self._tell_held(waiting=True)
            return
        if valid_s <= 0:
            why = "held: it is older than it may be printed without a go"
            await self._save(replace(slip, state=OrderState.EXPIRED, held=True, reason=why))
            return
        if slip.order_content() is None:
            why = "the box lost the order's content: send it again"
            await self._save(replace(slip, state=OrderState.UNCONFIRMED, reason=why))
            return
        slip = replace(slip, state=OrderState.QUEUED, attempt=slip.attempt + 1)
        await self._save(slip, tell=False)
        await self._hand_over(slip, valid_s)

    async def _hand_over(self, slip: Slip, valid_s: float) -> None:
        """Ask the relay to print; asked twice, it tells the fate of the first time."""
        model = str(self.printers.get(slip.printer, {}).get("model") or "")
        settings = self.box.printer.get(slip.printer)
        on = printers.paper(*([settings.model] if settings else []), model)
        raw = await asyncio.to_thread(printers.render, slip, on)
        self._queued_at.setdefault(slip.name, asyncio.get_running_loop().time())
        try:
            answer = await self.door.ask(
                "print", raw, slip=slip.name, attempt=slip.attempt, printer=slip.printer, copy=slip.copy,
                valid_s=max(1, int(valid_s)),
            )  # fmt: skip
        except Refused as error:  # another attempt, of before agent.db was lost, may be on paper; or no such printer
            state = OrderState.UNCONFIRMED if slip.attempt > 1 and not slip.copy else OrderState.FAILED
            await self._save(replace(slip, state=state, on_paper=max(1, slip.on_paper), reason=str(error)))
            return
        await self._fate(answer["fate"])

    def _valid_s(self, slip: Slip) -> float:
        """Seconds in which it may still begin to print; 0 or less: it needs a go."""
        age = slip.age_s()
        return 0.0 if age is None else min(slip.max_age_s, self.box.orders.max_print_age_s) - age

    # ---- what the relay says

    async def _news(self, fate: dict[str, Any]) -> None:
        await self._fate(fate, self._caught_up)

    async def _fate(self, fate: dict[str, Any], in_turn: bool = False) -> None:
        old, new, row = await self.store.run(functools.partial(fates.apply, fate=fate, in_turn=in_turn))
        if new is None:
            return
        self._tell(new, row)
        if new == old:
            return
        log.info(
            "slip=%s attempt=%d state=%s proof=%s %s", new.name, new.attempt, new.state, new.proof or "none", new.reason
        )
        if new.state is not OrderState.QUEUED:
            self._queued_at.pop(new.name, None)
        if new.held and new.state is OrderState.RECEIVED:
            self._asked_at = -1e9
        await self._settle(new)
        if new.state is OrderState.PRINTED:
            self.counters["slips_printed"] += 1
            if old is not None and old.state is OrderState.QUEUED and old.attempt > int(fate["attempt"]):
                await self.door.ask("withdraw", slip=old.name, attempt=old.attempt)  # the copy is not needed any more
        if new.state in (OrderState.PRINTED, OrderState.UNCONFIRMED) and new.mark != "stop":
            reason = await self.store.run(lambda c: slips.cancelled(c, new.order_id))
            if reason is not None:
                await self._stop_preparing(new)
                return
        if (
            new.state is OrderState.UNCONFIRMED
            and self.box.orders.unconfirmed == "copy"
            and not new.copy
            and new.content
        ):
            copy = replace(
                new, state=OrderState.RECEIVED, mark=new.mark or "copy", copy=max(1, new.on_paper), reason="",
                printer=self._other(new) or new.printer,
            )  # fmt: skip
            await self._save(copy, tell=False)
            await self._advance(copy)

    async def _relay_is_back(self, hello: dict[str, Any]) -> None:
        """Hear what became of slips meanwhile, then go on with what is open."""
        self.printers = dict(hello.get("printers") or {})
        epoch = str(hello.get("epoch") or "")
        known = await self.store.run(lambda c: get_meta(c, "relay_epoch"))
        other = bool(known) and known != epoch
        self._caught_up = False
        if other:  # another journal counts its fates anew
            await self.store.run(lambda c: set_meta(c, "last_fate", "0"))
        after = int(await self.store.run(lambda c: get_meta(c, "last_fate", "0")))
        told: set[tuple[str, int]] = set()
        while True:
            answer = await self.door.ask("fates", after=after)
            some = answer.get("fates") or []
            for fate in some:
                told.add((str(fate["slip"]), int(fate["attempt"])))
                await self._fate(fate, in_turn=True)
            if not some or int(answer.get("last", after)) <= after:
                break
            after = max(int(fate["id"]) for fate in some)
        self._caught_up = True
        if other:
            await self._relay_forgot(told)
        await self.store.run(lambda c: set_meta(c, "relay_epoch", epoch))
        for slip in await self.store.run(slips.unfinished):
            if slip.state is OrderState.QUEUED and slip.age_s() is None:  # the relay never had it, or gives it back
                answer = await self.door.ask("withdraw", slip=slip.name, attempt=slip.attempt)
                if answer.get("result") != "too_late":
                    await self._save(slips.hold(slip))
            elif slip.state is OrderState.QUEUED:
                await self._hand_over(slip, self._valid_s(slip))
            elif slip.state is OrderState.CANCELLING:
                await self._cancel(slip, slip.reason)
        await self._sweep()

    async def _relay_forgot(self, told: set[tuple[str, int]]) -> None:
        """The relay has another journal: of what it had in hand and does not know any more, nobody knows the paper."""
        for slip in await self.store.run(slips.unfinished):
            in_hand = slip.state in (OrderState.QUEUED, OrderState.PRINTING, OrderState.CANCELLING)
            if in_hand and (slip.name, slip.attempt) not in told:
                why = "the relay's journal was lost while it had this slip"
                paper = slip.on_paper + (slip.state is not OrderState.PRINTING)
                await self._save(replace(slip, state=OrderState.UNCONFIRMED, on_paper=paper, reason=why))

    def _printer(self, event: dict[str, Any]) -> None:
        self.printers[str(event["name"])] = dict(event.get("status") or {})
        self._post(self._sweep)

    # ---- what time does

    async def _sweep(self) -> None:
        """Go on with what can go on; tell of what waits too long."""
        now = asyncio.get_running_loop().time()
        open_slips = await self.store.run(slips.unfinished)
        waiting = [slip for slip in open_slips if slip.held and slip.state is OrderState.RECEIVED]
        if waiting and now - self._asked_at >= ASK_AGAIN_S:
            await self._tell_held(waiting=True)
        for slip in open_slips:
            if slip.state is OrderState.RECEIVED and slip.held:
                self.told.waits_for_a_go(slip)
            elif slip.state is OrderState.RECEIVED:
                await self._advance(slip)
            elif slip.state is OrderState.FAILED and self._may_retry(slip, now):
                self._queued_at[slip.name] = now
                other = self._other(slip)
                await self._advance(replace(slip, state=OrderState.RECEIVED, printer=other or slip.printer))
            elif slip.state is OrderState.QUEUED:
                since = self._queued_at.setdefault(slip.name, now)
                problem = printers.trouble(self.printers.get(slip.printer))
                if now - since > WAITING_S and await self._move(slip, problem or "it is busy"):
                    continue
                if now - since > WAITING_S or problem:
                    self.told.waits(slip, self.printers.get(slip.printer), problem)
            if slip.state in (OrderState.RECEIVED, OrderState.QUEUED) and not self.door.opened.is_set():
                self.told.waits_for_the_relay(slip)

    def _may_retry(self, slip: Slip, now: float) -> bool:
        if self._valid_s(slip) <= 0 or not self.door.opened.is_set():
            return False
        pause = min(RETRY_S * 2 ** min(slip.attempt - 1, 6), RETRY_MOST_S)
        well = printers.trouble(self.printers.get(slip.printer)) is None or self._other(slip) is not None
        return well and now - self._queued_at.get(slip.name, -1e9) >= pause

    def _other(self, slip: Slip) -> str | None:
        """A printer of this box that may take it, and is well, where its own is not."""
        if printers.trouble(self.printers.get(slip.printer)) is None:
            return None
        return self._stand_in(slip)

    def _stand_in(self, slip: Slip) -> str | None:
        what = slip.what()
        for name in what.instead if what else ():
            known = self.printers.get(name)
            if name in self.box.printer and name != slip.printer and known and printers.trouble(known) is None:
                return name
        return None

    async def _move(self, slip: Slip, why: str) -> bool:
        """To another printer of this box, once the relay has given it back. -> whether it moved."""
        other = self._stand_in(slip)
        if other is None:
            return False
        answer = await self.door.ask("withdraw", slip=slip.name, attempt=slip.attempt)
        if answer.get("result") != "withdrawn":
            return False
        log.info("slip=%s moves from printer %s to %s: %s", slip.name, slip.printer, other, why)
        moved = await self.store.run(lambda c: slips.get(c, slip.order_id, slip.part, slip.copy_number))
        if moved is None or moved.state not in (OrderState.QUEUED, OrderState.CANCELLED):
            return False
        self._queued_at.pop(slip.name, None)
        reason = f"moved from printer {slip.printer}: {why}"
        await self._advance(replace(slip, state=OrderState.RECEIVED, printer=other, reason=reason))
        return True

    async def _tell_held(self, waiting: bool = False) -> None:
        """After each connect the orders that the box has and has not printed, later those that wait for a go. The cloud
        answers with a go, no go, or a cancel."""
        self._asked_at = asyncio.get_running_loop().time()
        row = await self.store.run(lambda c: fates.hold(c, waiting))
        self.uplink.due(row, True)

    # ---- telling

    async def _save(self, slip: Slip, tell: bool = True) -> None:
        row = await self.store.run(lambda c: slips.put(c, slip, tell))
        self._tell(slip, row)
        if tell:
            log.info("slip=%s attempt=%d state=%s %s", slip.name, slip.attempt, slip.state, slip.reason)
        await self._settle(slip)

    def _tell(self, slip: Slip, row: Row | None) -> None:
        if row is None:
            return
        self._told.pop(slip.name, None)
        self._told[slip.name] = row.id
        if len(self._told) > TOLD_MOST:
            del self._told[next(iter(self._told))]
        self.uplink.due(row, True)

    async def _settle(self, slip: Slip) -> None:
        self.told.settle(slip, await self.store.run(lambda c: slips.of_order(c, slip.order_id)))
