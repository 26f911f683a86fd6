"""Suggested patterns are valid, and say of jobs what their names tell."""

import json

import pytest
from support.paths import DATA
from support.snapshots.layouts import LAYOUTS as MORE_LAYOUTS

from exporter.config.labels import (
    check_label_patterns,
    labels_of,
    parse_label_pattern,
)
from exporter.model.names.grouping import group_of_labels, groups_of
from exporter.model.names.label_suggestion import suggest

LAYOUTS = json.loads((DATA / "layouts.json").read_text())
DUMPS = ["CC-MAIN-2014-23", "CC-MAIN-2014-35"]


NAMES = {layout: [name for name, _, _ in jobs] for layout, (_, jobs) in LAYOUTS.items()}
NAMES |= {layout: [name for name, _, _ in told.answers] for layout, told in MORE_LAYOUTS.items()}


@pytest.mark.parametrize("layout", NAMES)
def test_jobs_that_get_a_stage_are_grouped_as_by_their_names(layout: str) -> None:
    names = NAMES[layout]
    patterns = check_label_patterns([parse_label_pattern(text) for text in suggest(names)])
    pairs = set()
    for name, group in zip(names, groups_of(names), strict=True):
        suggested = group_of_labels(labels_of(name, patterns))
        if suggested.stage and group.stage:
            pairs.add((group.stage, suggested.stage))
            assert suggested.item == group.item
    assert len(pairs) == len({ours for ours, _ in pairs}) == len({theirs for _, theirs in pairs})
    known = [name for name, group in zip(names, groups_of(names), strict=True) if group.stage]
    assert all(labels_of(name, patterns) for name in known)


@pytest.mark.parametrize(
    ("names", "patterns"),
    [
        (
            [f"minhash/{d}/{s}" for d in DUMPS for s in ("signatures", "buckets")]
            + [f"{s}/{d}" for d in DUMPS for s in ("base_processing", "tokenize")],
            ["minhash/{item}/{stage}", "{stage}/{item}"],
        ),
        (["tokenize_c4", "tokenize_c4_merged"], ["tokenize_{item}_merged", "tokenize_{item}"]),
        (["something", "else"], []),
        (["language_filtering"], ["language_filtering"]),
        (["filter/CC-MAIN-2014-23", "minhash/CC-MAIN-2014-23/filter"],
         ["minhash/{item}/filter", "filter/{item}"]),
        ([f"{'/'.join('abcdefghi')}{n}/{s}" for n in range(3) for s in ("infer", "score")],
         ["{item**}/{stage}"]),
    ],
)  # fmt: skip
def test_the_most_literal_pattern_comes_first(names: list[str], patterns: list[str]) -> None:
    assert suggest(names) == patterns
