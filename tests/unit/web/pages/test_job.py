"""What the page of a job says."""

import html
import json
from dataclasses import replace

import pytest
from support.jobs.stats import a_pipeline, as_bytes
from support.snapshots.pages import (
    READING,
    Skeleton,
    a_failed_job,
    asked,
    below,
    job_path,
    shown,
    text_of,
    views_of,
)
from support.snapshots.readings import (
    HOUR,
    NOW,
    a_job,
    a_reading,
    a_root,
    an_unreadable_job,
    completed,
    some_logs,
)

from exporter.config.settings import ShowErrors
from exporter.datatrove.layout import display_name
from exporter.datatrove.ranks import Ranks
from exporter.datatrove.stats import JobStats, parse_stats
from exporter.model import formatting
from exporter.model.names.grouping import Group
from exporter.model.upstream import Upstream
from exporter.web.pages.environment import new_environment


def test_a_job_of_millions_of_missing_ranks_shows_the_first_of_them() -> None:
    many = replace(READING, tasks=2**50, ranks=Ranks(range(1, 4000, 2)), tasks_completed=2000)
    views = views_of(a_root("prod", a_job("a", reading=many)))
    assert "the first 200 of them" in shown(views.job(below("prod/a")))
    found = json.loads(shown(views.api_job(below("prod/a"))))
    assert found["missing_runs"][:2] == [{"first": 0, "last": 0}, {"first": 2, "last": 2}]
    assert len(found["missing_runs"]) == 1000
    assert found["missing_runs_truncated"] is True


@pytest.mark.parametrize("executor", ["slurm", "local"])
def test_missing_ranks_of_slurm_are_not_taken_for_an_array(executor: str) -> None:
    """Its elements are places in ``ranks_to_run.json``; the list looks as if it were one."""
    job = a_job("a", reading=replace(READING, executor=executor))
    said = (
        "have no completion marker (they are no indexes for --array: the script finds them itself):"
    )
    assert (said in text_of(shown(views_of(a_root("prod", job)).job(below("prod/a"))))) == (
        executor == "slurm"
    )


def test_shell_commands_and_queries_on_the_page_quote_the_name() -> None:
    name = display_name('it\'s "a" $(job)\n')
    views = views_of(a_root("prod", a_job(name, reading=READING), url="/da ta"))
    text = Skeleton(shown(views.job(below(job_path("prod", name)))))
    assert text.title.endswith(f"– {name} – datatrove jobs")
    commands = html.unescape(shown(views.job(below(job_path("prod", name)))))
    assert """failed_logs $'/da ta/it\\'s "a" $(job)\\x0a'</pre>""" in commands
    assert r"""job_name="it's \"a\" $(job)\\x0a"}</pre>""" in commands


def test_the_page_of_a_failed_job_says_what_broke_where_since_when_and_what_to_do() -> None:
    page = shown(views_of(a_root("prod", a_failed_job("j"))).job(below("prod/j")))
    text = text_of(page)
    assert "What to do: Nothing of this launch can finish it: mend the cause first." in text
    assert (
        "2 tasks: IndexError at extract.py:run:88 (program) ranks 52–53, newest 15 min ago" in text
    )
    assert "1 task: out of memory rank 60" in text
    assert "Missing: 3 failed · 1 silent · 54 not started" in text
    assert "Failed 52–53, 60 Silent 55 Not started 0–9, 50–51, 54" in text


def test_ranks_in_a_state_end_with_dots_where_there_are_more_than_thirty_ranges() -> None:
    def shown_of(ranges: int) -> str:
        logs = some_logs(failed=range(0, 2 * ranges, 2), silent=[1])
        job = a_job("j", reading=replace(READING, logs=logs))
        return text_of(shown(views_of(a_root("prod", job)).job(below("prod/j"))))

    assert ", 56, 58 Silent 1" in shown_of(30)
    assert ", 56, 58, … Silent 1" in shown_of(31)


def test_a_job_that_is_done_has_no_failures_in_the_list_and_no_missing_ranks() -> None:
    failed = a_failed_job("j")
    assert failed.reading is not None
    done = a_job("j", reading=replace(failed.reading, tasks=44))
    for job, is_told in ((failed, True), (done, False)):
        views = views_of(a_root("prod", job))
        assert ("3 failed: " in text_of(shown(views.index(asked(("view", "list")))))) == is_told
        assert ("Missing ranks" in shown(views.job(below("prod/j")))) == is_told


@pytest.mark.parametrize("show", ["none", "types", "text"])
def test_pages_and_api_show_what_show_errors_allows(show: ShowErrors) -> None:
    views = views_of(a_root("prod", a_failed_job("j"), show_errors=show))
    page = shown(views.job(below("prod/j")))
    answers = [page, shown(views.index(asked())), shown(views.api_job(below("prod/j"))),
               shown(views.api_jobs(asked()))]  # fmt: skip
    for answer in answers:
        assert ("IndexError" in answer) == (show != "none")
        assert ("extract.py" in answer) == (show != "none")
    told = ["out of &lt;range&gt;" in page, False, *("out of <range>" in a for a in answers[2:])]
    assert told == ([True, False, True, True] if show == "text" else [False] * 4)
    assert "out of <range>" not in page


def test_the_api_tells_causes_by_rank_and_advice() -> None:
    views = views_of(a_root("prod", a_failed_job("j"), a_job("k", reading=READING)))
    found = json.loads(shown(views.api_job(below("prod/j"))))
    assert found["failures"] == [
        {"type": "IndexError", "where": "extract.py:run:88", "reason": "program", "message": None,
         "tasks": 2, "ranks": [52, 53], "last_timestamp": NOW - 900},
        {"type": None, "where": None, "reason": "out_of_memory", "message": None,
         "tasks": 1, "ranks": [60], "last_timestamp": None},
    ]  # fmt: skip
    assert "58 of 102 tasks will run" in found["advice"]
    assert (found["state"], found["needs_relaunch"]) == ("failed", True)
    healthy = json.loads(shown(views.api_job(below("prod/k"))))
    assert (healthy["failures"], healthy["advice"]) == (None, None)


def test_a_slow_pace_is_told_as_time_per_task() -> None:
    pace = new_environment().get_template("_entries.html").module.pace  # type: ignore[attr-defined]
    told = [str(pace(per_hour, None, None, NOW)) for per_hour in (1234.5, 12, 1.25, 0.1)]
    assert told == [
        "1,234 tasks an hour",
        "12 tasks an hour",
        "1.2 tasks an hour",
        "a task in 10 h",
    ]


def page_with(stats: JobStats | None) -> str:
    job = a_job("j", reading=a_reading(stats=stats))
    return shown(views_of(a_root("prod", job)).job(below("prod/j")))


def test_the_page_shows_which_step_threw_away_what_and_of_how_many_tasks_that_is() -> None:
    page = page_with(JobStats(38, parse_stats(as_bytes(a_pipeline(read=1000, kept=600))), 1, 0, 1))
    text = text_of(page)
    assert "by 38 of the 40 completed tasks (1 not read yet and 1 of another pipeline)." in text
    assert "00_reader_jsonl 1,000" in text
    assert "01_filter_lambda 1,000 600 400 40 %" in text
    assert '<progress class="halted" max="1" value="0.4" aria-label="Dropped by 01' in page
    assert page.count('<progress max="0.5"') == 3  # time in steps, against the longest


def test_a_step_that_lets_nothing_through_says_so() -> None:
    none = JobStats(40, parse_stats(as_bytes(a_pipeline(read=1000, kept=0))))
    assert "01_filter_lambda 1,000 0 1,000 100 %" in text_of(page_with(none))


def test_a_job_whose_stats_are_not_read_has_no_steps_on_its_page() -> None:
    assert "steps did" not in page_with(None)


def test_before_any_stats_were_read_the_page_says_how_many_are_to_come() -> None:
    page = page_with(JobStats(0, to_read=40))
    assert "Counted by 0 of the 40 completed tasks (40 not read yet)." in text_of(page)


def test_the_page_of_a_job_leads_to_the_stages_before_and_after_it() -> None:
    before = a_job("minhash/<sig>", reading=a_reading(tasks=12, tasks_completed=11))
    upstream = Upstream("q", before.name, "depends", tasks=12, completed=11)
    waiting = a_reading(
        tasks_completed=0,
        started=False,
        start_timestamp=None,
        last_completion_timestamp=None,
        launch_timestamp=NOW - 60,
    )
    job = a_job("b", reading=waiting, upstream=upstream)
    after = (a_job(f"c{n:02}", upstream=Upstream("r", "b", "order")) for n in range(22))
    views = views_of(a_root("q", before), a_root("r", job, *after))
    page = shown(views.job(below("r/b")))
    text = text_of(page)
    assert "no sign of life since, blocked by minhash/<sig> (11/12)." in text
    assert "Reads minhash/<sig> q ▶ running 11 / 12 tasks known by the folder it waits for" in text
    assert "Read by c00" in text
    assert "c19" in text
    assert "c20" not in text
    assert "and 2 more" in text
    assert 'href="../../jobs/q/minhash/%3Csig%3E"' in page
    alone = text_of(shown(views_of(a_root("r", a_job("b"))).job(below("r/b"))))
    assert "Before and after" not in alone
    assert "blocked by" in text_of(shown(views.index(asked())))


def test_an_upstream_that_another_exporter_has_is_named_without_a_link() -> None:
    upstream = Upstream("r", "minhash/<sig>", "order", tasks=12, completed=11)
    page = shown(views_of(a_root("r", a_job("b", upstream=upstream))).job(below("r/b")))
    said = "Reads minhash/<sig> 11 / 12 tasks of another exporter known by stage_order"
    assert said in text_of(page)
    assert "%3Csig%3E" not in page


def test_a_job_that_read_its_input_too_early_has_a_red_banner_though_it_is_complete() -> None:
    upstream = Upstream("q", "sig", "slurm", tasks=12, completed=12, late=3)
    job = a_job("b", reading=a_reading(tasks_completed=100), upstream=upstream)
    views = views_of(a_root("q", a_job("sig")), a_root("r", job))
    text = text_of(shown(views.job(below("r/b"))))
    assert "Its output is not complete: 3 tasks of sig below q were not done when it began." in text
    assert "What to do: It read the output of sig before that was complete:" in text
    assert "delete completions/ of this job and its output and run it again" in text


def why_stalled(**fields: object) -> str:
    """What the page of a stalled job of long tasks says first."""
    reading = a_reading(last_completion_timestamp=NOW - 2 * HOUR, **fields)
    job = a_job("j", reading=reading)
    job = replace(job, state="stalled", stall_threshold_seconds=18 * HOUR)
    text = text_of(shown(views_of(a_root("prod", job)).job(below("prod/j"))))
    return text.partition(" stalled ")[2].partition(" What to do")[0]


def test_a_job_that_is_silent_is_not_said_to_be_idle_for_less_than_it_ever_was() -> None:
    silent = replace(some_logs(running=[41]), last_open_write=NOW - 90 * 60)
    six_hours = {"longest_completion_gap_seconds": 6 * HOUR}
    said = "No task that runs has written a log for 1 h 30 min"
    assert why_stalled(logs=silent, **six_hours).startswith(f"{said}.")
    known = replace(silent, longest_gap_seconds=300.0)
    said += "; none was silent for longer than 5 min before."
    assert why_stalled(logs=known, **six_hours).startswith(said)


def test_a_wait_that_the_whole_cluster_shared_is_no_measure_of_an_idle_job() -> None:
    job = a_job("j", reading=completed(40, ago=2 * HOUR, gap=12 * HOUR))
    job = replace(job, state="stalled", stall_threshold_seconds=HOUR)
    text = text_of(shown(views_of(a_root("prod", job)).job(below("prod/j"))))
    said = "No task was completed for 2 h; but for pauses of the whole cluster, it never waited so"
    assert said in text


def test_an_unreadable_job_says_what_that_means_and_nothing_untrue() -> None:
    unread = a_reading(tasks_completed=0, last_completion_timestamp=None, history=None)
    for job in (
        an_unreadable_job("j", error="invalid"),
        a_job("j", reading=unread, error="denied"),
    ):
        text = text_of(shown(views_of(a_root("prod", job)).job(below("prod/j"))))
        assert job.error is not None
        assert all(said in text for said in formatting.TROUBLES[job.error])
        assert "No completion has been seen yet" not in text


def test_stray_markers_are_a_badge_that_leads_to_all_such_jobs() -> None:
    views = views_of(a_root("prod", a_job("j", reading=READING), a_job("k")))
    badge = 'strays=true&amp;view=list" class="badge">2 stray'
    assert badge in shown(views.index(asked())).partition('id="jobs"')[2]
    assert f'href="../../?{badge}' in shown(views.job(below("prod/j")))
    listed = shown(views.index(asked(("strays", "true")))).partition('id="jobs"')[2]
    assert "<bdi>j</bdi>" in listed
    assert "<bdi>k</bdi>" not in listed


def test_a_job_leads_to_those_of_its_stage_item_and_labels() -> None:
    name = "filter/CC-MAIN-2014-23"
    job = a_job(name, reading=READING, labels=(("stage", "filter"), ("dump", "<d>")))
    root = a_root("prod", job, groups=(Group("filter", "<d>"),))
    page = shown(views_of(root).job(below(f"prod/{name}")))
    for query in ("stage=filter", "item=%3Cd%3E", "label=dump%3A%3Cd%3E"):
        assert f'href="../../../?{query}"' in page
    assert "label=stage" not in page
