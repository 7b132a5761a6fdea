"""For every test: hypothesis looks for wrong answers, not for slow ones. Speed is measured by `make bench`."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

settings.register_profile("tillwire", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("tillwire")
