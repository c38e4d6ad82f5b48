"""The commands' options: names, help texts, and the types that refuse what cannot be meant."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from generator import __version__
from generator.base import terminal
from generator.base.errors import PROGRAM
from generator.commands.build import build_command, inspect_command
from generator.commands.evaluate import evaluate_command, predict_command
from generator.commands.own import add_options
from generator.commands.publish import check_command, deploy_command, export_command, init_command
from generator.commands.serve import serve_command
from generator.commands.train import compress_command, train_command


class _Parser(argparse.ArgumentParser):
    """Says what it says by `terminal`, so that help that nobody could read is no success."""

    def print_help(self, file: object = None) -> None:  # noqa: ARG002 (it is always standard output)
        for line in self.format_help().rstrip("\n").split("\n"):
            terminal.result(line)

    def error(self, message: str) -> NoReturn:
        super().error(terminal.plain(message))


class _Version(argparse.Action):
    """--version, said as help is."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        terminal.result(f"cnn-report {__version__}")
        parser.exit()


def parser() -> argparse.ArgumentParser:
    """The parser of the whole command line."""
    parser = _Parser(
        prog=PROGRAM,
        description="Show what a convolutional network learnt: a static site with its training, filters, feature maps "
        "and Grad-CAM maps.",
        epilog=f"Start with: {PROGRAM} build",
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="show the program's version number and exit")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    build = _command(commands, "build", build_command, "make the report: site/index.html")
    _data_options(build)
    build.add_argument("--out", type=Path, metavar="DIR", help="where the site goes (default: site beside report.toml)")
    build.add_argument("--force", action="store_true", help="build even if nothing has changed, and look at all again")
    build.add_argument(
        "--strict", action="store_true", help="keep the previous site if `check` finds the new one broken"
    )
    build.add_argument(
        "--draft", action="store_true", help="leave out what takes long and is not known yet, and say what that is"
    )
    build.add_argument(
        "--methods",
        metavar="NAMES",
        help="of explaining, with commas between, such as Grad-CAM,occlusion (default: [explain] methods)",
    )
    _device_option(build)
    build.add_argument("--base-url", metavar="URL", help="where the site will be (default: [report] base_url)")
    add_options(build)

    inspect = _command(
        commands, "inspect", inspect_command, "say how a network and its data are read, building nothing"
    )
    _data_options(inspect)
    _device_option(inspect)
    add_options(inspect)

    train = _command(commands, "train", train_command, "train a network into models/<model>")
    train.add_argument("model", metavar="ID", help="of a network in report.toml: cnn, alexnet, or one of your own")
    _data_options(train)
    train.add_argument(
        "--preset", default="default", help='quick, default, best, distilled, "one batch" or "without augmentation"'
    )
    train.add_argument("--folder", type=Path, metavar="DIR", help="where the model goes (default: models/<model>)")
    train.add_argument("--resume", action="store_true", help="go on with the run that was interrupted")
    train.add_argument("--from", dest="start", type=Path, metavar="DIR", help="a trained model to go on from")
    train.add_argument(
        "--teacher",
        dest="teachers",
        action="append",
        type=Path,
        default=[],
        metavar="DIR",
        help="a trained model whose answers the preset distilled learns from; may be given again",
    )
    train.add_argument("--epochs", type=_positive, metavar="N", help="instead of the preset's")
    train.add_argument("--batch", type=_positive, metavar="N", help="images a step")
    train.add_argument("--lr", dest="learning_rate", type=_rate, metavar="X", help="peak learning rate")
    train.add_argument(
        "--patience", type=_positive, metavar="N", help="stop after N epochs without a better validation accuracy"
    )
    train.add_argument("--seed", type=_seed, metavar="N", help="of the weights, the order and the augmentation")
    _device_option(train)
    train.add_argument("--precision", choices=("auto", "float32", "bfloat16"), help="arithmetic (default: measured)")

    compress = _command(commands, "compress", compress_command, "make a model's weights small: 4-bit and 8-bit codes")
    compress.add_argument("model", metavar="ID", help="of a network in report.toml: cnn, alexnet, or one of your own")
    compress.add_argument("--folder", type=Path, metavar="DIR", help="the model's folder (default: models/<model>)")

    evaluate = _command(commands, "evaluate", evaluate_command, "score a network: models/<model>/evaluation.json")
    evaluate.add_argument("model", metavar="ID", help="of a network in report.toml: cnn, alexnet, or one of your own")
    _data_options(evaluate)
    evaluate.add_argument("--split", metavar="PART", help="only this part, such as test; nothing is written or counted")
    evaluate.add_argument(
        "--mirror", action="store_true", help="score each image together with its mirror image, too: twice the time"
    )
    _device_option(evaluate)
    evaluate.add_argument("--json", action="store_true", help="print all scores as JSON")

    predict = _command(commands, "predict", predict_command, "name the class of each image in a folder, as CSV")
    predict.add_argument("folder", type=Path, metavar="DIR")
    predict.add_argument("--model", metavar="ID", help="of a network in report.toml (default: the first)")
    _device_option(predict)
    predict.add_argument("--csv", type=Path, metavar="FILE", required=True, help="header Id,Category")
    _data_options(predict)

    serve = _command(commands, "serve", serve_command, "show the site in a browser, on this machine only")
    _data_options(serve)
    _out_option(serve)
    _device_option(serve)
    serve.add_argument("--port", type=_positive, metavar="N", help="default: the first free one from 8000 on")

    checking = _command(commands, "check", check_command, "look for what is broken in the site, before its visitors do")
    _out_option(checking)
    checking.add_argument("--json", action="store_true", help="print all findings as JSON")
    # `build` knows the word, so whoever writes it here should not be refused.
    checking.add_argument("--strict", action="store_true", help="as it always is: any fault is an error")

    export = _command(
        commands, "export", export_command, "carry the site into a portfolio, onto a page, into a notebook"
    )
    export.add_argument(
        "--to",
        choices=("jekyll", "hugo", "fragment", "notebook"),
        required=True,
        help="jekyll, hugo: an entry of the portfolio in DEST and the site beside it; "
        "fragment: one piece of HTML for any page; notebook: .ipynb and .html",
    )
    export.add_argument("dest", type=Path, metavar="DEST", help="the Jekyll or Hugo site, the HTML file, the folder")
    _out_option(export)
    export.add_argument("--slug", metavar="NAME", help="of the entry in addresses (default: from the title)")
    export.add_argument("--force", action="store_true", help="write over files that no export made, and edited ones")

    deploy = _command(
        commands, "deploy", deploy_command, "commit the site to a branch for a static host; --push sends it"
    )
    _out_option(deploy)
    deploy.add_argument("--branch", default="gh-pages", metavar="NAME", help="default: gh-pages")
    deploy.add_argument("--remote", default="origin", metavar="NAME", help="default: origin")
    deploy.add_argument("--push", action="store_true", help="send the branch to the remote")
    deploy.add_argument("--force", action="store_true", help="replace a branch that holds other files")

    init = _command(commands, "init", init_command, "begin a report of your own in a new folder")
    init.add_argument("folder", type=Path, metavar="DIR")
    init.add_argument("--data", type=Path, metavar="DIR", help="the data set of a network of your own")
    add_options(init)
    return parser


def _out_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", type=Path, metavar="DIR", help="the site (default: site beside report.toml)")


def _command(
    commands: argparse._SubParsersAction[_Parser],
    name: str,
    run: Callable[[argparse.Namespace], None],
    words: str,
) -> argparse.ArgumentParser:
    parser = commands.add_parser(name, help=words, description=words[0].upper() + words[1:] + ".")
    parser.set_defaults(run=run)
    parser.add_argument("--config", type=Path, metavar="FILE", help="default: report.toml here, else the bundled one")
    parser.add_argument("--debug", action="store_true", help="before an error, say where it came from: the whole trace")
    return parser


def _data_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--data",
        type=Path,
        metavar="DIR",
        help="Tiny ImageNet, a folder of images for each class, alone or below train, val and test, a list of images "
        "and classes, MNIST's or CIFAR's files, file.py:name (default: the variable TINY_IMAGENET, else [data] root)",
    )
    parser.add_argument("--offline", action="store_true", help="download nothing")


def _device_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--device",
        type=_device,
        default="auto",
        metavar="NAME",
        help="where networks run: auto, cpu, cuda, cuda:N or mps (default: auto, a GPU where PyTorch finds one)",
    )


def _device(text: str) -> str:
    if not re.fullmatch(r"auto|cpu|cuda(:\d{1,3})?|mps", text):
        raise ValueError(text)
    return text


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError(text)
    return number


def _rate(text: str) -> float:
    number = float(text)
    if not 0 < number < float("inf"):
        raise ValueError(text)
    return number


def _seed(text: str) -> int:
    number = int(text)
    if not 0 <= number < 2**32:
        raise ValueError(text)
    return number


# argparse's errors speak of these
_positive.__name__, _rate.__name__, _seed.__name__ = "whole number above 0", "number above 0", "seed below 2^32"
_device.__name__ = "device (auto, cpu, cuda, cuda:N or mps)"
