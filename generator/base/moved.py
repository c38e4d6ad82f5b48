"""Where the modules of version 0.1 are now: scripts and notebooks of that time still find them, until 0.3.

An old module's name gives a module without content of its own that looks each of its names up in the new ones.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_loader
from types import ModuleType

PACKAGE = "generator"
MODULES: Mapping[str, str] = {  # name in 0.1 -> the modules that hold what was in it
    "augment": "training.augment records.recipe",
    "cards": "networks.card",
    "check": "publishing.check",
    "checkpoints": "networks.folder networks.foreign training.resume records.stored records.consistent",
    "class_images": "inspection.prototypes",
    "classes": "data.classes",
    "compress": "networks.compress",
    "deploy": "publishing.deploy",
    "download": "data.download",
    "environment": "base.environment",
    "errors": "base.errors",
    "evaluate": "evaluation.scores evaluation.answers",
    "exports": "publishing.exports",
    "faithfulness": "evaluation.trust evaluation.pointing evaluation.perturbation evaluation.randomisation",
    "inputs": "config.digests config.places",
    "installation": "base.installation",
    "methods": "explain.methods evaluation.trust",
    "models": "networks.catalogue networks.loaded networks.published",
    "observe": "inspection.photo inspection.network inspection.patches inspection.prototypes",
    "parallel": "training.parallel",
    "patches": "inspection.patches",
    "photos": "data.image_files data.preprocessing",
    "predict": "evaluation.answers",
    "published": "publishing.published",
    "samples": "data.samples",
    "scaffold": "publishing.scaffold",
    "selection": "inspection.selection",
    "serve": "publishing.serve",
    "terminal": "base.terminal",
    "tiny_imagenet": "data.tiny_imagenet data.folder data.dataset",
    "train": "training.fit records.recipe",
    "workshop": "training.run evaluation.evaluation",
    "writer": "publishing.writer",
}
NAMES: Mapping[str, Mapping[str, str]] = {  # of modules whose name is a wing's now
    "config": {"load": "config.reading", "bundled": "config.places"},
    "networks": {
        "SmallCNN": "networks.small_cnn",
        "initialise": "networks.architecture",
        "fitted": "networks.inputs",
        "normalise": "networks.inputs",
    },
    "__main__": {"_watched": "commands.serve"},
    "pages.site": {"_sitemap": "pages.static", "_robots": "pages.static"},
}


class _Old(ModuleType):
    """An old module: what it held is looked up where it is now."""

    def __getattr__(self, name: str) -> object:
        return look_up(self.__name__, name)


class _Finder(MetaPathFinder, Loader):
    """Finds old modules that have no new one of their name."""

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,  # noqa: ARG002 (importlib's signature)
        target: ModuleType | None = None,  # noqa: ARG002
    ) -> ModuleSpec | None:
        package, _, name = fullname.rpartition(".")
        return spec_from_loader(fullname, self) if package == PACKAGE and name in MODULES else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return _Old(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Nothing: see `_Old`."""


def look_up(module: str, name: str) -> object:
    """What an old module had by that name.

    Raises:
        AttributeError: it is no longer there.
    """
    old = module.removeprefix(f"{PACKAGE}.")
    if not name.startswith("__"):
        for new in (MODULES.get(old) or NAMES.get(old, {}).get(name, "")).split():
            found = importlib.import_module(f"{PACKAGE}.{new}")
            for known in (name, name.lstrip("_")):  # what left its module lost the underscore
                if hasattr(found, known):
                    return getattr(found, known)
    raise AttributeError(f"module {module!r} has no attribute {name!r}")


def install() -> None:
    """Let old names be imported, after all others."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.append(_Finder())
