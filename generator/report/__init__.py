"""The report's pages, a folder each: what a page finds, says and draws. From records to figures and sentences.

Called, `generator.report(model, test_set)` makes a report of a network in memory: see `generator.commands.notebook`.
"""

from __future__ import annotations

import sys

from generator.base.callable import CallablePackage

CALLS = "generator.commands.notebook:report"

sys.modules[__name__].__class__ = CallablePackage
