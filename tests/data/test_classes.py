from __future__ import annotations

from pathlib import Path

import pytest

from generator.base.errors import InputError
from generator.data.classes import (
    IMAGENET_INDEX,
    TINY_IMAGENET_30,
    Classes,
    display_names,
    of_tiny_imagenet,
    read_words,
    resolve_classes,
    without_data,
)


def make_root(folder: Path, held: dict[str, str], elsewhere: dict[str, str] | None = None) -> Path:
    """A data set's skeleton: class folders and words.txt, which also lists synsets that are not in the data set."""
    for wnid in held:
        (folder / "train" / wnid).mkdir(parents=True)
    lines = [f"{wnid}\t{words}\n" for wnid, words in {**held, **(elsewhere or {})}.items()]
    (folder / "words.txt").write_text("".join(lines), encoding="utf-8")
    return folder


def test_the_preset_is_the_thirty_in_alphabetical_order() -> None:
    classes = resolve_classes("TinyImageNet30", None)
    assert len(classes) == 30
    assert classes.names[:3] == ("baboon", "banana", "bee")
    assert classes.names == tuple(sorted(classes.names))
    assert classes.keys[classes.names.index("koala")] == "n01882714"
    assert len(set(classes.keys)) == 30


def test_imagenet_index_points_at_torchvisions_categories() -> None:
    from torchvision.models import AlexNet_Weights

    categories = AlexNet_Weights.IMAGENET1K_V1.meta["categories"]
    # ImageNet's first word where the course's name is another one.
    first_word = {
        "butterfly": "monarch",
        "chihuahua": "Chihuahua",
        "elephant": "African elephant",
        "icecream": "ice cream",
        "ipod": "iPod",
        "penguin": "king penguin",
        "pig": "hog",
        "redpanda": "lesser panda",
    }
    found = {name: categories[IMAGENET_INDEX[wnid]] for name, wnid in TINY_IMAGENET_30.items()}
    assert found == {name: first_word.get(name, name) for name in TINY_IMAGENET_30}


def test_imagenet_index_keeps_the_order_of_wnids() -> None:
    """ImageNet's classes are numbered in the order of their wnids, so that a subset's indices rise with them."""
    indices = [IMAGENET_INDEX[wnid] for wnid in sorted(IMAGENET_INDEX)]
    assert indices == sorted(indices)
    assert set(IMAGENET_INDEX) == set(TINY_IMAGENET_30.values())


def test_real_words_agree_with_names_and_categories(tiny_imagenet: Path) -> None:
    from torchvision.models import AlexNet_Weights

    categories = AlexNet_Weights.IMAGENET1K_V1.meta["categories"]
    words = read_words(tiny_imagenet)
    for wnid, index in IMAGENET_INDEX.items():
        assert words[wnid][0] == categories[index] or categories[index] in words[wnid]
    assert resolve_classes("TinyImageNet30", tiny_imagenet).names == tuple(TINY_IMAGENET_30)
    assert resolve_classes(["hog", "red panda"], tiny_imagenet) == Classes(
        ("hog", "redpanda"), ("n02395406", "n02509815")
    )


def test_wnids_and_names_mix_in_the_order_given(tmp_path: Path) -> None:
    root = make_root(tmp_path, {"n01443537": "goldfish", "n99999999": "thing, odd thing", "n02165456": "ladybug"})
    classes = resolve_classes(["n99999999", "Goldfish", "n02165456"], root)
    assert classes == Classes(("thing", "goldfish", "ladybug"), ("n99999999", "n01443537", "n02165456"))


def test_any_synonym_of_the_data_set_names_a_class(tmp_path: Path) -> None:
    root = make_root(tmp_path, {"n10000001": "sea star, starfish", "n01443537": "goldfish"})
    assert resolve_classes(["Starfish", "goldfish"], root).keys == ("n10000001", "n01443537")


def test_a_word_shared_with_a_synset_outside_the_data_set_is_not_ambiguous(tmp_path: Path) -> None:
    root = make_root(tmp_path, {"n10000001": "crane", "n01443537": "goldfish"}, {"n10000002": "crane, hoist"})
    assert resolve_classes(["crane", "goldfish"], root).keys[0] == "n10000001"


def test_a_word_shared_within_the_data_set_is_refused_and_its_wnids_are_told_apart(tmp_path: Path) -> None:
    root = make_root(tmp_path, {"n10000001": "crane", "n10000002": "crane, hoist"})
    with pytest.raises(InputError, match=r'"crane" may be any of n10000001, n10000002; write the wnid'):
        resolve_classes(["crane", "n10000002"], root)
    assert resolve_classes(["n10000001", "n10000002"], root).names == ("crane (n10000001)", "crane (n10000002)")


def test_a_hostile_name_passes_untouched(tmp_path: Path) -> None:
    hostile = "<script>alert('x')</script>"
    root = make_root(tmp_path, {"n10000001": hostile, "n01443537": "goldfish"})
    assert resolve_classes(["n10000001", "goldfish"], root).names[0] == hostile


def test_without_the_data_set_a_wnid_is_its_own_name() -> None:
    assert resolve_classes(["n10000001", "koala"], None) == Classes(("n10000001", "koala"), ("n10000001", "n01882714"))


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("Imagenet", 'expected "TinyImageNet30", "all" or a list of wnids or names, got "Imagenet"'),
        ("all", '"all" needs the data set, there is none here; give it with --data DIR'),
        (["koala"], "expected at least 2 classes, got 1"),
        ([], "expected at least 2 classes, got 0"),
        (["koala", "lion", "koala"], '"koala" stands there twice; name each class once'),
        (["koala", "n01882714"], r'"n01882714" stands there twice \(the same class as "koala"\)'),
        (["koala", "kola"], 'unknown class "kola"; did you mean "koala"?'),
        (["koala", "zzzzzz"], 'unknown class "zzzzzz"; expected a wnid such as n01443537 or a name from'),
        (["koala", "n123"], 'unknown class "n123"'),
    ],
)
def test_what_cannot_be_meant_is_refused(spec: str | list[str], message: str) -> None:
    with pytest.raises(InputError, match=message.replace("?", r"\?")) as caught:
        resolve_classes(spec, None)
    assert "\n" not in str(caught.value)


def test_a_class_that_the_data_set_lacks_is_refused(tmp_path: Path) -> None:
    root = make_root(tmp_path, {"n01443537": "goldfish", "n02165456": "ladybug"})
    with pytest.raises(InputError, match=r"found none for koala \(n01882714\), n99999999 \(n99999999\)"):
        resolve_classes(["goldfish", "koala", "n99999999"], root)


def test_a_suggestion_comes_from_the_data_set(tmp_path: Path) -> None:
    root = make_root(tmp_path, {"n10000001": "sea star, starfish", "n01443537": "goldfish"})
    with pytest.raises(InputError, match=r'unknown class "starfsh"; did you mean "starfish"\?'):
        resolve_classes(["starfsh", "goldfish"], root)


def test_missing_words_or_train_folder_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="its train folder is missing"):
        resolve_classes("TinyImageNet30", tmp_path)
    (tmp_path / "train").mkdir()
    with pytest.raises(InputError, match=r"words\.txt: expected the data set's list of words, is missing"):
        resolve_classes(["starfish", "goldfish"], tmp_path)


def test_all_the_classes_of_the_data_set_can_be_asked_for(tmp_path: Path) -> None:
    root = make_root(tmp_path, {"n02165456": "ladybug", "n10000001": "sea star, starfish", "n01443537": "goldfish"})
    (root / "train" / "notes").mkdir()
    classes = resolve_classes("all", root)
    assert classes == Classes(("goldfish", "ladybug", "sea star"), ("n01443537", "n02165456", "n10000001"))
    assert of_tiny_imagenet(classes)


def test_without_data_names_of_one_s_own_are_taken_and_misspelt_ones_are_not() -> None:
    own = without_data(["cups", "spoons"])
    assert own == Classes(("cups", "spoons"), ("cups", "spoons"))
    assert not of_tiny_imagenet(own)
    assert without_data(None) == without_data("TinyImageNet30") == resolve_classes(None, None)
    with pytest.raises(InputError, match=r'"kola"; did you mean "koala"\?'):
        without_data(["kola", "lion"])
    with pytest.raises(InputError, match='"cups" stands there twice'):
        without_data(["cups", "spoons", "cups"])


def test_the_thirty_are_shown_by_words_of_a_dictionary() -> None:
    names = display_names(resolve_classes(None, None), {})
    assert names == {"icecream": "ice cream", "ipod": "iPod", "redpanda": "red panda"}
    assert resolve_classes(["ice cream", "Red Panda", "iPod"], None).names == ("icecream", "redpanda", "ipod")
    assert display_names(Classes(("icecream", "cup"), ("icecream", "cup")), {}) == {}  # of folders of one's own


def test_report_toml_says_what_readers_see() -> None:
    own = Classes(("icecream", "schoolbus"), ("icecream", "schoolbus"))
    told = {"icecream": "ice cream", "schoolbus": "schoolbus", "crane_1": "crane"}
    assert display_names(own, told, [("crane_1", "fly")]) == {"icecream": "ice cream", "crane_1": "crane"}
    tiny = resolve_classes(["icecream", "ipod"], None)
    assert display_names(tiny, {"ipod": "an iPod"}) == {
        "icecream": "ice cream",
        "ipod": "an iPod",
        "redpanda": "red panda",
    }


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ({"icecraem": "ice cream"}, r'there is no class "icecraem"; did you mean "icecream"\?'),
        ({"pear": "a pear"}, 'there is no class "pear"; expected some of icecream, cup'),
        ({"icecream": "cup"}, '"icecream" and "cup" would both be shown as "cup"'),
    ],
)
def test_names_that_readers_could_not_tell_apart_are_refused(told: dict[str, str], words: str) -> None:
    with pytest.raises(InputError, match=rf"\[data\] names: {words}"):
        display_names(Classes(("icecream", "cup"), ("icecream", "cup")), told)
