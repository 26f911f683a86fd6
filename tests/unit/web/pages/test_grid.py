"""Items × stages on the page."""

import re

from support.snapshots.many_jobs import an_estate
from support.snapshots.pages import Skeleton, asked, page_of, shown, text_of, views_of
from support.snapshots.readings import NOW, a_job, a_root, completed

from exporter.model.names.grouping import Group, groups_of


def test_cells_are_links_with_symbol_and_number() -> None:
    page = page_of(*an_estate(dumps=12, experiments=0))
    table = page.partition('aria-label="Open items of fineweb"')[2].partition("</table>")[0]
    cells = re.findall(r"<td>(.*?)</td>", table)
    assert cells
    link = r'<a href="jobs/fineweb/[^"]+" class="tone-\w+">'
    symbol = r'<span aria-hidden="true">[✗✘!▶…⊘✓]</span><span class="unseen">\w+</span>'
    for cell in cells:
        assert re.fullmatch(rf"{link}{symbol}( \d+ %)?</a>", cell), cell
    assert "blocked" in table
    assert "⊘ blocked: an earlier stage is not done" in text_of(page)


def test_finished_items_are_folded_and_the_others_are_not() -> None:
    page = page_of(*an_estate(dumps=12, experiments=0))
    folded = page.partition("<details>")[2].partition("</details>")[0]
    assert "<summary>6 complete items</summary>" in folded
    assert folded.count("CC-MAIN-2013-29</bdi>") == 1
    assert "CC-MAIN-2013-09</bdi>" not in folded


def test_a_grid_of_many_items_goes_on_on_other_pages() -> None:
    views = views_of(*an_estate(dumps=333, experiments=0))
    first = shown(views.index(asked()))
    assert "Page 1 of 4" in text_of(first)
    seen = []
    for page in range(1, 5):
        document = shown(views.index(asked(("page", str(page)))))
        seen += re.findall(r'<th scope="row"><bdi>(CC-MAIN-[^<]+)</bdi></th>', document)
    assert len(seen) == len(set(seen)) == 333


def test_jobs_in_no_grid_follow_it_and_lead_to_the_list() -> None:
    page = page_of(*an_estate(dumps=12, experiments=50))
    assert "In no grid" in text_of(page)
    assert '<a href="?view=list">in the list</a>' in page


def test_a_cell_says_how_many_jobs_it_is_and_is_grey_where_its_root_is_lost() -> None:
    groups = [Group(stage, f"i{n}") for n in range(4) for stage in ("a", "b")]
    groups.append(groups[0])
    reading = completed(10, ago=600, gap=600)
    jobs = [a_job(f"j{at}", reading=reading, as_of=NOW - 60) for at in range(len(groups))]
    lost = a_root("r", *jobs, groups=tuple(groups), up=False, error="denied: No")
    grid = page_of(lost).partition('class="grid"')[2].partition("</table>")[0]
    assert grid.count('<td class="old">') == 8
    assert grid.count(" 10 % ×2</a>") == grid.count("×") == 1


def test_names_in_a_grid_are_text() -> None:
    def grid(item: str, stage: str) -> Skeleton:
        names = [f"{step}_{stage}/CC-MAIN-2014-{n}{item}" for n in range(10, 16)
                 for step in ("tokenize", "filter")]  # fmt: skip
        reading = completed(10, ago=600, gap=600)
        names.sort()
        jobs = [a_job(name, reading=reading) for name in names]
        page = page_of(a_root("r", *jobs, groups=groups_of(names)))
        assert 'class="grid"' in page
        return Skeleton(page)

    assert grid('"><script>', "<b>").parts == grid("x", "y").parts
