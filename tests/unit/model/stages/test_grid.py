"""Rows of a report as grids of items × stages."""

import json
from dataclasses import replace

import pytest
from support.paths import DATA
from support.snapshots.layouts import LAYOUTS as MORE_LAYOUTS
from support.snapshots.readings import a_job
from support.snapshots.stages import rows_of, rows_of_states

from exporter.model.report import Row
from exporter.model.stages.grid import Grid, default_view, grids_of

LAYOUTS = json.loads((DATA / "layouts.json").read_text())


def rows_named(*names: str) -> tuple[Row, ...]:
    return rows_of(*map(a_job, names))


def dumps(count: int, *stages: str) -> list[str]:
    return [f"{stage}/CC-MAIN-{2000 + dump}-05" for stage in stages for dump in range(count)]


def only_grid(*names: str) -> Grid:
    (grid,) = grids_of(rows_named(*names)).grids
    return grid


def test_stages_that_share_items_make_a_grid() -> None:
    found = grids_of(rows_named(*dumps(4, "filter", "tokenize"), "experiment", "merge"))
    (grid,) = found.grids
    assert (grid.root, set(grid.stages), grid.jobs) == ("r", {"filter/*", "tokenize/*"}, 8)
    assert [row.item for row in grid.open] == [f"CC-MAIN-{year}-05" for year in range(2000, 2004)]
    assert {row.job_name for row in found.apart} == {"experiment", "merge"}


def test_a_row_has_a_cell_for_each_stage() -> None:
    grid = only_grid(*dumps(9, "filter"), *dumps(2, "tokenize"))
    assert [cell.stage for cell in grid.open[0].cells] == list(grid.stages)
    (empty,) = [cell for cell in grid.open[-1].cells if cell.worst is None]
    assert (empty.stage, empty.rows, empty.is_blocked) == ("tokenize/*", (), False)


def test_the_worst_of_several_jobs_is_shown() -> None:
    twice = tuple(replace(row, job=replace(row.job, state="complete")) for row in ROWS)
    (grid,) = grids_of((*twice, *ROWS)).grids
    cells = [cell for row in grid.open for cell in row.cells if cell.stage == "1_base/*"]
    assert [len(cell.rows) for cell in cells] == [2, 2, 2, 2]
    assert [cell.worst.state for cell in cells] == ["stalled", *["complete"] * 3]


ROWS = rows_of_states(("1_base/*", "2_dedup/*", "3_tok/*"), **{
    f"{stage}__CC-MAIN-{dump}": state
    for dump, states in {
        "2020-05": ("stalled", "waiting", "waiting"),
        "2020-10": ("complete", "running", "waiting"),
        "2020-16": ("complete", "complete", "waiting"),
        "2020-24": ("complete", "complete", "complete"),
        "2020-29": ("complete", "complete"),
    }.items()
    for stage, state in zip(("1_base", "2_dedup", "3_tok"), states, strict=False)
})  # fmt: skip


def test_a_job_whose_earlier_stage_is_not_done_is_blocked() -> None:
    (grid,) = grids_of(ROWS).grids
    assert grid.stages == ("1_base/*", "2_dedup/*", "3_tok/*")
    blocked = {row.item: [cell.is_blocked for cell in row.cells] for row in grid.open}
    assert blocked == {
        "CC-MAIN-2020-05": [False, True, True],
        "CC-MAIN-2020-10": [False, False, True],
        "CC-MAIN-2020-16": [False, False, False],
        "CC-MAIN-2020-29": [False, False, False],
    }
    first, second = grid.open[:2]
    waits_for = [cell.waits_for for cell in (*first.cells, *second.cells)]
    assert [None if row is None else row.job_name for row in waits_for] == [
        None, "1_base/CC-MAIN-2020-05", "2_dedup/CC-MAIN-2020-05",
        None, None, "2_dedup/CC-MAIN-2020-10",
    ]  # fmt: skip


def test_complete_items_are_folded_and_those_with_stages_to_come_are_not() -> None:
    (grid,) = grids_of(ROWS).grids
    assert [row.item for row in grid.complete] == ["CC-MAIN-2020-24"]
    assert "CC-MAIN-2020-29" in [row.item for row in grid.open]


@pytest.mark.parametrize(
    "names",
    [
        dumps(3, "filter", "tokenize"),  # jobs
        dumps(1, *(f"{number}_step" for number in range(10, 20))),  # items
        dumps(12, "filter"),  # stages
        dumps(2, *(f"{number}_step" for number in range(10, 27))),  # stages, too many
        [*dumps(1, *(f"{n}_step" for n in range(10, 18))), *dumps(9, "10_step")],  # filled
    ],
)
def test_too_few_of_something_are_no_grid(names: list[str]) -> None:
    rows = rows_named(*names)
    assert grids_of(rows).grids == ()
    assert grids_of(rows).apart == rows


def test_items_of_two_roots_are_not_the_same() -> None:
    rows = rows_of(*map(a_job, dumps(6, "filter"))) + rows_of(
        *map(a_job, dumps(6, "tokenize")), name="other"
    )
    assert grids_of(rows).grids == ()


VIEWS = {
    "grid": """tokenize-dumps tokenize-names inference marin c5 ux-fineweb quality-source lang-dump
        subset-log-n pdf-experiments nemo-times quantiles small-nested unknown-3
        daily code-langs""",
    "stages": "fineweb ref-datasets mixed-flat",
    "list": """dated ux-scratch root-is-job workers langs-only small-tok3 small-one-dump
        keep-percent hostile""",
}
"""The view in which a person would look at each layout."""


@pytest.mark.parametrize(
    ("layout", "view"), [(name, view) for view, names in VIEWS.items() for name in names.split()]
)
def test_the_view_fits_the_layout(layout: str, view: str) -> None:
    assert default_view(rows_named(*(name for name, _, _ in LAYOUTS[layout][1]))) == view


@pytest.mark.parametrize("layout", MORE_LAYOUTS)
def test_the_view_fits_the_layout_of_another_team(layout: str) -> None:
    wanted = MORE_LAYOUTS[layout]
    assert default_view(rows_named(*(name for name, _, _ in wanted.answers))) == wanted.view


def test_few_jobs_of_a_stage_are_a_list() -> None:
    assert default_view(rows_named(*dumps(2, "filter"), *dumps(3, "tokenize"))) == "list"
    assert default_view(rows_named(*dumps(3, "filter"), *dumps(3, "tokenize"))) == "stages"
    assert default_view(()) == "list"


def test_a_large_stage_makes_stages_of_two_more() -> None:
    assert default_view(rows_named(*dumps(3, "filter"), "merge", "upload")) == "stages"
    assert default_view(rows_named(*dumps(3, "filter"), "merge")) == "list"
    assert default_view(rows_named(*dumps(2, "filter"), "merge", "upload")) == "list"


def test_folders_of_logs_are_no_stages() -> None:
    assert default_view(rows_named(*dumps(3, "logs"), *dumps(3, "jobs"))) == "list"
    assert default_view(rows_named(*dumps(3, "logs"), "merge", "upload")) == "list"
