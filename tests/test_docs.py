"""Documentation is tested: tables equal the code, examples load, commands exist."""

import re
import subprocess
from pathlib import Path
from textwrap import dedent
from urllib.parse import parse_qsl

import pytest
import yaml
from support.paths import PROJECT, TESTS
from support.told import everything_told, in_blocks, in_sentences, told

from exporter.cli import main
from exporter.commands.targets import load_config
from exporter.metrics.families import JOB_FAMILIES, OVERALL_FAMILIES, ROOT_FAMILIES
from exporter.metrics.process_metrics import ProcessMetrics
from exporter.metrics.publisher import Publisher
from exporter.model.snapshot import Latest, Snapshot
from exporter.web.answer import Answer, Request
from exporter.web.operations import Operations
from exporter.web.routes import routes
from exporter.web.security import web_config
from exporter.web.views import Views

README = (PROJECT / "README.md").read_text()
CONFIGURATION, COMMAND_LINE, METRICS, WEB = (
    (PROJECT / "docs" / f"{page}.md").read_text()
    for page in ("configuration", "command-line", "metrics", "web")
)
DOCUMENTS = sorted(
    file.relative_to(PROJECT).as_posix()
    for file in (*PROJECT.glob("*.md"), *PROJECT.glob("docs/**/*.md"), PROJECT / "deploy/README.md")
)
PAGES = [document for document in DOCUMENTS if re.fullmatch(r"docs/[^/]+", document)]


def test_the_readme_is_short_and_its_contents_lead_to_its_sections() -> None:
    assert len(README) <= 12_000
    sections = re.findall(r"^## (.+)$", README, re.MULTILINE)
    anchors = [re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in sections]
    assert re.findall(r"\]\(#([\w-]+)\)", README) == anchors


def test_every_page_for_users_is_in_the_readmes_list() -> None:
    """Decisions, runbooks and stories of the code have lists of their own."""
    for document in DOCUMENTS:
        if document.count("/") < 2 and document != "README.md":
            assert f"]({document})" in README, document


def metrics_table() -> str:
    """The table of metrics in docs/metrics.md, as the code has them."""
    rows = [
        (
            family.name,
            family.kind,
            (*labels, *family.labels, *"…" * bool(family.labels_of)),
            family.help,
        )
        for labels, families in (
            (("root", "job_name"), JOB_FAMILIES),
            (("root",), ROOT_FAMILIES),
            ((), OVERALL_FAMILIES),
        )
        for family in families
    ]
    rows += own_metrics()
    lines = ["| metric | type | labels | meaning |", "| --- | --- | --- | --- |"]
    for name, kind, labels, text in rows:
        lines.append(f"| `{name}` | {kind} | {', '.join(labels)} | {text} |")
    return "\n".join(lines)


def own_metrics() -> list[tuple[str, str, tuple[str, ...], str]]:
    process_metrics = ProcessMetrics()
    process_metrics.watch_web_config()
    process_metrics.reached_at("https://monitor.example.org")
    process_metrics.watch_shard(0, 1)
    process_metrics.watch_workers(1, lambda: 0, lambda: 0)
    text = process_metrics.render(as_openmetrics=False).decode()
    found = []
    for name, description in re.findall(r"^# HELP (datatrove_\S+) (.*)$", text, re.MULTILINE):
        sample = re.search(rf"^{name}(?:\{{(.*)\}})? ", text, re.MULTILINE)
        assert sample is not None
        labels = tuple(re.findall(r"(\w+)=", sample[1] or ""))
        found.append((name, "gauge", labels, description))
    return found


def test_the_metrics_table_is_what_the_code_publishes() -> None:
    section = METRICS.partition("<!-- metrics:")[2].partition("<!-- end of metrics -->")[0]
    assert section.partition("-->")[2].strip() == metrics_table()


def test_yaml_in_the_readme_and_on_the_page_of_configuration_is_yaml(tmp_path: Path) -> None:
    smallest, scraped = re.findall(r"```yaml\n(.*?)```", README, re.DOTALL)
    same, web_file = re.findall(r"```yaml\n(.*?)```", CONFIGURATION, re.DOTALL)
    assert same == smallest
    (tmp_path / "config.yaml").write_text(smallest)
    assert len(load_config(str(tmp_path / "config.yaml")).roots) == 2
    assert "scrape_configs" in yaml.safe_load(scraped)
    web = web_config.parse(web_file.encode(), "web.yml", tmp_path)
    assert web.tls is not None
    assert web.users


def test_joins_in_the_documentation_are_tried() -> None:
    page = (PROJECT / "docs" / "stages.md").read_text()
    tests = (PROJECT / "deploy" / "prometheus" / "tests" / "stages_test.yml").read_text()
    queries = re.findall(r"```promql\n(.*?)```", page, re.DOTALL)
    assert len(queries) == 3
    for query in queries:
        assert " ".join(query.split()) in " ".join(tests.split())


def test_the_page_of_stages_has_a_configuration_that_loads(tmp_path: Path) -> None:
    page = (PROJECT / "docs" / "stages.md").read_text()
    (tmp_path / "config.yaml").write_text(
        "".join(re.findall(r"```yaml\n(.*?)```", page, re.DOTALL))
    )
    (root,) = load_config(str(tmp_path / "config.yaml")).roots
    assert [pattern.names for pattern in root.labels] == [
        ("dump", "stage"), ("dataset",), ("stage", "dump"),
    ]  # fmt: skip


STORAGE_EXAMPLES = re.findall(
    r"```yaml\n(roots:.*?)```", (PROJECT / "docs" / "storage.md").read_text(), re.DOTALL
)


@pytest.mark.parametrize("text", STORAGE_EXAMPLES, ids=lambda text: text.split()[2])
def test_the_storage_pages_examples_load(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert len(STORAGE_EXAMPLES) == 12
    for name in re.findall(r"\$\{([A-Z0-9_]+)\}", text):
        monkeypatch.setenv(name, "secret")
    file = tmp_path / "config.yaml"
    file.write_text(text)
    assert load_config(str(file)).roots


OF_HOURS = "alarms bench deployed histories lowest mutate-rules newest soak"
NOT_TYPED = {
    "helm install": "a cluster's API server",
    "kubectl ": "a cluster's API server",
    "jb install": "a repository to install from",
    "sacct ": "a database of accounts, which the Slurm of the tests has not",
    **{
        f"make {target}": "minutes to hours: CI or who changes something makes it"
        for target in OF_HOURS.split()
    },
    "docker run --init": "no one to type it: it is spoken of",
    "rclone mount": "no one to type it: it is spoken of",
}
"""How commands begin that neither a test nor a script types, and what that would need."""


def typed() -> set[str]:
    """How commands begin that a test or a script types: what they ask `told` for."""
    typists = {*TESTS.glob("**/*.py"), *(PROJECT / "scripts").glob("*")} - {Path(__file__)}
    texts = [file.read_text() for file in typists if file.is_file()]
    return {beginning for text in texts for beginning in re.findall(r'told[ (]"([^"]+)"', text)}


def test_every_command_that_a_document_tells_to_type_is_typed() -> None:
    """One that is new is typed by who asks for its like, or else by nobody yet."""
    beginnings = (*typed(), *NOT_TYPED)
    left = {
        each: file for each, file in everything_told().items() if not each.startswith(beginnings)
    }
    assert not left


def test_what_is_not_typed_is_told_all_the_same() -> None:
    for beginning in NOT_TYPED:
        assert told(beginning)
        assert not any(each.startswith(beginning) for each in typed()), beginning


def test_commands_are_found_where_they_are_told() -> None:
    text = """\
    Say `make it` or `it`, or `printf
    x` or `not this`.
    ```text of it
    make five
    ```
    ```
    make one \\
        two       # said of it
    make three
    ```
    ```
    $ make four
    done
    ```
    """
    text = dedent(text)
    assert list(in_blocks(text)) == ["make one two", "make three", "make four"]
    assert list(in_sentences(text, {"make", "printf"})) == ["make it", "printf x"]


@pytest.mark.parametrize("document", DOCUMENTS)
def test_blocks_that_name_a_language_hold_no_commands(document: str) -> None:
    """One in ``sh`` or ``console`` would be typed by nobody, and nobody would notice."""
    named = re.findall(r"^ *```(.+)$", (PROJECT / document).read_text(), re.MULTILINE)
    assert {*named} <= {"jsonnet", "promql", "text", "yaml"}


def test_every_target_that_a_document_names_exists() -> None:
    """The two of the README stand alone."""
    listed = subprocess.run(
        ["make", "help"], cwd=PROJECT, capture_output=True, text=True, check=True
    )
    targets = set(re.findall(r"^([a-z-]+) ", listed.stdout, re.MULTILINE))
    named = {command.split()[1] for command in told("make ")}
    assert named <= targets
    assert {"demo", "check"} == {c.split()[1] for c in in_blocks(README) if c.startswith("make ")}


@pytest.mark.parametrize("document", DOCUMENTS)
def test_commands_that_a_document_names_exist(document: str) -> None:
    text = (PROJECT / document).read_text()
    for command in re.findall(r"^(?:\$ )?datatrove-exporter ([a-z-]+)", text, re.MULTILINE):
        assert command in main.commands


def test_the_environment_on_the_page_of_configuration_is_that_of_the_options() -> None:
    options = [option for command in main.commands.values() for option in command.params]
    known = {option.envvar for option in options if option.envvar}
    assert set(re.findall(r"DATATROVE_EXPORTER_[A-Z_]+", CONFIGURATION)) == known


def test_options_on_the_page_of_the_command_line_exist() -> None:
    known = {
        o for name in ("status", "textfile") for p in main.commands[name].params for o in p.opts
    }
    named = set(re.findall(r"(?<![\w-])-{1,2}[a-z][a-z.-]*", COMMAND_LINE))
    assert named <= known
    assert {"--missing", "--watch", "--json", "-p", "-hc", "--fail-incomplete"} <= named


def headings(file: Path) -> set[str]:
    titles = re.findall(r"^#+ (.+)$", file.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_and_pictures_in_a_document_lead_somewhere(document: str) -> None:
    file = PROJECT / document
    text = file.read_text()
    for link in re.findall(r"\]\(([^)\s]+)\)", text) + re.findall(r'src="([^"]+)"', text):
        path, _, anchor = link.partition("#")
        if ":" not in path:
            target = file.parent / path if path else file
            assert target.exists(), link
            assert not anchor or anchor in headings(target), link


@pytest.mark.parametrize("document", ["README.md", *PAGES])
def test_metrics_that_a_document_names_exist(document: str) -> None:
    names = {f.name for f in (*JOB_FAMILIES, *ROOT_FAMILIES, *OVERALL_FAMILIES)}
    names |= {name for name, *_ in own_metrics()}
    text = (PROJECT / document).read_text()
    assert set(re.findall(r"\bdatatrove_[a-z_]+\b(?!-)", text)) <= names


def test_the_addresses_of_the_api_on_the_page_about_it_answer() -> None:
    operations = Operations(Publisher(Latest()), ProcessMetrics(), lambda: True, None)
    table = {route.path: route for route in routes(Views(Snapshot), operations)}
    addresses = re.findall(r"^\| `(/api/v1/[^`]+)` \|", WEB, re.MULTILINE)
    assert len(addresses) == 6
    for address in addresses:
        path, _, query = address.partition("?")
        path, placeholder, _ = path.partition("{")
        answer = table[path].answer(Request(placeholder, tuple(parse_qsl(query))))
        assert isinstance(answer, Answer)
        assert answer.status == (404 if placeholder else 200)


def test_every_test_that_stands_behind_a_promise_exists() -> None:
    text = (PROJECT / "docs" / "reliability.md").read_text()
    named = re.findall(r"`([\w/]+\.py)::(test_\w+)`", text)
    assert len(named) > 30
    for file, name in named:
        assert f"def {name}(" in (PROJECT / "tests" / file).read_text(), f"{file}::{name}"


@pytest.mark.parametrize("document", DOCUMENTS)
def test_files_of_the_code_that_a_document_names_exist(document: str) -> None:
    """Modules move; a page that names one moves with it."""
    text = (PROJECT / document).read_text()
    for name in re.findall(r"`((?:[\w.]+/)+[\w.]*)`", text):
        places = (PROJECT, PROJECT / "exporter", PROJECT / "tests", PROJECT / "deploy")
        if name.startswith(("exporter/", "tests/", "docs/", "deploy/")) or name.endswith(".py"):
            assert any((place / name).exists() for place in places), name
