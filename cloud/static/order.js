// The customer's pages without waiting for whole pages. Every form works without this script too.
"use strict";
(() => {
  const $ = (css, root = document) => root.querySelector(css);
  const all = (css, root = document) => [...root.querySelectorAll(css)];

  function put(text, id) {
    const fresh = new DOMParser().parseFromString(text, "text/html").getElementById(id);
    const old = document.getElementById(id);
    if (!fresh || !old) return false;
    const focused = old.contains(document.activeElement) ? document.activeElement.getAttribute("aria-label") : null;
    old.replaceWith(document.adoptNode(fresh));
    if (focused) all("[aria-label]", fresh).find((e) => e.getAttribute("aria-label") === focused)?.focus();
    ready(fresh);
    return true;
  }

  async function send(form, button) {
    const fields = new URLSearchParams(new FormData(form));
    if (button?.name) fields.set(button.name, button.value);
    const answer = await fetch(form.action, { method: "POST", body: fields, headers: { "X-Piece": form.dataset.piece } });
    if (!put(await answer.text(), form.dataset.piece)) throw new Error(answer.status);
    return answer.ok;
  }

  document.addEventListener("submit", async (event) => {
    const form = event.target;
    if (form.dataset.once !== undefined) {
      if (form.dataset.sent) event.preventDefault(); // a second tap: the first is on its way
      form.dataset.sent = "1";
      setTimeout(() => delete form.dataset.sent, 8000);
      return;
    }
    if (!form.dataset.piece) return;
    event.preventDefault();
    if (form.dataset.busy) return;
    form.dataset.busy = "1";
    try {
      if (await send(form, event.submitter)) {
        const plus = $(".plus", form);
        plus?.classList.add("ok");
        setTimeout(() => plus?.classList.remove("ok"), 900);
        const details = form.closest("details");
        if (details) {
          details.open = false;
          form.reset();
          sum(form);
          $("summary", details).focus();
        }
      }
    } catch {
      form.submit(); // the plain way shows what is wrong
    } finally {
      delete form.dataset.busy;
    }
  });

  function sum(form) {
    const shown = $("[data-sum]", form);
    if (!shown) return;
    const picked = all("input:checked", form).reduce((s, i) => s + Number(i.dataset.price), 0);
    const currency = shown.dataset.currency;
    const format = new Intl.NumberFormat("en", { style: "currency", currency, currencyDisplay: "narrowSymbol" });
    const minor = 10 ** format.resolvedOptions().maximumFractionDigits;
    shown.textContent = format.format(((Number(form.dataset.price) + picked) * (Number($("[name=quantity]", form).value) || 1)) / minor);
    for (const group of all("fieldset[data-most]", form)) { // as many as may be, at least as many as must be
      const boxes = all("input[type=checkbox]", group);
      const n = boxes.filter((b) => b.checked).length;
      for (const box of boxes) if (!box.checked && !box.dataset.off) box.disabled = n >= Number(group.dataset.most);
      boxes[0]?.setCustomValidity(n < Number(group.dataset.least) ? $("small", group).textContent : "");
    }
  }

  function delivery() {
    const field = $("[data-for=delivery]");
    if (!field) return;
    const chosen = $("input[name=kind]:checked")?.value || $("input[name=kind]")?.value;
    field.hidden = chosen !== "delivery";
    $("input", field).required = $("input[name=phone]").required = chosen === "delivery";
  }

  function ready(root) {
    for (const form of all("form[data-price]", root)) {
      for (const input of all("input[disabled]", form)) input.dataset.off = "1";
      sum(form);
      form.addEventListener("input", () => sum(form));
    }
    const where = $("[data-where]", root);
    if (where && navigator.geolocation && isSecureContext) {
      where.hidden = false;
      $("[data-locate]", where).addEventListener("click", () => {
        navigator.geolocation.getCurrentPosition(
          (found) => {
            where.elements.latitude.value = found.coords.latitude.toFixed(4);
            where.elements.longitude.value = found.coords.longitude.toFixed(4);
            where.submit();
          },
          () => where.submit(),
          { maximumAge: 600000, timeout: 8000 },
        );
      });
    }
    delivery();
  }

  document.addEventListener("change", delivery);
  addEventListener("pageshow", () => all("[data-sent]").forEach((form) => delete form.dataset.sent));
  ready(document);

  const live = document.body.dataset.follow;
  if (live) {
    const source = new EventSource(live);
    source.addEventListener("state", (event) => put(JSON.parse(event.data).html, "state"));
    source.addEventListener("error", () => {
      if (source.readyState === EventSource.CLOSED) setTimeout(() => location.reload(), 10000);
    });
  }
})();
