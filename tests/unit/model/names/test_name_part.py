"""What a part of a job's name is by itself, and where it can be cut."""

import pytest

from exporter.model.names.grouping import groups_of
from exporter.model.names.name_part import ways_to_follow


def test_what_stands_between_two_words_of_steps_is_the_item() -> None:
    names = ["tokenize_de_merged", "tokenize_fr_merged", "filter/de"]
    assert [(group.stage, group.item) for group in groups_of(names)] == [
        ("tokenize_*_merged", "de"),
        ("tokenize_*_merged", "fr"),
        ("filter/*", "de"),
    ]


@pytest.mark.parametrize(
    ("text", "ways"),
    [
        ("mine", {"mine": ()}),
        ("mine_de", {"mine_de": (), "mine_*": ("de",), "*_de": ("mine",)}),
        ("mine-2024-05-06", {"mine-2024-05-06": (), "mine-*": ("2024-05-06",)}),
        ("2024-05-06", {"2024-05-06": ()}),
        ("_mine", {"_mine": ()}),
        (
            "a_b_c",
            {"a_b_c": (), "a_*": ("b_c",), "*_b_c": ("a",), "a_b_*": ("c",), "*_c": ("a_b",)},
        ),
    ],
)
def test_a_part_that_no_word_tells_is_cut_at_a_date_or_else_at_its_ends(
    text: str, ways: dict[str, tuple[str, ...]]
) -> None:
    assert dict(ways_to_follow(text)) == ways
