"""What we measure ourselves against. `python -m bench [PART ...]`; the last figures stand in RESULTS.md."""
