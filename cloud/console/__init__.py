"""The merchant's console: server-rendered pages, one small script, live by server-sent events."""
