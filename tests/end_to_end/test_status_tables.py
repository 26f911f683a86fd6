"""Tables of ``status`` on terminals of three widths and in pipes, with names that break tables."""

import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from support.jobs import archives
from support.jobs.folders import write_job
from support.jobs.gallery import write_hostile
from support.processes import COMMAND
from support.status import status
from support.terminal import terminal

from exporter.commands.status.tables.layout import shortened, width
from exporter.model.formatting import readable

LONG = "base_processing/CC-MAIN-2022-38-and-a-name-that-no-narrow-terminal-has-room-for/filter"
WIDE = ("日本語の長い名前/データ処理の段階", "🚀🚀 emoji/🧪🧪🧪", "ＦＵＬＬ/ｗｉｄｔｈ")
COLUMNS = (80, 120, 200)


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = write_hostile(tmp_path_factory.mktemp("hostile"))
    for name in (LONG, *WIDE):
        write_job(root / name, tasks=1000, completed=range(7), launch=time.time() - 3000)
    return root


def screen(*arguments: str | Path, columns: int, rows: int = 60) -> list[str]:
    """The lines on a terminal's screen once the command has ended."""
    with terminal([*COMMAND, "status", *map(str, arguments)], columns=columns, rows=rows) as drawn:
        drawn.wait()
        return drawn.lines


@pytest.mark.parametrize("columns", COLUMNS)
def test_each_job_is_one_line_of_a_terminal_and_its_state_stands_below_the_heading(
    hostile: Path, columns: int
) -> None:
    lines = screen(hostile, "--max-depth=4", columns=columns)
    jobs = status(hostile, "--max-depth=4", "--json").jobs
    heading, table = lines[0], lines[1 : 1 + len(jobs)]
    assert lines[len(jobs) + 1].startswith("Summary: ")
    for line in table:
        before = line[: line.index("▶ running")]
        assert width(before) == heading.index("STATE"), line


@pytest.mark.parametrize("columns", COLUMNS)
def test_a_name_is_shortened_in_the_middle_only_where_no_other_column_is_left(
    hostile: Path, tmp_path: Path, columns: int
) -> None:
    lines = screen(hostile, columns=columns)
    assert lines[0].split() == ["JOB", "STATE", "DONE"]  # one name has 200 letters
    cut = [line for line in lines if "x…x" in line]
    assert len(cut) == (columns < 200 + 2)
    write_job(tmp_path / LONG, tasks=1000, launch=time.time() - 3000)
    (heading, line, _) = screen(tmp_path, columns=columns)
    assert (LONG in line) == (columns > 80)
    assert shortened(LONG, heading.index("STATE") - 2) in line
    assert ("EXECUTOR" in heading) == (columns == 200)
    assert ("%" in heading) == (columns > 80)


def test_a_terminal_gets_colours_and_bars_and_names_are_no_markup(
    make_job: Callable[..., Path],
) -> None:
    root = make_job("[red]not red[/red]", tasks=4, completed=[0]).parent.parent
    with terminal([*COMMAND, "status", str(root)], columns=200) as drawn:
        assert drawn.wait() == 0
    assert b"\x1b[" in drawn.raw
    assert drawn.lines[1].startswith("[red]not red[/red]  ∅ abandoned")
    assert "━━━━┄" in drawn.lines[1]


def test_a_name_in_a_pipe_is_whole_on_its_line_for_grep_and_copying(hostile: Path) -> None:
    """However wide the terminal is that the pipe ends on."""
    for columns in COLUMNS:
        run = status(hostile, environment={"COLUMNS": str(columns)})
        heading, *lines = run.out.split("\n")[:-2]  # one name holds U+2028, no end of a line here
        names = [readable(name) for name in status(hostile, "--json").jobs]
        assert [line[: len(name)] for line, name in zip(lines, names, strict=True)] == names
        ends = {width(line[: line.index("▶ running")]) for line in lines}
        assert ends == {heading.index("STATE")}
        for name in (LONG, *WIDE):
            found = subprocess.run(
                ["grep", "-cF", f"{name} "], input=run.out.encode(), capture_output=True, check=True
            )
            assert found.stdout == b"1\n", name


def test_every_value_in_a_pipe_is_one_word(tmp_path: Path) -> None:
    now = time.time()
    write_job(tmp_path / "a", tasks=9, completed=[0, 1], launch=now - 200_000, logs=[3])
    write_job(tmp_path / "b", tasks=9, completed=range(9), launch=now - 3000, seconds_between=300)
    write_job(tmp_path / "c", tasks=9, launch=now - 5 * 86_400)
    heading, *lines, _ = status(tmp_path).out.splitlines()
    places = [heading.index(word) for word in ("%", "LAST", "LONGEST", "TASKS/H", "TIME", "EXEC")]
    assert places == sorted(places)
    assert len({len(line.split()) for line in lines}) == 1
    ages = {line[heading.index("LAUNCHED") :].split()[0] for line in lines}
    assert "5d" in ages


@pytest.mark.parametrize("columns", [50, *COLUMNS])
def test_sums_break_between_words_and_take_three_lines_at_most(
    tmp_path: Path, columns: int
) -> None:
    for number in range(3):
        write_job(tmp_path / f"job-{number}", tasks=10**7, launch=time.time() - 2e5, completed=[1])
    arguments = ("--match", "job-", "--limit", "1")
    lines = screen(tmp_path, *arguments, columns=columns)
    at = next(at for at, line in enumerate(lines) if line.startswith("Summary: "))
    assert " ".join(lines[at:]) == status(tmp_path, *arguments).out.splitlines()[-1]
    assert len(lines) - at <= 3


def test_a_terminal_gets_the_first_logs_and_a_pipe_all(tmp_path: Path) -> None:
    job = write_job(tmp_path / "j", tasks=30, launch=time.time() - 3000, logs=range(25))
    drawn = screen(tmp_path, "--missing", columns=200)
    logs = f"  {job}/logs/task_"
    assert sum(line.startswith(logs) for line in drawn) == 20
    assert "  … and 5 more logs; all of them in a pipe or with --json" in drawn
    assert status(tmp_path, "--missing").out.count(logs) == 25


def test_steps_have_the_width_of_the_terminal(tmp_path: Path) -> None:
    folder = archives.unpack("task_states.tar.gz", tmp_path) / "live/running"
    wide, narrow = (screen(folder, "--steps", columns=columns) for columns in (80, 44))
    assert next(line for line in wide if line.startswith("  00_reader_gen   ")).endswith("███")
    assert "  02_filter_lambda      240  180       60   25   <1s" in wide
    assert "  STEP                 IN  OUT  DROPPED    %" in narrow
    assert any(line.startswith("  05_token") for line in narrow)
    assert max(map(width, narrow)) <= 44


@pytest.mark.parametrize("columns", COLUMNS)
def test_parts_fit_the_terminal_with_heads_and_sums_of_two_lines(
    tmp_path: Path, columns: int
) -> None:
    for number in range(12):
        stage = tmp_path / f"stage_{number:02d}_with_quite_a_name" / "CC-MAIN-2022-38"
        write_job(stage, tasks=9, completed=range(number % 9), launch=time.time() - 90)
    lines = screen(tmp_path, "--by", "stage", columns=columns)
    assert len(lines) == 12 + 2
    assert max(map(width, lines)) <= columns
    assert all(f"stage_{n:02d}_with_quite_a_name/*" in "".join(lines) for n in range(12))


def test_a_narrow_terminal_shows_the_states_that_need_somebody(tmp_path: Path) -> None:
    (write_job(tmp_path / "s/CC-MAIN-2022-38") / "executor.json").write_text("{")
    for name in ("CC-MAIN-2022-40", "CC-MAIN-2022-41"):
        write_job(tmp_path / "s" / name, tasks=2, launch=time.time() - 60)
    heading, line, *_ = screen(tmp_path, "--by", "stage", columns=20)
    assert (heading.split(), line.split()) == (["STAGE", "UNREAD", "JOBS"], ["s/*", "1", "3"])
