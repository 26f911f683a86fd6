"""``status --watch`` on a terminal: its keys, and the terminal as it was after every way out."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from support.jobs.folders import write_job
from support.processes import COMMAND, Exporter
from support.terminal import Terminal, terminal


@pytest.fixture
def estate(tmp_path: Path) -> Path:
    now = time.time()
    for dump in ("CC-MAIN-2022-38", "CC-MAIN-2023-06"):
        write_job(tmp_path / "base" / dump, tasks=4, completed=range(4), launch=now - 900)
        write_job(tmp_path / "dedup" / dump, tasks=8, completed=range(2), launch=now - 300)
    (write_job(tmp_path / "broken") / "executor.json").write_text("{")
    return tmp_path


def until(drawn: Terminal, holds: Callable[[list[str]], object]) -> list[str]:
    """The screen once it is so."""
    drawn.wait_for(lambda _: holds(drawn.lines))
    return drawn.lines


def has(*words: str) -> Callable[[list[str]], bool]:
    return lambda lines: all(any(word in line for line in lines) for word in words)


def test_keys_filter_sort_group_and_open_a_job(estate: Path) -> None:
    command = [*COMMAND, "status", str(estate), "--watch", "--interval", "1s"]
    with terminal(command, columns=120, rows=24) as drawn:
        until(drawn, has("Summary: 2/5", "broken", "dedup/CC-MAIN-2023-06"))
        drawn.press(b"/2023")
        until(drawn, has("/2023▏", "Summary: 1/2", "of 5 jobs in all"))
        assert has("✗ unreadable")(drawn.lines)  # what needs somebody stays
        drawn.press(b"\r\x1b[B\r")
        until(drawn, has("base/CC-MAIN-2023-06", "last completion  "))
        drawn.press(b"\x1b")
        until(drawn, has("/2023", "STATE"))
        drawn.press(b"\x1b")
        until(drawn, has("Summary: 2/5"))
        drawn.press(b"g")
        until(drawn, has("by stage", "base/*", "dedup/*"))
        drawn.press(b"\x1b[B\r")
        until(drawn, has("stage dedup/*", "Summary: 0/2"))
        drawn.press(b"\x1bs")
        until(drawn, has("Name"))
        drawn.resize(60, 12)
        until(drawn, lambda lines: lines and max(map(len, lines)) <= 60 and len(lines) <= 12)
        drawn.press(b"q")
        assert drawn.wait() == 0
    assert "Traceback" not in drawn.text


def test_sums_stay_whole_on_a_narrow_terminal(estate: Path) -> None:
    command = [*COMMAND, "status", str(estate), "--watch", "--interval", "1s"]
    with terminal(command, columns=70, rows=24) as drawn:
        until(drawn, has("Summary: 2/5", "unreadable."))
        assert not has("━")(drawn.lines[:2])
        drawn.press(b"q")
        assert drawn.wait() == 0


def test_a_folder_may_come_later(tmp_path: Path) -> None:
    folder = tmp_path / "later"
    command = [*COMMAND, "status", str(folder), "--watch", "--interval", "1s"]
    with terminal(command, columns=120) as drawn:
        until(drawn, has("no jobs yet", "cannot be read: not_found"))
        write_job(folder / "j", tasks=2, completed=[0], launch=time.time() - 60)
        until(drawn, has("▶ running"))
        drawn.press(b"q")
        assert drawn.wait() == 0


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, "q"])
def test_the_terminal_is_as_it_was_after_every_way_out(
    estate: Path, how: signal.Signals | str
) -> None:
    """Its cursor, its screen, its echo; a shell shows them."""
    watching = " ".join([*COMMAND, "status", str(estate), "--watch"])
    script = f"stty -g; {watching}; stty -g; echo the end"
    with terminal(["bash", "-c", f"trap : INT TERM HUP; {script}"], columns=120) as drawn:
        until(drawn, has("q quit", "Summary"))
        if isinstance(how, str):
            drawn.press(how.encode())
        elif how == signal.SIGINT:
            drawn.press(b"\x03")
        else:
            children = Path(f"/proc/{drawn.process.pid}/task/{drawn.process.pid}/children")
            os.kill(int(children.read_text().split()[-1]), how)
        text = drawn.wait_for(lambda text: "the end" in text)
    modes = [line for line in text.splitlines() if line.count(":") > 10]
    assert len(modes) == 2
    assert modes[0].strip()[-20:] == modes[1].strip()[-20:]
    assert drawn.raw.rindex(b"\x1b[?25h") > drawn.raw.rindex(b"\x1b[?25l")
    assert drawn.raw.rindex(b"\x1b[?1049l") > drawn.raw.rindex(b"\x1b[?1049h")


def test_ctrl_z_gives_the_terminal_back_until_the_watch_goes_on(estate: Path) -> None:
    with terminal(["bash", "--norc", "-i"], columns=120) as drawn:
        drawn.press(f"{' '.join([*COMMAND, 'status', str(estate), '--watch'])}\n".encode())
        until(drawn, has("q quit", "Summary"))
        drawn.press(b"\x1a")
        drawn.wait_for(lambda text: "Stopped" in text)
        assert drawn.raw.rindex(b"\x1b[?1049l") > drawn.raw.rindex(b"\x1b[?1049h")
        drawn.press(b"stty -a | grep -o ' icanon'; echo again; fg\n")
        before = drawn.raw.count(b"\x1b[?1049h")
        drawn.wait_for(lambda _: drawn.raw.count(b"\x1b[?1049h") > before)
        assert "\n icanon" in drawn.text.replace("\r", "")
        drawn.press(b"q")
        drawn.wait_for(
            lambda _: drawn.raw.rindex(b"\x1b[?1049l") > drawn.raw.rindex(b"\x1b[?1049h")
        )
        drawn.press(b"exit\n")
        drawn.wait()


def test_an_exporter_can_be_watched(gallery: Exporter) -> None:
    url = f"http://127.0.0.1:{gallery.port}/"
    with terminal([*COMMAND, "status", url, "--watch", "--interval", "1s"], columns=160) as drawn:
        until(drawn, has("asked ", "Summary: ", "CC-MAIN-2024-18/minhash/buckets"))
        drawn.press(b"/tokenize\r\r")
        until(drawn, has("fineweb: tokenize", "launched "))
        drawn.press(b"q")
        assert drawn.wait() == 0
