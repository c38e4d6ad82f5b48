"""An architecture by the name of what makes it: "package.module:name", or "file.py:Name" below report.toml's folder.

Somebody else's code is run where it is named, see `base.own_code`. "timm:NAME", "hf:FOLDER" and files of whole networks
have their rooms in `networks.sources`.
"""

from __future__ import annotations

import difflib
import importlib
import inspect
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import ModuleType
from typing import Any

from torch import nn

from generator.base import own_code
from generator.base.digest import digest
from generator.base.errors import InputError
from generator.config.places import FOLDER, code_files, is_program
from generator.networks.architecture import GENERAL, Architecture
from generator.networks.sources import folders, timm_models
from generator.records.input import Input, square

# What torchvision's classification weights are fed with, where nobody says otherwise.
TORCHVISION = Input((224, 224), 256)


def architecture(name: str, folder: Path) -> Architecture:
    """What the program knows of an architecture that is none of its own.

    Args:
        name: "package.module:name" or "file.py:Name"; the name of a class or a function that makes an nn.Module, and
            takes the number of classes as `num_classes`, `classes` or `n_classes` if it takes it at all. Or
            "timm:NAME", "hf:FOLDER" or "FILE.pt2".
        folder: report.toml's, below which a file must lie.
    """
    if name.startswith("timm:"):
        return timm_models.architecture(name)
    if name.startswith(FOLDER):
        return folders.architecture(name, folder / name.removeprefix(FOLDER))
    if is_program(name):
        return _program(name, folder)

    def construct(classes: int, **arguments: Any) -> nn.Module:
        return _made(name, constructor(name, folder), classes, arguments)

    return Architecture(
        name=name,
        title=name.rpartition(":")[2],
        construct=construct,
        input=TORCHVISION if name.startswith("torchvision.") else square(64),
        purpose=f"a network of the architecture {name} with {{}} convolutions",
        presets=GENERAL,
        usual_for="a network of torchvision's" if name.startswith("torchvision.") else "",
        code=_code(name, folder),
    )


def is_file(name: str) -> bool:
    """Whether an architecture's name is that of a file: "file.py:Name", "FILE.pt2"."""
    return is_program(name) or name.rpartition(":")[0].endswith(".py")


def _program(name: str, folder: Path) -> Architecture:
    """A whole network from a file, which is loaded with its weights and not made."""
    path = (folder / name).resolve()
    if not path.is_relative_to(folder.resolve()):
        raise InputError(f"architecture {name!r}: expected a file below {folder}, it lies elsewhere")

    def construct(classes: int, **arguments: Any) -> nn.Module:  # noqa: ARG001 - as all are called
        raise InputError(
            f"architecture {name!r}: expected one that can be made anew, a whole network cannot; name its class"
        )

    return Architecture(
        name=name,
        title=path.stem,
        construct=construct,
        input=square(64),
        purpose=f"a whole network from {path.name} with {{}} convolutions",
        presets=GENERAL,
    )


def _code(name: str, folder: Path) -> str:
    """Digest of what makes the networks of a name: the user's files beside it, or the version of its package."""
    where = name.rpartition(":")[0]
    if name.rpartition(":")[0].endswith(".py"):
        beside = (folder / where).parent
        return digest([(str(file.relative_to(beside)), file.read_bytes()) for file in code_files(name, folder)])
    package = where.partition(".")[0]
    try:
        return digest(package, version(package))
    except (PackageNotFoundError, ValueError):  # ValueError: of no name
        return digest(package)


def constructor(name: str, folder: Path) -> Callable[..., nn.Module]:
    """The class or function that a name means.

    Raises:
        InputError: where the name leads nowhere, or what it names cannot be imported or called.
    """
    where, _, attribute = name.rpartition(":")
    if not where or not attribute:
        raise InputError(f"architecture {name!r}: expected the form package.module:name or file.py:Name")
    if not is_file(name) and not all(part.isidentifier() for part in where.split(".")):
        raise InputError(f"architecture {name!r}: expected the form package.module:name of something importable")
    with own_code.told(f"architecture {name!r}"):
        try:
            module = (
                own_code.imported(where, folder, f"architecture {where!r}")
                if is_file(name)
                else importlib.import_module(where)
            )
        except ImportError as error:
            raise InputError(
                f"architecture {name!r}: expected the form package.module:name of something importable ({error})"
            ) from error
        found: Any = module
        for part in attribute.split("."):
            if not hasattr(found, part):
                raise InputError(
                    f"architecture {name!r}: expected {attribute} in {where}, found none{_near(module, attribute)}"
                )
            found = getattr(found, part)
    if isinstance(found, nn.Module):
        raise InputError(
            f"architecture {name!r}: expected a class or function that makes an nn.Module, it is one that was made, "
            f"{type(found).__name__}; name its class"
        )
    if not callable(found):
        raise InputError(f"architecture {name!r}: expected a class or function that makes an nn.Module")
    made: Callable[..., nn.Module] = found
    return made


def _near(module: ModuleType, attribute: str) -> str:
    """What a module has that may have been meant, as the end of a line."""
    near = difflib.get_close_matches(attribute, [each for each, value in vars(module).items() if callable(value)])
    own = [each for each, value in vars(module).items() if inspect.isclass(value) and issubclass(value, nn.Module)]
    return f"; it has {', '.join(near or own[:5])}" if near or own else ""


def _made(name: str, make: Callable[..., nn.Module], classes: int, arguments: dict[str, Any]) -> nn.Module:
    """A network of so many classes, if its maker asks for their number."""
    try:
        parameters = dict(inspect.signature(make).parameters)
    except (TypeError, ValueError):  # of a built-in
        parameters = {}
    asked = [word for word in ("num_classes", "classes", "n_classes") if word in parameters and word not in arguments]
    # torchvision's functions hand any further argument on to their class, which knows this one.
    open_ended = any(each.kind is inspect.Parameter.VAR_KEYWORD for each in parameters.values())
    given: dict[str, Any] = {asked[0]: classes} if asked else {}
    if open_ended and not asked and "num_classes" not in arguments:
        given = {"num_classes": classes}
    missing = [
        each.name
        for each in parameters.values()
        if each.default is each.empty and each.kind in (each.POSITIONAL_OR_KEYWORD, each.KEYWORD_ONLY)
        if each.name not in given | arguments
    ]
    if missing:
        told = ", ".join(f"{each} = ..." for each in missing)
        raise InputError(
            f"architecture {name!r}: expected the arguments that it needs, {', '.join(missing)}; say them with "
            f'--arguments "{told}", or in report.toml: arguments = {{{told}}}'
        )
    with own_code.told(f"architecture {name!r}"):
        made = make(**(given | arguments))
    if not isinstance(made, nn.Module):
        raise InputError(f"architecture {name!r}: expected an nn.Module, it made {type(made).__name__}")
    return made
