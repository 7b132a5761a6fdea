// The live page: pieces of it arrive as HTML that the server has escaped, and take the place of the old ones.
"use strict";
(() => {
  const body = document.body;
  const two = (n) => String(n).padStart(2, "0");

  function localTimes(root) {
    for (const t of root.querySelectorAll("time[datetime]")) {
      const when = new Date(t.dateTime);
      if (isNaN(when)) continue;
      const day = when.toDateString() === new Date().toDateString();
      const date = `${when.getFullYear()}-${two(when.getMonth() + 1)}-${two(when.getDate())}`;
      const clock = `${two(when.getHours())}:${two(when.getMinutes())}`;
      t.textContent = t.hasAttribute("data-full") ? `${date} ${clock}:${two(when.getSeconds())}` : day ? clock : `${date.slice(5)} ${clock}`;
      t.title = when.toLocaleString();
    }
  }

  function countdowns() {
    for (const c of document.querySelectorAll(".countdown")) {
      const left = new Date(c.dataset.until) - Date.now();
      c.dataset.whole ||= Math.max(left, 1);
      c.style.setProperty("--left", `${Math.max(0, Math.min(100, (100 * left) / Math.max(c.dataset.whole, 600000)))}%`);
      const said = c.nextElementSibling;
      if (said) said.textContent = left > 0 ? `${Math.ceil(left / 60000)} ${body.dataset.sayLeft}` : body.dataset.sayOver;
    }
  }

  function take(piece) {
    const holder = document.createElement("template");
    holder.innerHTML = piece.html;
    const fresh = holder.content.firstElementChild;
    if (!fresh) return;
    localTimes(fresh);
    const old = document.getElementById(piece.id);
    if (old) {
      if ((old.querySelector(".reasons") || old.querySelector("[name=minutes]")?.value) && old.dataset.state === fresh.dataset.state) return; // someone is choosing
      const focused = old.contains(document.activeElement) ? document.activeElement.dataset.do : null;
      old.replaceWith(fresh);
      if (focused) fresh.querySelector(`[data-do="${focused}"]`)?.focus();
      return;
    }
    const slot = document.getElementById(piece.slot);
    if (!slot) return;
    fresh.classList.add("new");
    slot.prepend(fresh);
    const most = Number(slot.dataset.most);
    const cards = slot.querySelectorAll(":scope > article");
    for (let n = most; n < cards.length; n++) cards[n].remove();
  }

  function pulse(state, text) {
    const p = document.getElementById("pulse");
    p.dataset.state = state;
    p.lastElementChild.textContent = text;
  }

  async function send(path, fields) {
    const answer = await fetch(path, {
      method: "POST",
      headers: { "X-CSRF-Token": body.dataset.csrf },
      body: new URLSearchParams(fields),
    });
    if (answer.status === 401) location.assign("/login");
    if (!answer.ok) {
      const problem = await answer.json().catch(() => ({}));
      throw new Error(problem.detail || body.dataset.sayDidNotWork);
    }
  }

  async function act(card, path, fields) {
    for (const b of card.querySelectorAll("button")) b.disabled = true;
    try {
      await send(path, fields);
    } catch (error) {
      const p = document.createElement("p");
      p.className = "problem";
      p.setAttribute("role", "alert");
      p.textContent = error.message;
      card.querySelector(".problem")?.remove();
      card.append(p);
      for (const b of card.querySelectorAll("button")) b.disabled = false;
    }
  }

  document.addEventListener("click", (event) => {
    const button = event.target.closest("button[data-do], button[data-clear]");
    if (!button) return;
    if (button.dataset.clear) {
      act(button.closest(".alarm"), "/alarms/clear", { kind: button.dataset.clear, object: button.dataset.object });
      return;
    }
    const card = button.closest("[data-order]");
    const path = `/orders/${card.dataset.order}`;
    if (button.dataset.do === "reject") {
      const form = document.getElementById("reject-form").content.firstElementChild.cloneNode(true);
      form.addEventListener("submit", (e) => {
        e.preventDefault();
        const fields = { code: form.elements.code.value, reason: form.elements.reason.value };
        form.remove();
        act(card, `${path}/reject`, fields);
      });
      card.querySelector(".buttons").hidden = true;
      card.querySelector(".buttons").style.display = "none";
      card.append(form);
      form.querySelector("select").focus();
    } else if (button.dataset.do === "back") {
      card.querySelector(".buttons").hidden = false;
      card.querySelector(".buttons").style.display = "";
      card.querySelector(".reasons").remove();
    } else if (button.dataset.sure === undefined || confirm(`${button.textContent.trim()}: ${body.dataset.saySure}`)) {
      const minutes = button.dataset.do === "accept" && card.querySelector("[name=minutes]")?.value;
      act(card, `${path}/${button.dataset.do}`, minutes ? { minutes } : {});
    }
  });

  // What cannot be taken back is asked for twice; "Back" keeps what was typed.
  document.addEventListener("click", (event) => {
    const button = event.target.closest("button.danger:not([aria-pressed])");
    if (button && !confirm(`${button.textContent.trim()}: ${body.dataset.saySure}`)) event.preventDefault();
    if (event.target.closest("[data-back]") && history.length > 1) {
      event.preventDefault();
      history.back();
    }
  });

  // A form that is refused stays as it was typed, with the reason below it.
  document.addEventListener("submit", async (event) => {
    const form = event.target;
    if (event.defaultPrevented || !form.matches("[data-stay]")) return;
    event.preventDefault();
    const fields = new FormData(form, event.submitter);
    const files = form.enctype === "multipart/form-data";
    const where = event.submitter?.getAttribute("formaction") || form.getAttribute("action"); // it may have a field "action"
    if (form.contains(event.submitter)) event.submitter.disabled = true;
    form.querySelector(":scope > .problem")?.remove();
    let wrong = document.createElement("p");
    wrong.textContent = body.dataset.sayAway;
    try {
      const answer = await fetch(where, {
        method: "POST",
        headers: { Accept: "text/html" },
        body: files ? fields : new URLSearchParams(fields),
      });
      if (answer.ok) {
        const next = new URL(answer.url);
        if (next.pathname + next.search === location.pathname + location.search) location.reload();
        else location.assign(next);
        return;
      }
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      wrong = page.querySelector(".problem") || wrong;
    } catch { /* the line is gone */ }
    wrong.className = "problem";
    wrong.tabIndex = -1;
    wrong.setAttribute("role", "alert");
    form.append(wrong);
    wrong.focus();
    if (event.submitter) event.submitter.disabled = false;
  });

  // A sound for orders that wait, until nobody waits: browsers allow it once the person has asked for it.
  let sounds = null;
  function ding() {
    if (!sounds || !document.querySelector('[data-state="review"]')) return;
    for (const [note, start] of [[880, 0], [1175, 0.18]]) {
      const tone = sounds.createOscillator();
      const loud = sounds.createGain();
      tone.frequency.value = note;
      loud.gain.setValueAtTime(0.25, sounds.currentTime + start);
      loud.gain.exponentialRampToValueAtTime(0.001, sounds.currentTime + start + 0.5);
      tone.connect(loud).connect(sounds.destination);
      tone.start(sounds.currentTime + start);
      tone.stop(sounds.currentTime + start + 0.6);
    }
  }
  document.getElementById("sound")?.addEventListener("click", (event) => {
    const on = event.currentTarget.getAttribute("aria-pressed") !== "true";
    event.currentTarget.setAttribute("aria-pressed", String(on));
    if (on) sounds ||= new AudioContext();
    else { sounds?.close(); sounds = null; }
    ding();
  });
  setInterval(ding, 8000);

  // A picture of what a form describes, made anew while it is changed.
  for (const form of document.querySelectorAll("form[data-preview]")) {
    const picture = document.querySelector(".preview img");
    const wrong = document.querySelector(".preview .problem");
    let waiting;
    const look = () => {
      const fields = new URLSearchParams([...new FormData(form)].filter(([name, value]) => name !== "csrf" && typeof value === "string"));
      fields.set("form", "1");
      picture.src = `${form.dataset.preview}?${fields}`;
    };
    picture.addEventListener("load", () => { wrong.hidden = true; });
    picture.addEventListener("error", () => { wrong.hidden = false; });
    form.addEventListener("input", () => { clearTimeout(waiting); waiting = setTimeout(look, 400); });
  }

  localTimes(document);
  for (const here of document.querySelectorAll(".tabs [aria-current], .choose .pill[aria-current]"))
    here.scrollIntoView({ block: "nearest", inline: "center" });
  if (body.classList.contains("live")) {
    countdowns();
    setInterval(countdowns, 1000);
    const source = new EventSource(`/live?after=${encodeURIComponent(body.dataset.after)}`);
    source.addEventListener("hello", () => pulse("live", body.dataset.sayLive));
    // What comes while a finger is down waits: a button that is replaced or moves away in mid-tap was not tapped.
    let pressed = 0;
    const waiting = [];
    const bring = () => { if (Date.now() - pressed > 1000) waiting.splice(0).forEach(take); };
    const lift = () => setTimeout(() => { pressed = 0; bring(); });
    document.addEventListener("pointerdown", () => { pressed = Date.now(); setTimeout(bring, 1100); });
    for (const end of ["pointerup", "pointercancel"]) document.addEventListener(end, lift);
    source.addEventListener("news", (event) => { waiting.push(...JSON.parse(event.data)); bring(); });
    source.addEventListener("error", () => {
      pulse("gone", source.readyState === EventSource.CLOSED ? body.dataset.sayGone : body.dataset.sayConnectingAgain);
      if (source.readyState === EventSource.CLOSED) setTimeout(() => location.reload(), 5000);
    });
  }
})();
