"""The sentences of the pages about trust, about how a network was judged, and about the page that runs one."""

from __future__ import annotations

import re
from typing import Any

from tests.pages.truth.rules import Said, main_run, net, rule, split, took
from tests.pages.truth.text import NUMBER, Piece, lasting, listed, same, share, value

GAP = rf"(.+?) by ({NUMBER}) points \(({NUMBER}) to ({NUMBER})\)"
EVEN = rf"(.+?) \(({NUMBER}), ({NUMBER}) to ({NUMBER}) points\)"
ORDERS = {
    "in random patches": "random",
    "from the centre outwards": "centre out",
    "in the order of a wrong class's map": "wrong class",
}


def faith(piece: Piece, said: Said) -> Any:
    return net(piece, said)["evaluation"]["faithfulness"]


def rows(piece: Piece, said: Said, small: bool) -> list[Any]:
    return [row for row in faith(piece, said)["localisation"] if row["small"] == small]


def of_method(found: list[Any], method: str) -> Any:
    return next(row for row in found if row["method"] == method)


def gap_is(said: tuple[str, ...], gap: Any) -> None:
    """ "8.0 points (6.0 to 10.0)", without signs, is that difference."""
    low, high = sorted((abs(gap["low"]), abs(gap["high"])))
    for number, truth in zip(said, (abs(gap["mean"]), low, high), strict=True):
        same(number, truth * 100)


def verdicts(text: str, gaps: dict[str, Any]) -> None:
    """ "A by .. and B by .. beat it; C by .. loses to it; D (..) cannot be told apart from it": each method once, rightly."""
    left = dict(gaps)
    for part in text.split("; "):
        even = re.fullmatch(r"(.+) cannot be told apart from .+", part)
        judged = even or re.fullmatch(r"(.+) (?:beats?|loses? to) (?:it|the centre point|the centre)", part)
        assert judged, part
        for one in re.split(r"(?<=\)), | and ", judged[1]):
            found = re.fullmatch(EVEN if even else GAP, one)
            assert found, one
            gap = left.pop(found[1])
            if even:
                assert gap["low"] <= 0 <= gap["high"], part
                for number, key in zip(found.groups()[1:], ("mean", "low", "high"), strict=True):
                    same(number, gap[key] * 100)
            else:
                assert gap["low"] > 0 if "beat" in part else gap["high"] < 0, part
                gap_is(found.groups()[1:], gap)
    assert not left, f"nothing is said of {[*left]}"


@rule(
    "On «n» «w:images», the brightest point of «net»'s «w:method» map for the true class lies in the object's box «p%» of the "
    "time; so would the image's centre, «centre%» of the time.⟦ Where the box is under a quarter of the image, it is «small%» "
    "against «middle%»: that «w:stands»⟦; of all methods «w:best» does best there and «w:it»⟧.⟧"
)
def _lead(piece: Piece, said: Said) -> None:
    first = rows(piece, said, small=False)[0]
    assert said["method"] == first["method"]
    same(said["n"], first["count"])
    share(said["p"], first["pointing"]["value"]["mean"], first["count"])
    share(said["centre"], first["pointing"]["baselines"]["centre"]["mean"], first["count"])
    few = rows(piece, said, small=True)
    if not said["small"]:
        assert first["method"] not in {row["method"] for row in few}
        return
    own = of_method(few, first["method"])
    share(said["small"], own["pointing"]["value"]["mean"], own["count"])
    share(said["middle"], own["pointing"]["baselines"]["centre"]["mean"], own["count"])
    stands(said["stands"], own["pointing"]["ahead"]["centre"])
    # The best by the lower end of its lead: a method that was shown few images is not best by their chance.
    best = max(few, key=lambda row: row["pointing"]["ahead"]["centre"]["low"])
    assert (said["best"] or own["method"]) == best["method"]
    if said["best"]:
        stands(said["it"], best["pointing"]["ahead"]["centre"])


def stands(text: str, gap: Any) -> None:
    """ "beats the centre by 8.0 points (6.0 to 10.0)" or as it is."""
    found = re.fullmatch(rf"(beats|loses to) (?:it|the centre) by ({NUMBER}) points \(({NUMBER}) to ({NUMBER})\)", text)
    if found:
        assert gap["low"] > 0 if found[1] == "beats" else gap["high"] < 0, text
        gap_is(found.groups()[1:], gap)
        return
    even = re.fullmatch(
        rf"cannot be told apart from .+ \(difference ({NUMBER}), ({NUMBER}) to ({NUMBER}) points\)", text
    )
    assert even, text
    assert gap["low"] <= 0 <= gap["high"], text
    for number, key in zip(even.groups(), ("mean", "low", "high"), strict=True):
        same(number, gap[key] * 100)


@rule("On all boxes, «w:verdicts».⟦ On boxes under a quarter of the image, «w:small».⟧")
def _against_centre(piece: Piece, said: Said) -> None:
    for text, small in ((said["verdicts"], False), (said["small"], True)):
        if text:
            verdicts(text, {row["method"]: row["pointing"]["ahead"]["centre"] for row in rows(piece, said, small)})


def named(text: str) -> list[tuple[str, str]]:
    return re.findall(rf"({NUMBER} %) (?:to|and) ({NUMBER} %)", text)


def _beside_a_wrong_class(told: list[tuple[str, str, str]], truth: dict[str, Any]) -> None:
    """Of each method the share of hits, and that of the map for a wrong class."""
    for method, hits, wrong in told:
        pointing = truth[method]["pointing"]
        share(hits, pointing["value"]["mean"], truth[method]["count"])
        share(wrong, pointing["baselines"]["wrong class"]["mean"], truth[method]["count"])


@rule(
    "Asked for a wrong class instead, the share of ⟨small boxes|boxes⟩ that are hit falls «w:depend»: what is bright depends "
    "on the class."
)
def _depends(piece: Piece, said: Said) -> None:
    found = rows(piece, said, small=True) or rows(piece, said, small=False)
    told = re.findall(rf"for (.+?) from ({NUMBER} %) to ({NUMBER} %)", said["depend"])
    truth = {row["method"]: row for row in found if row["pointing"]["ahead"]["wrong class"]["low"] > 0}
    assert [one[0] for one in told] == [*truth]
    _beside_a_wrong_class(told, truth)


@rule(
    "«w:same» the difference⟦, asked for a wrong class instead,⟧ may be chance: that the map depends on the class is not shown."
)
def _alike(piece: Piece, said: Said) -> None:
    found = rows(piece, said, small=True) or rows(piece, said, small=False)
    told = re.findall(rf"[fF]or (.+?) \(({NUMBER} %) and ({NUMBER} %)\)", said["same"])
    truth = {row["method"]: row for row in found if row["pointing"]["ahead"]["wrong class"]["low"] <= 0}
    assert [one[0] for one in told] == [*truth]
    _beside_a_wrong_class(told, truth)


@rule(
    "Of all that is bright in a «w:method» map, «p%» lies in the ⟨small boxes|boxes⟩; they are «uniform%» of the image, which "
    "is what a map without any knowledge would put there. ⟨Every method beats such a map by more than chance|Not every method "
    "beats it: «w:behind»⟩."
)
def _energy(piece: Piece, said: Said) -> None:
    row = (rows(piece, said, small=True) or rows(piece, said, small=False))[0]
    assert row["method"] == said["method"]
    same(said["p"], row["energy"]["value"]["mean"] * 100)
    same(said["uniform"], row["energy"]["baselines"]["uniform"]["mean"] * 100)
    told = dict(
        re.findall(
            r"(by (?:what is bright|the brightest point) in (?:small|all) boxes), (.+?)(?=; by |$)",
            said["behind"] or "",
        )
    )
    for small in (False, True):
        for kind, what in (("energy", "what is bright"), ("pointing", "the brightest point")):
            gaps = {one["method"]: one[kind]["ahead"]["uniform"] for one in rows(piece, said, small)}
            behind = {name: gap for name, gap in gaps.items() if gap["low"] <= 0}
            text = told.pop(f"by {what} in {'small' if small else 'all'} boxes", "")
            assert bool(text) == bool(behind), f"{what}, {[*behind]}"
            if text:
                verdicts(text, behind)
    assert not told


@rule(
    "With pixels ⟨taken away|put back⟩ in the order of ⟦«net»'s ⟧«w:method», the true class has a probability of «p%» averaged "
    "over «n» images and all steps, «w:beside»; ⟨less|more⟩ is better, so the map is ⟨better than each by more than chance|not "
    "shown to be better than «w:unproven»⟩."
)
def _perturbed(piece: Piece, said: Said) -> None:
    first = faith(piece, said)["perturbation"][0]
    away = "taken away" in said["whole"]
    values, sign = first["deletion" if away else "insertion"], -1 if away else 1
    assert first["method"] == said["method"]
    assert ("less is better" in said["whole"]) == away
    same(said["n"], first["count"])
    same(said["p"], values["value"]["mean"] * 100)
    beside = re.findall(rf"({NUMBER} %) ({'|'.join(ORDERS)})", said["beside"])
    assert {ORDERS[order] for _, order in beside} == {*values["baselines"]}
    for number, order in beside:
        same(number, values["baselines"][ORDERS[order]]["mean"] * 100)
    truth = {name for name, gap in values["ahead"].items() if min(sign * gap["low"], sign * gap["high"]) <= 0}
    assert {ORDERS[order] for order in listed(said["unproven"])} == truth if said["unproven"] else not truth


@rule(
    "With only «w:layer» randomised, the rank correlation with the old map is «w:starts»; with every layer randomised, «w:ends»."
    "⟦ «w:left» ⟨was|were⟩ not checked.⟧"
)
def _randomised(piece: Piece, said: Said) -> None:
    checks = {one["method"]: one for one in faith(piece, said)["randomisation"]}
    assert said["layer"] == next(iter(checks.values()))["layers"][0]
    starts = re.findall(rf"({NUMBER}) for (.+?)(?=, [−\d]| and [−\d]|$)", said["starts"])
    assert [name for _, name in starts] == [*checks]
    for number, name in starts:
        same(number, checks[name]["spearman"][0]["mean"])
    kinds = {"lost the old map's order": (0, 0.25), "kept a part": (0.25, 0.5), "stayed like": (0.5, 9)}
    for name, check in checks.items():
        told = re.search(
            rf"(?:^|, | and |; ){re.escape(name)} \(({NUMBER})(?:; (\d+) of (\d+) maps became constant)?\)(.*)",
            said["ends"],
        )
        assert told, f"nothing is said of {name}"
        same(told[1], check["spearman"][-1]["mean"])
        words = min((words for words in kinds if words in told[4]), key=told[4].index)
        low, high = kinds[words]
        assert low <= abs(check["spearman"][-1]["mean"]) <= high, f"{name} {words}"
        assert [int(told[2] or 0), int(told[3] or check["count"])] == [check["silent"][-1], check["count"]]
    unchecked = [row["method"] for row in rows(piece, said, small=False) if row["method"] not in checks]
    assert ([name.lower() for name in listed(said["left"])] if said["left"] else []) == [
        name.lower() for name in unchecked
    ]


@rule(
    "«w:method» at «w:layer», whose maps have «high» × «wide» cells, hits the ⟨small boxes|boxes⟩ most often, «p%» of the time"
    "⟦; its interval overlaps that of «w:near»⟧.⟦ ⟨It does so on all boxes too|On all boxes «w:other» is ahead, «q%» to «r%»⟩.⟧"
)
def _layers(piece: Piece, said: Said) -> None:
    found = faith(piece, said)
    small = all(each["pointing_small"] for each in found["sweep"])
    assert small == ("small boxes" in said["whole"].partition(" cells")[2].partition(" most often")[0])
    scores = {each["layer"]: each["pointing_small"] if small else each["pointing"] for each in found["sweep"]}
    assert said["method"] == found["sweep_method"]
    top = scores[said["layer"]]
    assert top["mean"] == max(one["mean"] for one in scores.values())
    near = [name for name, one in scores.items() if name != said["layer"] and one["high"] >= top["low"]]
    assert (listed(said["near"]) if said["near"] else []) == near
    same(said["p"], top["mean"] * 100)
    side = next(each["side"] for each in found["sweep"] if each["layer"] == said["layer"])
    assert [int(said["high"]), int(said["wide"])] == side
    if small:
        every = {each["layer"]: each["pointing"]["mean"] for each in found["sweep"]}
        best = max(every.values())
        assert (every[said["other"]] if said["other"] else every[said["layer"]]) == best
        if said["other"]:
            same(said["q"], best * 100)
            same(said["r"], every[said["layer"]] * 100)


@rule(
    "Forest plot of the pointing game of «net» on «n» «w:images», each method's hits less those of the image's centre, in points with 95 % intervals: best on all boxes «w:best», «mean», «low» to «high»⟦; best on small boxes «w:few», «a», «b» to «c»⟧."
)
def _forest(piece: Piece, said: Said) -> None:
    same(said["n"], faith(piece, said)["count"])
    for method, numbers, small in (
        (said["best"], ("mean", "low", "high"), False),
        (said["few"], ("a", "b", "c"), True),
    ):
        found = rows(piece, said, small)
        assert bool(method) == bool(found)
        if method:
            # By the lower end of its lead: a method that was shown few images is not best by their chance.
            best = max(found, key=lambda row: row["pointing"]["ahead"]["centre"]["low"])
            assert method == best["method"]
            gap = best["pointing"]["ahead"]["centre"]
            for number, key in zip(numbers, ("mean", "low", "high"), strict=True):
                same(said[number], gap[key] * 100)


@rule(
    "«net» on «n» «w:images», «right» of which it names correctly: how much more often the brightest point of a heat map lies in the object's box than the image's centre does"
)
def _forest_caption(piece: Piece, said: Said) -> None:
    found = faith(piece, said)
    same(said["n"], found["count"])
    same(said["right"], found["correct"])


@rule("squares: on the «n» boxes under a quarter of the image", "the «n» small ones")
def _small_boxes(piece: Piece, said: Said) -> None:
    same(said["n"], piece.network["evaluation"]["faithfulness"]["small"])


@rule("all «n» boxes", alone=True, kind="label")
def _all_boxes(piece: Piece, said: Said) -> None:
    same(said["n"], piece.network["evaluation"]["faithfulness"]["count"])


@rule("(CAM methods: at «w:layer»)")
def _cam_layer(piece: Piece, said: Said) -> None:
    assert piece.network["evaluation"]["faithfulness"]["layer"] in said["layer"]


@rule("Fewer images were used for «w:few».")
def _few(piece: Piece, said: Said) -> None:
    found = faith(piece, said)
    truth = [
        f"{row['method']} ({row['count']:,})" for row in rows(piece, said, small=False) if row["count"] < found["count"]
    ]
    assert listed(said["few"]) == truth


@rule(
    "Line charts of how like their old selves «net»'s maps are while «w:steps» are randomised from the last to the first: rank "
    "correlation in the end «w:ends»."
)
def _loss_chart(piece: Piece, said: Said) -> None:
    checks = faith(piece, said)["randomisation"]
    count = len(checks[0]["layers"])
    assert str(count) in re.findall(r"\d+", said["steps"])
    told = re.findall(rf"(.+?) ({NUMBER})(?:, | and |$)", said["ends"])
    assert [one[0] for one in told] == [one["method"] for one in checks]
    for (_, number), check in zip(told, checks, strict=True):
        same(number, check["spearman"][-1]["mean"])


@rule(
    "«net», «n» images: the map before and after the weights of ⟨one more layer|more layers⟩ are drawn anew, from the logits down («w:order»)."
)
def _loss_caption(piece: Piece, said: Said) -> None:
    first = faith(piece, said)["randomisation"][0]
    same(said["n"], first["count"])
    assert listed(said["order"]) == [f"{place} {layer}" for place, layer in enumerate(first["layers"], 1)]


@rule("«n» images for «net», «small» of them with a small box")
def _boxed(piece: Piece, said: Said) -> None:
    found = faith(piece, said)
    same(said["n"], found["count"])
    same(said["small"], found["small"])


@rule("in «steps» equal steps", "the photo blurred by «p%» of its side", "drawn with seed «seed»")
def _how(piece: Piece, said: Said) -> None:
    first = next(iter(piece.site.networks.values()))["evaluation"]["faithfulness"]
    for name, key, unit in (("steps", "steps", 1), ("p", "blur", 100), ("seed", "seed", 1)):
        if said.get(name):
            same(said[name], first[key] * unit)


# How a network was judged


@rule("«n»⟦ of «of», evenly over all of them,⟧ ⟨test|validation⟩ images.")
def _judged_on(piece: Piece, said: Said) -> None:
    same(said["n"], split(piece, said)["count"])


@rule("The test images have been scored ⟨once|«n» times, for as many networks in this folder⟩.")
def _looks(piece: Piece, said: Said) -> None:
    assert int(said["n"] or 1) == piece.network["evaluation"]["test_looks"]


@rule("95 % interval of top-1: «low%» to «high%»,")
def _interval(piece: Piece, said: Said) -> None:
    low, high = split(piece, said)["top1_interval"]
    same(said["low"], low * 100)
    same(said["high"], high * 100)


@rule("The «n» validation images chose ⟨the settings, the epoch that was kept and the temperature|the temperature⟩.")
def _chose(piece: Piece, said: Said) -> None:
    same(said["n"], split(piece, said, "validation")["count"])


@rule("One training is on record⟦ (seed «n»)⟧: how far another seed would come is not known.")
def _seed(piece: Piece, said: Said) -> None:
    runs = [run for run in piece.network["runs"] if run["name"] == main_run(piece.network)["name"]]
    assert len(runs) == 1
    if said["n"]:
        same(said["n"], runs[0]["settings"]["seed"])


@rule("It also learnt from the answers of «w:whom».")
def _teachers(piece: Piece, said: Said) -> None:
    settings = main_run(piece.network)["settings"]
    others = sum(digest != settings.get("started_from") for digest in settings["teachers"])
    number = re.search(r"(\d+) other network", said["whom"])
    assert (int(number[1]) if number else 0) == others
    assert ("that it began as" in said["whom"]) == (others < len(settings["teachers"]))


@rule("«t:time» for «n» epochs⟦, those it began with included⟧.")
def _time(piece: Piece, said: Said) -> None:
    run = main_run(piece.network)
    lasting(said["time"], took(run))
    same(said["n"], len(run["epochs"]))


@rule("weights «w:weights», all parts that were scored «w:data»⟦, the training images alone «w:train»⟧.")
def _digests(piece: Piece, said: Said) -> None:
    found = piece.network["evaluation"]
    assert found["weights_digest"].startswith(said["weights"])
    assert found["data_digest"].startswith(said["data"])


@rule(
    "These commands, one after the other. DIR stands for the folder of a network: --from, the one that the first command makes "
    "(weights «w:start»); --teacher, «w:teachers».",
    "This command⟦, in «w:where»⟧.",
)
def _made_by(piece: Piece, said: Said) -> None:
    settings = main_run(piece.network)["settings"]
    if said.get("start"):
        assert settings["started_from"].startswith(said["start"])
        digests = re.findall(r"weights ([0-9a-f]+)", said["teachers"])
        assert [digest[: len(one)] for digest, one in zip(settings["teachers"], digests, strict=True)] == digests


# The page that runs a network


@rule("«net» itself, all «n» weights of it, runs in this page.")
def _itself(piece: Piece, said: Said) -> None:
    same(said["n"], net(piece, said)["parameters"])


@rule("«high» × «wide» pixels, and knows «n» classes")
def _takes(piece: Piece, said: Said) -> None:
    side = piece.network["input_size"]
    assert [int(said["high"]), int(said["wide"])] == (side if isinstance(side, list) else [side, side])
    same(said["n"], len(piece.network["class_names"]))


@rule("Start the network («n» bytes)", "«n» bytes of scripts")
def _bytes(piece: Piece, said: Said) -> None:
    same(said["n"], piece.site.results["live"]["bytes"])


@rule(
    "The weights are stored as «bits»⟦- to «most»⟧-bit integers",
    "On the «n» photos of this report the logits differ from PyTorch's in full precision by «p%» of the largest at most and "
    "the heat maps by «q%», and every answer is the same.",
)
def _stored(piece: Piece, said: Said) -> None:
    found = piece.site.results["live"]
    if said.get("bits"):
        assert [int(said["bits"]), int(said["most"] or said["bits"])] == [found["bits"][0], found["bits"][-1]]
        return
    same(said["n"], found["photos"])
    same(said["p"], found["difference"] * 100)
    same(said["q"], found["maps"] * 100)
    assert value(said["p"]) < 1


__all__: list[str] = []
