"""What the JSON API says of the stage and item of a job."""

from support.snapshots.readings import a_job
from support.snapshots.stages import rows_of

from exporter.model.facts import job_json


def test_stage_and_item_are_told_as_far_as_names_tell_them() -> None:
    names = ("filter/CC-MAIN-2020-05", "tokenize/CC-MAIN-2020-05", "CC-MAIN-2020-10", "experiment")
    fields = {row.job_name: job_json(row) for row in rows_of(*map(a_job, names))}
    assert {name: (each["stage"], each["item"]) for name, each in fields.items()} == {
        "filter/CC-MAIN-2020-05": ("filter/*", "CC-MAIN-2020-05"),
        "tokenize/CC-MAIN-2020-05": ("tokenize/*", "CC-MAIN-2020-05"),
        "CC-MAIN-2020-10": (None, "CC-MAIN-2020-10"),
        "experiment": (None, None),
    }
