"""The merchant's console: server-rendered pages, one small script, live by server-sent events.

Adding a page:
1. `console/NAME.py` with `routes(desk)`, a list of Litestar handlers; `who = await desk.reader(request, scope)` says
   who looks (a stranger is sent to the log-in), `await desk.acting(request, scope)` guards what changes something,
   and `desk.page(request, who, "NAME.html", ...)` answers. Errors are raised as cloud.api.problem.Problem.
2. `templates/NAME.html` begins with {% extends "console.html" %} and fills the blocks `title` and `main`
   (`head` for a script or style sheet of its own; no inline script or style: the policy is strict). Forms post with
   {{ frame.csrf(who) }}, after {% import "frame.html" as frame %}.
3. Its sentences stand in `locales/LANGUAGE/AREA.toml`, in every language, and are said with {{ t("AREA.TABLE.NAME") }}.
4. Its word in `pages.PAGES`, its line in `places.MENU` or `places.SETUP`, and its addresses in
   tests/cloud/test_tenants.py.
"""
