"""Stages and items from names alone, against what a person says of real and made-up layouts."""

import json
import random
import tracemalloc
from collections import defaultdict
from collections.abc import Sequence

import pytest
from support.paths import DATA
from support.snapshots.layouts import LAYOUTS as MORE_LAYOUTS
from support.snapshots.layouts import Answer

from exporter.model.names.grouping import UNKNOWN, Group, group_of_labels, groups_of

LAYOUTS = json.loads((DATA / "layouts.json").read_text())
"""By name: where it is from, and of each job its name and the stage and item that a person sees."""

WRONG = {"hostile", "project-runs"}
"""Free text, and two projects of dated runs."""
WRONG_OF_MORE = {
    "data-named-like-steps", "experiments-flat", "user-dump-step-joined", "audio",
    "personal-scratch",
}  # fmt: skip
"""Data sets of several languages that are called like steps, an experiment that is, users before a
dump in one part with it, data sets below languages where no step is known, and free text."""


def overlap(ours: Sequence[str], theirs: Sequence[str | None]) -> float:
    """How much the group of a job has in common with the group that a person puts it into: the
    mean over the jobs. What groups are called does not matter."""
    our_groups, their_groups = defaultdict(set), defaultdict(set)
    for number, (our, their) in enumerate(zip(ours, theirs, strict=True)):
        our_groups[our].add(number)
        their_groups[their or ""].add(number)
    pairs = [(our_groups[a], their_groups[b or ""]) for a, b in zip(ours, theirs, strict=True)]
    return sum(len(a & b) / len(a | b) for a, b in pairs) / len(pairs)


def is_right(jobs: Sequence[Answer]) -> bool:
    groups = groups_of([name for name, _, _ in jobs])
    stages = overlap([group.stage for group in groups], [stage for _, stage, _ in jobs])
    items = overlap([group.item for group in groups], [item for _, _, item in jobs])
    return min(stages, items) >= 0.9


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_layout_is_grouped_as_a_person_does(layout: str) -> None:
    assert is_right(LAYOUTS[layout][1]) == (layout not in WRONG)


@pytest.mark.parametrize("layout", MORE_LAYOUTS)
def test_a_layout_of_another_team_is_grouped_as_a_person_does(layout: str) -> None:
    assert is_right(MORE_LAYOUTS[layout].answers) == (layout not in WRONG_OF_MORE)


def grouped(*names: str) -> dict[str, tuple[str, str]]:
    return {name: tuple(group) for name, group in zip(names, groups_of(names), strict=True)}


@pytest.mark.parametrize(
    ("name", "others", "stage", "item"),
    [
        ("minhash/CC-MAIN-2014-23/signatures", [], "minhash/*/signatures", "CC-MAIN-2014-23"),
        ("tokenize_c4_merged", ["tokenize_c4"], "tokenize_*_merged", "c4"),
        ("main-logs/CC-MAIN-2019-30/nl", [], "main-logs/*/*", "CC-MAIN-2019-30/nl"),
        ("teamA/glotlid/CC-MAIN-2014-23", [], "*/glotlid/*", "teamA/CC-MAIN-2014-23"),
        ("language_filtering", [], "language_filtering", ""),
        ("minhash/CC-MAIN-2014-23/prune", [], "minhash/*/*", "CC-MAIN-2014-23/prune"),
        (
            "minhash/CC-MAIN-2014-23/prune",
            ["minhash/CC-MAIN-2014-35/prune", "minhash/CC-MAIN-2014-42/prune"],
            "minhash/*/prune",
            "CC-MAIN-2014-23",
        ),
        ("filtered/tokenize", ["raw/tokenize"], "*/tokenize", "filtered"),
        ("tokenize_c4", ["tokenize_c4_merged", "something"], "tokenize_*", "c4"),
        ("minhash_signatures", ["minhash_buckets"], "minhash_signatures", ""),
        ("arb_Arab", [], "", "arb_Arab"),
        ("trafilatura_CC-MAIN-2014-23", [], "", "trafilatura_CC-MAIN-2014-23"),
        (
            "trafilatura_CC-MAIN-2014-23",
            ["trafilatura_CC-MAIN-2014-35", "filter_CC-MAIN-2014-23", "filter_CC-MAIN-2014-35"],
            "trafilatura_*",
            "CC-MAIN-2014-23",
        ),
        ("en_wiki/render", ["en_wiki/clean", "sw/render", "sw/clean"], "*/render", "en_wiki"),
        ("en_wiki/render", ["en_wiki/clean", "sw/render"], "", ""),
        ("monofix_en", ["clean_en", "clean_sw", "monofix_sw"], "monofix_*", "en"),
        (
            "sample_1BT/tok",
            ["sample_1BT/pack", "sample_2BT/pack", "sample_3BT/pack"],
            "*/tok",
            "sample_1BT",
        ),
        ("dedup/mh1", ["dedup/mh2", "dedup/mh3"], "dedup/mh1", ""),
        ("quality=high/tok", [], "*/tok", "quality=high"),
        ("stage=filter/CC-MAIN-2014-23", [], "stage=filter/*", "CC-MAIN-2014-23"),
        ("tok_CC-MAIN-2014-23_v2", [], "tok_*", "CC-MAIN-2014-23_v2"),
        ("tok_CC-MAIN-2014-23_fixedly", [], "tok_*_fixedly", "CC-MAIN-2014-23"),
        ("tok_2024-W05", [], "tok_*", "2024-W05"),
        ("logs/langid", ["logs/tok", "logs/filter"], "logs/langid", ""),
        ("logs/filter", ["logs/tok", "logs/langid"], "logs/filter", ""),
        ("logs/c4-filtered", ["logs/wiki", "logs/books"], "logs/*", "c4-filtered"),
        ("logs/wiki", ["logs/c4-filtered", "logs/books"], "logs/*", "wiki"),
        ("logs/exp1", ["logs/tok", "logs/filter"], "logs/*", "exp1"),
        ("minhash/langid", ["minhash/signatures"], "minhash/*", "langid"),
        ("03_prep/wiki", ["03_prep/c4-filtered", "03_prep/tok"], "03_prep/*", "wiki"),
        (
            "minhash/CC-MAIN-2014-23/filter",
            ["minhash/CC-MAIN-2014-23/prune"],
            "minhash/*/filter",
            "CC-MAIN-2014-23",
        ),
        (
            "minhash/CC-MAIN-2014-23/prune",
            ["minhash/CC-MAIN-2014-23/filter"],
            "minhash/*/*",
            "CC-MAIN-2014-23/prune",
        ),
        (
            "tokenize_c4/CC-MAIN-2014-23",
            ["tokenize_wiki/CC-MAIN-2014-23", "minhash/notes"],
            "tokenize_c4/*",
            "CC-MAIN-2014-23",
        ),
        ("stage_1/tok", ["stage_1/pack", "stage_2/pack", "stage_3/pack"], "stage_1/tok", ""),
        ("toks1BT/tok", ["toks1BT/pack", "toks2BT/pack"], "toks1BT/tok", ""),
        (
            "monofix_open-web-math",
            ["clean_open-web-math", "clean_en", "monofix_en"],
            "monofix_*",
            "open-web-math",
        ),
        ("note_en", ["clean_en", "clean_sw", "note_sw", "note_a", "note_b", "note_c"], "", ""),
        (
            "c4/dedup/v2",
            ["c4/dedup/filter", "owt/dedup/filter", "owt/dedup/v2"],
            "*/dedup/*",
            "c4/v2",
        ),
        (".", [], "", ""),
        ("something", ["else"], "", ""),
        ("//", [], "", ""),
    ],
)
def test_a_part_that_names_a_step_is_the_stage_and_the_rest_the_item(
    name: str, others: list[str], stage: str, item: str
) -> None:
    assert grouped(name, *others)[name] == (stage, item)


def test_the_order_of_the_names_does_not_matter() -> None:
    names = [name for _, jobs in LAYOUTS.values() for name, _, _ in jobs]
    names = sorted(set(names))
    shuffled = random.Random(5).sample(names, len(names))
    assert grouped(*shuffled) == grouped(*names)


def test_labels_give_the_stage_and_all_others_the_item() -> None:
    labels = (("lang", "fr"), ("stage", "filter"), ("dump", "d"))
    assert group_of_labels(labels) == Group("filter", "fr/d")
    assert groups_of(["."]) == (UNKNOWN,)


def test_names_that_follow_no_step_take_no_room_beside_one() -> None:
    """A name may be taken in many ways; of those that make no stage nothing is kept."""
    plain = [f"user{i % 5}/alpha-beta-gamma-{'abcdefghij'[i % 10]}{i}x/delta" for i in range(2000)]

    def peak(*steps: str) -> int:
        tracemalloc.start()
        groups_of([*plain, *steps])
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    assert peak("one/tokenize", "two/tokenize") < 1.5 * peak()
