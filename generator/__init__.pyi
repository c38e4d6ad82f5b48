# What editors and type checkers see: `generator.report` is a package too, but to them no package can be called.

from generator.commands.notebook import report as report

__version__: str
