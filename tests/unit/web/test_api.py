"""The JSON API keeps to its own description, whatever it is asked."""

import json
import subprocess
import sys
from collections import Counter
from html import escape
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from support.processes import Exporter
from support.snapshots.pages import job_path

from exporter.errors import REASONS
from exporter.model.facts import JOB_FACTS, ROOT_FACTS, SORTS, SUMS
from exporter.model.facts.fact import of_reading
from exporter.model.facts.schemas import COUNT_OR_NULL
from exporter.model.facts.stages import STAGE_FACTS
from exporter.model.state import STATES
from exporter.web import api
from exporter.web.query import MAX_PER_PAGE, PER_PAGE

DESCRIPTION: dict[str, Any] = json.loads(api.DESCRIPTION)
SCHEMAS = DESCRIPTION["components"]["schemas"]


def problems(body: bytes, schema: str) -> list[str]:
    """Where an answer is not what the description says."""
    whole = {"$ref": f"#/components/schemas/{schema}", **DESCRIPTION}
    return [error.message for error in Draft202012Validator(whole).iter_errors(json.loads(body))]


def answered(exporter: Exporter, path: str) -> Any:
    answer = exporter.get(path)
    assert (answer.status, answer.headers["Content-Type"]) == (200, "application/json")
    return json.loads(answer.body)


@pytest.mark.timeout(600)
def test_schemathesis_finds_no_request_that_the_description_does_not_cover(
    gallery: Exporter, tmp_path: Path
) -> None:
    ran = subprocess.run(
        [
            *(sys.executable, "-m", "schemathesis.cli", "run", "--checks=all", "--seed=1"),
            *("--max-examples=30", "--no-color", "--request-timeout=60"),
            f"http://127.0.0.1:{gallery.port}/api/v1/openapi.json",
        ],
        cwd=tmp_path,  # it leaves folders where it runs
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "5 selected / 5 total" in ran.stdout
    assert "API Links:    1 covered" in ran.stdout


def test_the_job_of_every_row_is_as_described_and_says_the_same(gallery: Exporter) -> None:
    found = answered(gallery, "/api/v1/jobs?per_page=1000")
    assert problems(json.dumps(found).encode(), "Jobs") == []
    assert found["total"] == len(found["jobs"]) == 25
    assert Counter(job["state"] for job in found["jobs"]) == {
        "unreadable": 1, "stalled": 1, "failed": 1, "running": 17, "waiting": 2, "complete": 3,
    }  # fmt: skip
    for row in found["jobs"]:
        answer = gallery.get(f"/api/v1/jobs/{job_path(row['root'], row['job_name'])}")
        assert problems(answer.body, "JobDetail") == []
        job = json.loads(answer.body)
        assert {key: job[key] for key in ("root", "job_name", "tasks")} == {
            key: row[key] for key in ("root", "job_name", "tasks")
        }


def test_missing_ranks_and_history_are_those_of_the_markers(gallery: Exporter) -> None:
    job = answered(gallery, "/api/v1/jobs/fineweb/CC-MAIN-2024-18/minhash/buckets")
    assert [(run["first"], run["last"]) for run in job["missing_runs"]] == [
        *((rank, rank) for rank in (8, 25, 42, 59, 76, 93)),
        (103, 279),
    ]
    assert job["missing_runs_truncated"] is False
    points = job["history"]
    assert (points[0]["tasks_completed"], points[-1]["tasks_completed"]) == (1, 97)
    assert points[-1]["timestamp"] == job["last_completion_timestamp"]
    assert points == sorted(points, key=lambda point: point["timestamp"])
    corrupt = answered(gallery, "/api/v1/jobs/books/corrupt")
    assert (corrupt["state"], corrupt["error"]) == ("unreadable", "invalid")
    assert (corrupt["tasks"], corrupt["missing_runs"], corrupt["history"]) == (None, None, None)


def test_filters_are_those_of_the_page(gallery: Exporter) -> None:
    query = "?name=MINHASH&root=fineweb&root=books&state=waiting&state=stalled&sort=name&order=desc"
    found = answered(gallery, f"/api/v1/jobs{query}")
    names = [job["job_name"].rpartition("/")[2] for job in found["jobs"]]
    assert names == ["filter", "cluster", "buckets"]
    page = gallery.get(f"/{query}").body.decode().partition('id="jobs"')[2]
    assert [page.index(f"{name}</bdi>") for name in names] == sorted(
        page.index(f"{name}</bdi>") for name in names
    )


def test_roots_and_totals_are_those_of_the_metrics(gallery: Exporter) -> None:
    found = answered(gallery, "/api/v1/roots")
    assert problems(json.dumps(found).encode(), "Roots") == []
    metrics = gallery.page()
    by_name = {root["root"]: root for root in found["roots"]}
    assert found["roots_missing"] == ["scratch"]
    for name in ("jobs", "jobs_completed", "jobs_unreadable", "tasks", "tasks_completed"):
        of_roots = {root: metrics.value(f"datatrove_root_{name}", root=root) for root in by_name}
        assert of_roots.pop("scratch") is None
        assert of_roots == {root: by_name[root]["totals"][name] for root in of_roots}
        assert found["totals"][name] == sum(value or 0 for value in of_roots.values())
        assert metrics.value(f"datatrove_{name}") is None, "the sum would lack a root"
    in_state = by_name["fineweb"]["totals"]["jobs_in_state"]
    assert sum(in_state.values()) == by_name["fineweb"]["totals"]["jobs"]
    for state, jobs in in_state.items():
        assert jobs == metrics.value("datatrove_root_jobs_in_state", root="fineweb", state=state)
    assert by_name["scratch"]["up"] is False
    assert by_name["scratch"]["error"].startswith("not_found: ")
    assert by_name["scratch"]["totals"] is None
    assert by_name["books"]["totals"]["jobs_unreadable"] == 1


def test_stages_are_as_described_and_add_up_to_the_jobs(gallery: Exporter) -> None:
    found = answered(gallery, "/api/v1/stages")
    assert problems(json.dumps(found).encode(), "Stages") == []
    jobs = answered(gallery, "/api/v1/jobs?per_page=1000")["jobs"]
    assert found["whole"]["jobs"] == len(jobs)
    for sums in (*found["stages"], found["whole"]):
        of_stage = [job for job in jobs if sums in (found["whole"], *stages(found, job))]
        assert sums["jobs"] == len(of_stage)
        assert sums["tasks_completed"] == sum(job["tasks_completed"] or 0 for job in of_stage)
        in_state = {state: jobs for state, jobs in sums["jobs_in_state"].items() if jobs}
        assert in_state == Counter(job["state"] for job in of_stage)
    assert found["whole"]["tasks_last_day"] == found["whole"]["tasks_by_day"][-1] > 0


def stages(found: Any, job: Any) -> list[Any]:
    """The stage of this job."""
    return [sums for sums in found["stages"] if sums["stage"] == job["stage"]]


def test_problems_are_as_described_and_those_of_the_page(gallery: Exporter) -> None:
    found = answered(gallery, "/api/v1/problems")
    assert problems(json.dumps(found).encode(), "Problems") == []
    buckets = "CC-MAIN-2024-18/minhash/buckets"
    assert {("books", "corrupt"), ("scratch", None), ("fineweb", buckets)} <= {
        (problem["root"], problem["job_name"]) for problem in found["problems"]
    }
    of_fineweb = answered(gallery, "/api/v1/problems?root=fineweb&state=stalled")["problems"]
    assert [(p["job_name"], p["kinds"]) for p in of_fineweb] == [(buckets, ["state"])]
    page = gallery.get("/").body.decode()
    assert all(escape(problem["why"]) in page for problem in of_fineweb)


def test_a_hostile_query_and_address_are_refused_without_being_repeated(gallery: Exporter) -> None:
    for path, status in (
        ("/api/v1/jobs?canary=1", 400),
        ("/api/v1/jobs?state=canary", 400),
        ("/api/v1/jobs?format=canary", 400),
        ("/api/v1/stages?canary=1", 400),
        ("/api/v1/problems?canary=1", 400),
        ("/api/v1/jobs/canary/canary", 404),
        ("/api/v1/canary", 404),
        ("/jobs/canary/%0a%ff", 404),
        ("/?page=canary", 400),
    ):
        answer = gallery.get(path)
        assert (path, answer.status) == (path, status)
        assert b"canary" not in answer.body


def test_pages_and_api_are_compressed_for_those_who_ask(gallery: Exporter) -> None:
    for path in ("/", "/api/v1/jobs", "/jobs/books/dedup"):
        assert gallery.get(path, Accept_Encoding="gzip").headers["Content-Encoding"] == "gzip"
        assert "Content-Encoding" not in gallery.get(path).headers


def test_the_description_names_what_the_code_has() -> None:
    tables = {"Job": JOB_FACTS, "Root": ROOT_FACTS, "Totals": SUMS, "Stage": STAGE_FACTS}
    for schema, facts in tables.items():
        described = SCHEMAS[schema]["properties"]
        for fact in facts:
            assert (fact.name in described) == (fact.schema is not None)
    assert set(SCHEMAS["JobDetail"]["properties"]) > set(SCHEMAS["Job"]["properties"])
    assert "enum" not in SCHEMAS["State"]  # a later version may have others
    assert SCHEMAS["State"]["examples"] == list(STATES)
    assert SCHEMAS["Job"]["properties"]["error"]["enum"] == [*REASONS, None]
    parameters = {
        parameter["name"]: parameter
        for parameter in DESCRIPTION["paths"]["/api/v1/jobs"]["get"]["parameters"]
    }
    assert parameters["state"]["schema"]["items"]["enum"] == list(STATES)
    assert parameters["sort"]["schema"]["enum"] == list(SORTS)
    assert parameters["order"]["description"].startswith("Default: desc for last, idle, launch;")
    assert parameters["per_page"]["schema"]["maximum"] == MAX_PER_PAGE
    assert parameters["per_page"]["schema"]["default"] == PER_PAGE
    for schema in SCHEMAS.values():
        if "properties" in schema:
            assert schema["required"] == list(schema["properties"])
            assert schema["additionalProperties"] is False


def test_a_new_row_of_the_table_is_described_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    fact = of_reading("rows", lambda reading: reading.tasks, "Rows seen.", schema=COUNT_OR_NULL)
    monkeypatch.setattr(api.facts, "JOB_FACTS", (*JOB_FACTS, fact))
    schemas = api.description()["components"]["schemas"]
    for schema in ("Job", "JobDetail"):
        assert schemas[schema]["properties"]["rows"] == {
            "type": ["integer", "null"],
            "minimum": 0,
            "description": "Rows seen.",
        }
        assert "rows" in schemas[schema]["required"]
