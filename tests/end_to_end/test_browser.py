"""The pages in a real browser: what people do with them, and what must never happen."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect
from support.browser_fixtures import HOSTILE_ROOT
from support.browsers import axe_violations, overlaps, watched
from support.jobs.estate import write_estate
from support.jobs.folders import write_job, write_marker
from support.jobs.gallery import HOSTILE_NAMES
from support.processes import Exporter, serving
from support.snapshots.pages import job_path

from exporter.datatrove.layout import display_name

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def page(browser: Browser, gallery: Exporter) -> Iterator[Page]:
    """A page of the gallery's exporter, not loaded yet."""
    with watched(browser, gallery.port) as page:
        yield page


@pytest.fixture
def plain(browser: Browser, gallery: Exporter) -> Iterator[Page]:
    """The same in a browser without JavaScript."""
    with watched(browser, gallery.port, java_script_enabled=False) as page:
        yield page


@pytest.fixture
def live(tmp_path: Path, root: Path) -> Iterator[Exporter]:
    """An exporter that scans `root` every second."""
    with serving(tmp_path, roots=[{"name": "prod", "url": str(root), "scan_interval": "1s"}]) as it:
        it.wait_until_ready()
        yield it


def names(page: Page) -> Locator:
    """Names of the jobs in the table, to be expected: a click is over before the page it leads to
    is there."""
    return page.locator("#jobs tbody th a:not(.badge)")


def test_bad_news_comes_first_in_title_banner_summary_and_table(page: Page) -> None:
    page.goto("/")
    expect(page).to_have_title("1 root failing, 1 unreadable, 1 failed, 1 stalled – datatrove jobs")
    expect(page.locator("#freshness")).to_contain_text("Not up to date: 1 of 4 roots")
    lines = page.locator("main > :first-child .problems li")
    expect(lines.first).to_contain_text("executor.json or completions/ is not valid")
    expect(lines.nth(1)).to_have_text(
        "✗ root scratch cannot be scanned: No such file or directory (never read)"
    )
    expect(lines.last).to_contain_text("CC-MAIN-2024-18/minhash/buckets")
    expect(page.get_by_role("link", name="more")).to_be_visible()
    expect(page.get_by_role("link", name="1 stalled")).to_be_visible()
    states = page.locator("#jobs .state").all_inner_texts()
    assert states[:4] == ["✗ unreadable", "✘ failed", "! stalled", "▶ running"]
    assert states[-1] == "✓ complete"
    expect(page.locator("#jobs tbody tr").first).to_contain_text(
        "executor.json or completions/ is not valid"
    )


def ask_for_minhash(page: Page) -> None:
    """Fill in all of the form, and send it: three of the jobs are left."""
    page.get_by_label("Job name contains").fill("MINHASH")
    page.get_by_label("Root", exact=True).select_option("fineweb")
    page.get_by_label("Hide complete").check()
    page.get_by_role("button", name="Show").click()


@pytest.mark.parametrize("kind", ["page", "plain"])
def test_a_filter_is_in_the_address_and_survives_sorting(
    kind: str, request: pytest.FixtureRequest
) -> None:
    page: Page = request.getfixturevalue(kind)
    page.goto("/")
    ask_for_minhash(page)
    expect(names(page)).to_have_text(
        [f"CC-MAIN-2024-18/minhash/{name}" for name in ("buckets", "cluster", "filter")]
    )
    expect(page.locator("#jobs")).to_contain_text("3 jobs of 25")
    assert "name=MINHASH" in page.url
    assert "hide_complete=true" in page.url
    page.get_by_role("link", name="Job", exact=True).click()
    expect(page.locator("th[aria-sort=ascending]")).to_have_text("Job ↑")
    page.get_by_role("link", name="Job", exact=True).click()
    expect(page.locator("th[aria-sort=descending]")).to_have_text("Job ↓")
    shown = [re.compile(f"(^|/){stage}$") for stage in ("filter", "cluster", "buckets")]
    expect(names(page)).to_have_text(shown)
    expect(page.get_by_label("Job name contains")).to_have_value("MINHASH")
    expect(page.get_by_label("Hide complete")).to_be_checked()


@pytest.mark.parametrize("kind", ["page", "plain"])
def test_the_form_says_what_the_page_shows_also_on_the_way_back(
    kind: str, request: pytest.FixtureRequest
) -> None:
    """A browser fills in what was chosen before it left: the next search would ask for that, too,
    while the page shows all jobs."""
    page: Page = request.getfixturevalue(kind)
    page.goto("/")
    ask_for_minhash(page)
    expect(names(page)).to_have_count(3)
    page.go_back()
    expect(page.locator(".chosen")).to_have_count(0)
    expect(page.get_by_label("Job name contains")).to_have_value("")
    expect(page.get_by_label("Root", exact=True)).to_have_value("")
    expect(page.get_by_label("Hide complete")).not_to_be_checked()
    page.go_forward()
    expect(page.get_by_label("Root", exact=True)).to_have_value("fineweb")


def test_a_state_in_the_summary_leads_to_its_jobs_and_back(plain: Page) -> None:
    plain.goto("/")
    plain.get_by_role("link", name="2 waiting").click()
    expect(names(plain)).to_have_count(2)
    expect(plain.locator(".chosen")).to_contain_text("2 of 25 jobs")
    plain.get_by_role("link", name="1 stalled").click()
    expect(names(plain)).to_have_count(3)
    plain.get_by_label("Job name contains").fill("minhash/c")
    plain.get_by_role("button", name="Show").click()
    expect(names(plain)).to_have_text(["CC-MAIN-2024-18/minhash/cluster"])
    plain.get_by_role("link", name="name contains").click()
    expect(names(plain)).to_have_count(3)
    plain.get_by_role("link", name="1 stalled").click()
    expect(names(plain)).to_have_count(2)
    plain.get_by_role("link", name="2 waiting").click()
    expect(names(plain)).to_have_count(25)


def test_a_filter_without_a_match_says_so(plain: Page) -> None:
    plain.goto("/?name=no+such+name")
    expect(plain.locator("#jobs")).to_contain_text("No job matches.")
    plain.get_by_role("link", name="Show all jobs").click()
    expect(names(plain)).to_have_count(25)


def test_without_javascript_nothing_is_offered_that_needs_it(plain: Page) -> None:
    plain.goto("/jobs/fineweb/tokenize")
    expect(plain.locator("h1")).to_have_text("tokenize")
    expect(plain.get_by_role("button")).to_have_count(0)
    plain.get_by_role("link", name="All jobs").click()
    expect(plain.locator("h1")).to_have_text("datatrove jobs")


def test_the_page_of_a_stalled_job_says_why_and_what_is_missing(page: Page) -> None:
    page.goto("/?state=stalled")
    page.locator("#jobs tbody th a:not(.badge)").click()
    expect(page).to_have_title("stalled, 34 % – CC-MAIN-2024-18/minhash/buckets – datatrove jobs")
    expect(page.locator("#job")).to_contain_text("No task was completed for 6 h")
    expect(page.locator("#job dl")).to_contain_text("mh2-buckets")
    expect(page.locator("#copy-ranks")).to_have_text("8,25,42,59,76,93,103-279")
    expect(page.locator("#copy-logs")).to_have_text(
        re.compile(r"^failed_logs /.*/minhash/buckets$")
    )
    expect(page.get_by_role("img", name="Completed tasks of CC-MAIN-2024-18")).to_be_visible()
    expect(page.locator("figcaption")).to_contain_text("First completion")


def test_stray_markers_and_completion_are_explained(page: Page) -> None:
    page.goto("/jobs/books/dedup")
    expect(page.locator("#job dl")).to_contain_text("Stray markers 3")
    expect(page.locator("#missing")).to_be_empty()
    page.goto("/jobs/books/corrupt")
    expect(page.locator(".banner").last).to_contain_text(
        "cannot be read: executor.json or completions/ is not valid"
    )


def test_what_is_copied_is_what_is_shown(browser: Browser, gallery: Exporter) -> None:
    rights = ["clipboard-read", "clipboard-write"]
    with watched(browser, gallery.port, permissions=rights) as page:
        page.goto("/jobs/fineweb/CC-MAIN-2024-18/minhash/buckets")
        page.get_by_role("button", name="Copy missing ranks").click()
        expect(page.locator("button[data-copy=copy-ranks]")).to_have_text("Copied")
        assert page.evaluate("navigator.clipboard.readText()") == "8,25,42,59,76,93,103-279"


def test_copying_works_where_browsers_have_no_clipboard_interface(
    browser: Browser, gallery: Exporter
) -> None:
    with watched(browser, gallery.port, permissions=["clipboard-read"]) as page:
        page.add_init_script("Object.defineProperty(navigator, 'clipboard', {value: undefined})")
        page.goto("/jobs/fineweb/tokenize")
        page.get_by_role("button", name="Copy status command", exact=True).click()
        expect(page.locator("button[data-copy=copy-status]")).to_have_text("Copied")


def test_every_hostile_name_is_text_and_leads_to_its_job(page: Page) -> None:
    page.goto("/")
    page.get_by_label("Root", exact=True).select_option(HOSTILE_ROOT)
    page.get_by_role("button", name="Show").click()
    shown = page.locator("#jobs tbody th a:not(.badge)").all_text_contents()
    assert sorted(shown) == sorted(display_name(os.fsdecode(name)) for name in HOSTILE_NAMES)
    for index, name in enumerate(shown):
        page.locator("#jobs tbody th a:not(.badge)").nth(index).click()
        assert page.locator("h1").text_content() == name
        assert page.locator(".heading nav a").nth(1).text_content() == HOSTILE_ROOT
        page.get_by_role("link", name="This job as JSON").click()
        page.wait_for_url("**/api/v1/jobs/**")
        assert page.evaluate("JSON.parse(document.body.textContent).job_name") == name
        page.go_back()
        page.go_back()


def test_the_page_of_a_failed_job_says_why_and_what_to_do(plain: Page) -> None:
    plain.goto("/jobs/books/parse")
    expect(plain.locator("#job")).to_contain_text(
        "What to do: Nothing of this launch can finish it"
    )
    expect(plain.locator(".causes li")).to_have_count(3)
    expect(plain.locator(".causes li").first).to_contain_text(
        "8 tasks: IndexError at extract.py:run:88 (program) ranks 8, 25, 42, 59, 76, 93, 102–103"
    )
    expect(plain.locator("#missing")).to_contain_text("Missing: 12 failed")


def test_the_steps_of_a_job_say_what_was_dropped_and_for_how_many_tasks(plain: Page) -> None:
    plain.goto("/jobs/fineweb/tokenize")
    expect(plain.locator("#steps")).to_contain_text(
        re.compile(
            r"Counted by \d+ of the 383 completed tasks "
            r"\(.*\d (not read yet|without a usable file)\)"  # these are looked for again
        )
    )
    names = plain.locator("#steps tbody th").all_inner_texts()
    assert names[:2] == ["00_reader_jsonl", "01_filter_lambda"]
    assert re.fullmatch("04_[a-z_]+", names[4])
    expect(plain.locator("#steps tbody tr").nth(1)).to_contain_text(re.compile("3[45] %"))


@pytest.mark.parametrize("width", [320, 390, 1000, 1280, 2560])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_and_nothing_is_cut_off(
    browser: Browser, gallery: Exporter, scheme: str, width: int
) -> None:
    with watched(browser, gallery.port, color_scheme=scheme) as page:
        page.set_viewport_size({"width": width, "height": 800})
        for path in (
            "/",
            "/?name=none+of+them",
            "/?state=stalled&sort=name",
            "/jobs/fineweb/CC-MAIN-2024-18/extract",
            "/jobs/fineweb/CC-MAIN-2024-18/minhash/buckets",
            "/jobs/fineweb/tokenize",
            "/jobs/books/corrupt",
            "/jobs/books/parse",
            "/jobs/no/such",
        ):
            page.goto(path)
            if width in (390, 1280):
                assert axe_violations(page) == [], path
            assert page.evaluate("document.documentElement.scrollWidth") <= width, path
            assert overlaps(page) == [], path


def complete(job: Path, rank: int) -> None:
    write_marker(job, f"{rank:05d}", time.time())


def wait_for_completed(exporter: Exporter, job_name: str, number: int) -> None:
    exporter.wait_for(
        lambda page: (
            page.value("datatrove_job_tasks_completed", root="prod", job_name=job_name) == number
        ),
        f"{number} completed tasks of {job_name}",
    )


def test_refreshing_keeps_focus_scroll_and_what_was_typed(
    browser: Browser, live: Exporter, make_job: Callable[..., Path]
) -> None:
    jobs = [
        make_job(f"job-{n:02}", tasks=4, completed=[0], launch=time.time() - 300) for n in range(40)
    ]
    wait_for_completed(live, "job-39", 1)
    with watched(browser, live.port) as page:
        page.clock.install()
        page.goto("/?sort=progress")
        page.get_by_label("Job name contains").fill("half a wo")
        page.locator("a", has_text="job-30").focus()
        page.evaluate("scrollTo(0, 700)")
        complete(jobs[30], 1)
        wait_for_completed(live, "job-30", 2)
        page.clock.run_for(31_000)
        expect(page.locator("#jobs tbody tr").last).to_contain_text("2 / 4")
        assert page.evaluate("document.activeElement.textContent") == "job-30"
        assert page.evaluate("scrollY") == 700
        expect(page.get_by_label("Job name contains")).to_have_value("half a wo")


def test_refreshing_can_be_stopped_and_stays_stopped(
    browser: Browser, live: Exporter, make_job: Callable[..., Path]
) -> None:
    job = make_job("job", tasks=4, completed=[0], launch=time.time() - 300)
    wait_for_completed(live, "job", 1)
    with watched(browser, live.port) as page:
        page.clock.install()
        page.goto("/")
        page.get_by_role("button", name="Stop refreshing").click()
        page.goto("/jobs/prod/job")
        complete(job, 1)
        wait_for_completed(live, "job", 2)
        page.clock.run_for(120_000)
        expect(page.locator("#job")).to_contain_text("1 / 4")
        page.get_by_role("button", name="Refresh every 30 s").click()
        expect(page.locator("#job")).to_contain_text("2 / 4")
        expect(page.locator("#copy-ranks")).to_have_text("2-3")


def test_a_page_whose_exporter_is_gone_says_that_it_is_old(
    browser: Browser, tmp_path: Path, root: Path, make_job: Callable[..., Path]
) -> None:
    make_job("job")
    with serving(tmp_path, roots=[str(root)]) as exporter:
        exporter.wait_until_ready()
        with watched(browser, exporter.port, timezone_id="Asia/Kolkata") as page:
            page.clock.install(time=datetime(2026, 3, 1, 22, 59, 30, tzinfo=UTC))
            page.goto("/")
            expect(page.locator("#lost")).to_be_hidden()
            exporter.end(signal.SIGTERM)
            page.clock.run_for(31_000)
            lost = page.locator("#lost")
            expect(lost).to_contain_text("No answer from the exporter since 2 Mar 04:29:3")
            page.get_by_role("button", name="Times: local").click()
            expect(lost).to_contain_text(re.compile("since 1 Mar 22:59:3. UTC"))


def test_the_page_of_a_job_that_goes_says_so_and_is_back_once_the_job_is(
    browser: Browser, live: Exporter, make_job: Callable[..., Path]
) -> None:
    job = make_job("job", tasks=4, completed=[0])
    wait_for_completed(live, "job", 1)
    with watched(browser, live.port) as page:
        page.clock.install()
        page.goto("/jobs/prod/job")
        shutil.rmtree(job)
        live.wait_for(lambda samples: not samples.having(job_name="job"), "the job is gone")
        page.clock.run_for(31_000)
        expect(page.locator("h1")).to_have_text("No such job")
        make_job("job", tasks=4, completed=[0, 1])
        wait_for_completed(live, "job", 2)
        page.clock.run_for(31_000)
        expect(page.locator("#job")).to_contain_text("2 / 4")


def test_many_jobs_are_paged(browser: Browser, tmp_path: Path, root: Path) -> None:
    for number in range(405):
        write_job(root / f"job-{number:03}")
    with serving(tmp_path, roots=[str(root)]) as exporter:
        exporter.wait_until_ready()
        with watched(browser, exporter.port) as page:
            page.goto("/?sort=name")
            expect(names(page)).to_have_count(200)
            page.get_by_role("link", name="Next →").last.click()
            expect(page.locator("#jobs")).to_contain_text("201 to 400 shown")
            page.get_by_role("link", name="Next →").first.click()
            expect(names(page)).to_have_text([f"job-{number:03}" for number in range(400, 405)])
            expect(page.locator("#jobs")).to_contain_text("405 jobs, 401 to 405 shown")
            assert axe_violations(page) == []


@pytest.mark.parametrize("name", [b"{{7*7}} ${7*7} `id` $(id)", b"not utf-8 \xff\xfe"])
def test_the_commands_on_the_page_are_about_its_job(page: Page, name: bytes) -> None:
    shown = display_name(os.fsdecode(name))
    page.goto(f"/jobs/{job_path(HOSTILE_ROOT, shown)}")
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])

    def printed(command: str | None) -> str:
        assert command is not None
        ran = subprocess.run(
            ["bash", "-c", command],
            env={**os.environ, "PATH": path, "COLUMNS": "200"},
            capture_output=True,
            check=False,
        )
        assert ran.returncode == 0, ran
        return (ran.stdout + ran.stderr).decode("utf-8", "replace")

    status = printed(page.locator("#copy-status").text_content())
    assert "1/3" in status
    assert "0,2" in status
    logs = page.locator("#copy-logs").text_content()
    assert logs is not None
    assert logs.replace("failed_logs", "datatrove-exporter status --missing") == (
        page.locator("#copy-status").text_content()
    )


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exporter]:
    """An exporter of 96 dumps × 6 stages and experiments."""
    folder = tmp_path_factory.mktemp("pipeline")
    write_estate(folder, time.time())
    roots = [{"name": name, "url": str(folder / name)} for name in ("fineweb", "scratch")]
    with serving(folder, roots=roots) as exporter:
        exporter.wait_until_ready()
        yield exporter


@pytest.mark.parametrize(
    ("width", "scheme"),
    [(1280, "light"), (1280, "dark"), (390, "light"), (390, "dark"), (2560, "light")],
)
def test_a_pipeline_is_one_picture(
    browser: Browser, pipeline: Exporter, width: int, scheme: str
) -> None:
    with watched(browser, pipeline.port, color_scheme=scheme, java_script_enabled=True) as page:
        page.set_viewport_size({"width": width, "height": 900})
        for path in ("/", "/?view=stages", "/?view=list&name=minhash", "/?view=problems"):
            page.goto(path)
            assert axe_violations(page) == [], path
            assert page.evaluate("document.documentElement.scrollWidth") <= width, path
            assert overlaps(page) == [], path
        page.goto("/")
        expect(page.locator("main h2").first).to_contain_text("Needs you (2)")
        expect(page.locator("main h2").nth(1)).to_contain_text("stalled")
        assert page.locator(".grid a").count() == 576


def test_keys_move_among_jobs_and_views(browser: Browser, pipeline: Exporter) -> None:
    with watched(browser, pipeline.port) as page:
        page.goto("/?root=fineweb")
        page.keyboard.press("?")
        expect(page.get_by_role("dialog")).to_be_visible()
        page.keyboard.press("Escape")
        page.keyboard.press("j")
        first = page.evaluate("document.activeElement.textContent")
        page.keyboard.press("j")
        page.keyboard.press("k")
        assert page.evaluate("document.activeElement.textContent") == first
        page.keyboard.press("Enter")
        expect(page.locator("h1")).to_have_text(first)
        page.get_by_role("link", name="All jobs").click()
        page.wait_for_url("**/?root=fineweb")
        page.keyboard.press("g")
        page.keyboard.press("s")
        page.wait_for_url("**/?root=fineweb&view=stages")
        page.keyboard.press("/")
        page.keyboard.type("jk?gs")
        expect(page.get_by_label("Job name contains")).to_have_value("jk?gs")


def test_times_are_in_the_reader_s_zone_and_in_utc_on_demand(
    browser: Browser, gallery: Exporter
) -> None:
    with watched(browser, gallery.port, timezone_id="Asia/Kolkata") as page:
        page.goto("/jobs/fineweb/tokenize")
        shown = page.locator("#freshness time")
        utc = (shown.get_attribute("title") or "")[11:19]
        hour, minute = divmod((int(utc[:2]) * 60 + int(utc[3:5]) + 330) % 1440, 60)
        expect(shown).to_have_text(f"{hour:02}:{minute:02}:{utc[6:]}")
        assert "UTC" not in page.locator("figure").inner_text()
        page.get_by_role("button", name="Times: local").click()
        expect(shown).to_have_text(f"{utc} UTC")
        expect(page.locator("figcaption")).to_contain_text(re.compile(r"First completion \S+ UTC,"))
        page.reload()
        expect(page.get_by_role("button", name="Times: UTC")).to_be_visible()
        expect(shown).to_have_text(re.compile(" UTC$"))


def test_what_was_unfolded_stays_so_when_the_page_refreshes(
    browser: Browser, pipeline: Exporter
) -> None:
    with watched(browser, pipeline.port) as page:
        page.clock.install()
        page.goto("/")
        page.locator("summary").click()
        as_of = page.locator("#freshness").inner_text()
        page.clock.run_for(31_000)
        expect(page.locator("#freshness")).not_to_have_text(as_of)
        assert page.locator("details").get_attribute("open") is not None


def test_print_shows_bars_and_nothing_to_press(browser: Browser, pipeline: Exporter) -> None:
    with watched(browser, pipeline.port) as page:
        page.goto("/")
        page.emulate_media(media="print")
        expect(page.locator(".stages progress").first).to_be_visible()
        assert page.locator("button:visible, select:visible, input:visible").count() == 0


def test_steps_and_causes_are_printed(browser: Browser, gallery: Exporter) -> None:
    with watched(browser, gallery.port, java_script_enabled=True) as page:
        page.emulate_media(media="print")
        page.goto("/jobs/fineweb/tokenize")
        expect(page.locator("#steps progress").first).to_be_visible()
        page.goto("/jobs/books/parse")
        expect(page.locator(".causes")).to_contain_text("UnicodeDecodeError")
        assert page.locator("button:visible, nav:visible").count() == 0
