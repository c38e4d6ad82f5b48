"""Hostile and broken input drawn by hypothesis, the same at every run: no traceback, no hang, nothing lost.

All of this folder together takes about a minute: a test here says with `settings(max_examples=...)` what it may cost.
"""

from hypothesis import HealthCheck, settings

settings.register_profile(
    "seeded",
    derandomize=True,
    database=None,
    deadline=None,  # the machine is shared; what hangs is found by a limit of the test's own
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.load_profile("seeded")
