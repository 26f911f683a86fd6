"""What the JSON API says of a stage."""

from support.snapshots.readings import NOW, a_job
from support.snapshots.stages import daily, rows_of

from exporter.model.facts.stages import STAGE_FACTS, stage_json
from exporter.model.stages.table import stage_table


def fields_of(*tasks_by_day: int) -> dict[str, object]:
    """Of the stage of one job that completed so many tasks on the last days."""
    rows = rows_of(a_job("filter/CC-MAIN-2020-05", reading=daily(*tasks_by_day)))
    return stage_json(stage_table(rows, NOW).whole)


def test_a_stage_tells_its_mean_day_its_best_and_its_worst() -> None:
    fields = fields_of(30, 20, 10, 20, 20, 20, 20)
    pace = [fields[name] for name in ("tasks_per_day", "tasks_per_day_best", "tasks_per_day_worst")]
    assert pace == [20, 30, 10]
    ends = [fields[f"done_about{which}_timestamp"] for which in ("_earliest", "", "_latest")]
    assert ends == sorted(ends)  # type: ignore[type-var]
    assert None not in ends


def test_without_a_completion_there_is_no_pace() -> None:
    fields = fields_of()
    assert [fields[name] for name in fields if "per_day" in name or "about" in name] == [None] * 6


def test_the_schema_says_how_many_days_and_hours_there_are() -> None:
    fields = fields_of(1)
    for fact in STAGE_FACTS:
        if fact.name in ("tasks_by_day", "tasks_by_hour"):
            assert fact.schema is not None
            length = len(fields[fact.name])  # type: ignore[arg-type]
            assert (fact.schema["minItems"], fact.schema["maxItems"]) == (length, length)
