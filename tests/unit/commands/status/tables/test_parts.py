"""Parts as lines of text."""

from exporter.commands.status.tables.layout import lines, place
from exporter.commands.status.tables.parts import part_columns, part_json
from exporter.model.stages.breakdown import Part
from exporter.model.state import STATES


def part(value: str | None, tasks: tuple[int, int], **states: int) -> Part:
    return Part(value, {**dict.fromkeys(STATES, 0), **states}, tasks[1], tasks[0])


PARTS = [part("minhash/*", (5, 20), stalled=2, complete=10), part(None, (0, 0), unreadable=1)]


def test_a_line_for_each_part_with_the_states_that_any_job_is_in() -> None:
    assert list(lines(part_columns(PARTS, "stage"))) == [
        "STAGE      UNREADABLE  STALLED  COMPLETE  JOBS  TASKS    %",
        "minhash/*           -        2        10    12   5/20  25%",
        "-                   1        -         -     1    0/0    -",
    ]


def test_states_that_need_nobody_give_way_before_a_name_does() -> None:
    every = [part("a" * 40, (5, 20), **dict.fromkeys(STATES, 1))]

    def headings(room: int) -> str:
        return " ".join(each.heading for each in place(part_columns(every, "stage"), room))

    assert headings(140).startswith("STAGE UNREADABLE FAILED STALLED RUNNING WAITING ABANDONED")
    assert headings(110) == "STAGE UNREAD FAIL STALL RUN WAIT ABAND DONE JOBS TASKS %"
    assert headings(80) == "STAGE UNREAD FAIL STALL RUN JOBS TASKS"
    assert headings(20) == "STAGE UNREAD FAIL STALL JOBS"


def test_as_json_every_state_is_named() -> None:
    found = part_json(PARTS[0])
    assert (found["value"], found["state"], found["jobs"]) == ("minhash/*", "stalled", 12)
    assert list(found["jobs_in_state"]) == list(STATES)
