"""Labels of a job from its name."""

import pytest

from exporter.config.labels import Labels, check_label_patterns, labels_of, parse_label_pattern


def labels(name: str, *patterns: str) -> Labels:
    return labels_of(name, check_label_patterns([parse_label_pattern(text) for text in patterns]))


def test_the_first_pattern_that_is_one_of_the_whole_name_gives_the_labels() -> None:
    patterns = ("minhash/{dump}/{stage}", "{stage}/{dump}", "{other**}")
    assert labels("minhash/d/buckets", *patterns) == (("dump", "d"), ("stage", "buckets"))
    assert labels("base/d", *patterns) == (("stage", "base"), ("dump", "d"))
    assert labels("a/b/c", *patterns) == (("other", "a/b/c"), ("stage", "*"))
    assert labels("a/b/c", *patterns[:2]) == ()


def test_a_pattern_without_a_stage_is_itself_the_stage() -> None:
    patterns = ("tokenize_{x}_merged", "tokenize_{x}", "main-logs/*/{lang}", "prepare")
    assert labels("tokenize_c4_merged", *patterns) == (("x", "c4"), ("stage", "tokenize_*_merged"))
    assert labels("tokenize_c4", *patterns) == (("x", "c4"), ("stage", "tokenize_*"))
    assert labels("main-logs/d/nl", *patterns) == (("lang", "nl"), ("stage", "main-logs/*/*"))
    assert labels("prepare", *patterns) == (("stage", "prepare"),)


def test_the_root_itself_has_no_labels() -> None:
    assert labels(".", "*", "**") == ()


def test_a_value_that_is_too_long_is_cut_and_no_escape_in_two() -> None:
    assert dict(labels("x" * 200, "{a}"))["a"] == "x" * 128
    for escape in (r"\x0a", r"\\"):
        for before in range(128 - len(escape), 129):
            kept = dict(labels("x" * before + escape * 9, "{a}"))["a"]
            assert kept == "x" * before + escape * ((128 - before) // len(escape))


@pytest.mark.parametrize(
    "name",
    [
        "root", "job_name", "job", "instance", "le", "quantile", "state", "reason", "step",
        "executor", "shard", "namespace", "pod", "__name__", "__x",
    ],
)  # fmt: skip
def test_names_that_belong_to_others_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="label"):
        parse_label_pattern(f"a/{{{name}}}")


def test_a_root_has_eight_labels_at_most_and_the_stage_of_a_shape_is_none_of_them() -> None:
    eight = [parse_label_pattern(f"{{a{i}}}/{{b{i}}}") for i in range(4)]
    assert check_label_patterns([*eight, parse_label_pattern("x/{a1}")])
    with pytest.raises(ValueError, match="8"):
        check_label_patterns([*eight, parse_label_pattern("{c}")])
