"""What a configuration means, and what is said about one that means nothing."""

import json
import os
import re
import traceback
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from support.paths import DATA, PROJECT

from exporter.config.load import load, parse
from exporter.config.schema import ConfigFile, JobsSection, RootEntry
from exporter.config.settings import Config, RootConfig, StallRule, StorageOptions
from exporter.errors import ConfigError

FOLDER = Path("/etc/exporter")
CONFIGS = DATA / "configs"
EXAMPLE = PROJECT / "config.example.yaml"
CONTRACT = """
roots:
  - /data/logs
  - name: fineweb
    url: s3://my-bucket/logs
    max_depth: 3
    prefix: CC-MAIN-
    include: ["*/minhash/*"]
    exclude: ["*-test"]
    scan_interval: 5m
    scan_timeout: 2m
    storage_options:
      endpoint_url: https://minio.example.org
      key: ${S3_KEY}
scan: {interval: 1m, timeout: 5m, workers: 16, stale_after: 15m}
jobs: {hide_completed_after: 7d, max_per_root: 20000}
web: {listen_address: "0.0.0.0:10170"}
log: {level: info, format: logfmt}
"""


def config_of(text: str, folder: Path = FOLDER, **environment: str) -> Config:
    return parse(text.encode(), "config.yaml", folder, environment)


def root_of(text: str, folder: Path = FOLDER, **environment: str) -> RootConfig:
    """The only root of a configuration, given as the keys of its mapping."""
    (root,) = config_of(f"roots:\n- {{{text}}}\n", folder, **environment).roots
    return root


def mistakes_of(text: str, folder: Path = FOLDER, **environment: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        config_of(text, folder, **environment)
    return str(caught.value).splitlines()


def test_the_contract_example_means_what_the_contract_says() -> None:
    everywhere = {"hide_completed_after_seconds": 7 * 86400.0, "stale_after_seconds": 900.0}
    assert config_of(CONTRACT, S3_KEY="secret") == Config(
        roots=(
            RootConfig("/data/logs", "/data/logs", **everywhere),
            RootConfig(
                name="fineweb",
                url="s3://my-bucket/logs",
                max_depth=3,
                prefix="CC-MAIN-",
                include=("*/minhash/*",),
                exclude=("*-test",),
                scan_interval_seconds=300.0,
                scan_timeout_seconds=120.0,
                completed_scan_interval_seconds=3000.0,
                max_per_root=20_000,
                storage_options=StorageOptions(
                    {"endpoint_url": "https://minio.example.org", "key": "secret"}
                ),
                **everywhere,
            ),
        ),
        source="config.yaml",
        scan_workers=16,
        listen_address="0.0.0.0:10170",
        log_level="info",
        log_format="logfmt",
    )


def test_what_is_not_said_has_the_documented_default() -> None:
    assert config_of("roots: [/data]") == Config(
        roots=(
            RootConfig(
                name="/data",
                url="/data",
                max_depth=3,
                prefix="",
                include=(),
                exclude=(),
                scan_interval_seconds=60.0,
                scan_timeout_seconds=300.0,
                stale_after_seconds=900.0,
                hide_completed_after_seconds=None,
                max_per_root=20_000,
                stall=StallRule(3600.0, 3.0, 86_400.0),
                storage_options=StorageOptions({}),
            ),
        ),
        source="config.yaml",
        scan_workers=16,
        listen_address=":10170",
        log_level="info",
        log_format="logfmt",
    )


def test_text_and_mapping_mean_the_same_root() -> None:
    short, long = config_of("roots: [s3://b/x, {url: s3://b/x, name: other}]").roots
    assert (short.url, short.name, long.name) == ("s3://b/x", "s3://b/x", "other")
    assert short.url == long.url


@pytest.mark.parametrize(
    ("for_all", "for_one", "field", "mean"),
    [
        ("scan: {interval: 2m}", "scan_interval: 1s", "scan_interval_seconds", [120.0, 1.0]),
        ("scan: {timeout: 10m}", "scan_timeout: 1m30s", "scan_timeout_seconds", [600.0, 90.0]),
        ("scan: {stale_after: 1h}", "stale_after: 0s", "stale_after_seconds", [3600.0, 0.0]),
        ("scan: {stale_after: 0}", "stale_after: 1h", "stale_after_seconds", [0.0, 3600.0]),
        (
            "jobs: {hide_completed_after: 7d}",
            "hide_completed_after: 0s",
            "hide_completed_after_seconds",
            [604_800.0, 0.0],
        ),
        (
            "jobs: {hide_completed_after: 0s}",
            "hide_completed_after: 1d",
            "hide_completed_after_seconds",
            [0.0, 86_400.0],
        ),
        ("jobs: {max_per_root: 10}", "max_per_root: 0", "max_per_root", [10, 0]),
        ("jobs: {max_per_root: 0}", "max_per_root: 1000000", "max_per_root", [0, 1_000_000]),
        (
            "jobs: {stalled_after: 2h, stalled_gap_factor: 2.5}",
            "stalled_after: 1s, stalled_long_after: 2d",
            "stall",
            [StallRule(7200.0, 2.5, 86_400.0), StallRule(1.0, 2.5, 172_800.0)],
        ),
        (
            "jobs: {stalled_long_after: 3d}",
            "stalled_gap_factor: 1",
            "stall",
            [StallRule(3600.0, 3.0, 259_200.0), StallRule(3600.0, 1.0, 259_200.0)],
        ),
        (
            "jobs: {stalled_tail_after: 2h, stalled_tail_factor: 2}",
            "stalled_tail_factor: 1.5",
            "stall",
            [
                StallRule(tail_factor=2.0, tail_after_seconds=7200.0),
                StallRule(tail_factor=1.5, tail_after_seconds=7200.0),
            ],
        ),
    ],
)
def test_a_root_overrides_what_is_said_for_all(
    for_all: str, for_one: str, field: str, mean: list[object]
) -> None:
    config = config_of(f"roots: [/a, {{url: /b, {for_one}}}]\n{for_all}\n")
    assert [getattr(root, field) for root in config.roots] == mean


@pytest.mark.parametrize("key", ["scan_interval", "stale_after", "max_per_root", "stalled_after"])
def test_a_null_of_a_root_is_what_is_said_for_all(key: str) -> None:
    for_all = "scan: {interval: 2m, stale_after: 3m}\njobs: {max_per_root: 4, stalled_after: 5m}\n"
    said, null = config_of(f"roots: [/a, {{url: /b, {key}: ~}}]\n{for_all}").roots
    assert replace(null, name="/a", url="/a") == said


def test_a_null_for_all_roots_is_a_mistake() -> None:
    assert mistakes_of("roots: [/a]\nscan: {interval: ~}\njobs: {max_per_root: ~}\n") == [
        "config.yaml:2: scan.interval: expected a duration such as 30s, 5m or 1h30m",
        "config.yaml:3: jobs.max_per_root: expected a whole number",
    ]


@pytest.mark.parametrize(
    ("url", "name", "means"),
    [
        ("/data/logs", "/data/logs", "/data/logs"),
        ("/data//logs/../logs/", "/data/logs", "/data/logs"),
        ("logs", "/etc/exporter/logs", "/etc/exporter/logs"),
        ("./a b/", "/etc/exporter/a b", "/etc/exporter/a b"),
        ("../logs", "/etc/logs", "/etc/logs"),
        (".", "/etc/exporter", "/etc/exporter"),
        ("/", "/", "/"),
        ("/data/what?", "/data/what?", "/data/what?"),
        ("/data/me@host", "/data/me@host", "/data/me@host"),
        ("file:///data/logs/", "file:///data/logs", "file:///data/logs"),
        ("file:///", "file:///", "file:///"),
        ("s3://bucket", "s3://bucket", "s3://bucket"),
        ("s3://bucket/logs//", "s3://bucket/logs", "s3://bucket/logs"),
        ("s3://bucket/me@host", "s3://bucket/me@host", "s3://bucket/me@host"),
        ("hdfs://host:9000/logs", "hdfs://host:9000/logs", "hdfs://host:9000/logs"),
        ("https://h/x?sig=y#z", "https://h/x", "https://h/x?sig=y#z"),
        ("gs://bucket/Übung", "gs://bucket/Übung", "gs://bucket/Übung"),
    ],
)
def test_the_default_name_is_the_url_without_its_query(url: str, name: str, means: str) -> None:
    root = root_of(f"url: {json.dumps(url, ensure_ascii=False)}")
    assert (root.name, root.url) == (name, means)


def test_an_unprintable_folder_never_becomes_a_label() -> None:
    """A configuration may lie where no UTF-8 name leads; a label must be UTF-8."""
    folder = Path(os.fsdecode(b"/etc/\xff\n"))
    (line,) = mistakes_of("roots: [logs]", folder)
    assert line.startswith("config.yaml:1: roots[0].name: ")
    assert line.isprintable()
    assert root_of("url: logs, name: fine", folder).name == "fine"


def test_a_file_is_read_and_its_relative_roots_lie_beside_it(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("roots: [logs, ../more, {url: s3://b/x, storage_options: {key: '${K}'}}]")
    config = load(file, {"K": "secret"})
    assert config.source == str(file)
    assert [root.url for root in config.roots[:2]] == [
        f"{tmp_path}/logs",
        f"{tmp_path.parent}/more",
    ]
    assert config.roots[2].storage_options.reveal() == {"key": "secret"}


def test_relative_roots_lie_beside_a_link_to_the_file(tmp_path: Path) -> None:
    """Kubernetes mounts a ConfigMap as links into a folder named after the time; were the
    link followed, every update would give the root another name."""
    (tmp_path / "..2026_01_01").mkdir()
    (tmp_path / "..2026_01_01" / "config.yaml").write_text("roots: [logs]")
    (tmp_path / "config.yaml").symlink_to("..2026_01_01/config.yaml")
    assert load(tmp_path / "config.yaml").roots[0].name == f"{tmp_path}/logs"


def test_a_relative_path_to_the_file_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "config.yaml").write_text("roots: [logs]")
    monkeypatch.chdir(tmp_path)
    assert load("config.yaml").roots[0].url == f"{tmp_path}/logs"


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda path: None, "cannot be read: No such file or directory"),
        (lambda path: path.mkdir(), "is a folder, and no file"),
        (os.mkfifo, "not a regular file"),
        (lambda path: path.symlink_to("/dev/zero"), "not a regular file"),
        (lambda path: path.symlink_to(path), "cannot be read: Too many levels of symbolic links"),
        (lambda path: path.write_bytes(b"#" * (1024 * 1024 + 1)), "larger than 1048576 bytes"),
    ],
)
def test_what_is_no_file_is_one_mistake(tmp_path: Path, make: Any, says: str) -> None:
    path = tmp_path / "config.yaml"
    make(path)
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert str(caught.value) == f"{path}: {says}"
    assert len(os.listdir("/proc/self/fd")) == before


def test_the_example_is_a_template_that_changes_no_default() -> None:
    """Whoever copies it and puts in a root of theirs has a configuration, and no surprise."""
    config = load(EXAMPLE)
    assert replace(config, source="") == replace(config_of("roots: [/data/logs]"), source="")


def test_every_line_of_the_example_means_something_and_every_key_is_in_it(tmp_path: Path) -> None:
    """Also those that are commented out. A root may have the keys of ``scan`` and ``jobs``, too."""
    (tmp_path / "s3").write_text("secret")
    text = EXAMPLE.read_text().replace("/run/secrets", str(tmp_path))
    text = re.sub(r"^( *)# (?= *(?:- |\w+:( |$)))", r"\1", text, flags=re.MULTILINE)
    config = config_of(text, S3_KEY="key")
    names = ["/data/logs", "s3://my-bucket/logs", "fineweb"]
    assert [root.name for root in config.roots] == names
    said = yaml.safe_load(text)
    for section, model in ConfigFile.model_fields.items():
        if section != "roots":
            fields = model.annotation.model_fields
            assert said[section].keys() == {field.alias or key for key, field in fields.items()}
    shared = {*JobsSection.model_fields, *(f"scan_{key}" for key in said["scan"]), *said["scan"]}
    assert RootEntry.model_fields.keys() - shared <= said["roots"][2].keys()


@pytest.mark.parametrize("file", sorted(CONFIGS.glob("bad-*.yaml")), ids=lambda file: file.stem)
def test_every_mistake_is_named_with_its_place(file: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(file.read_bytes(), "config.yaml", CONFIGS, {})
    assert f"{caught.value}\n" == file.with_suffix(".expected").read_text()


def test_roots_that_no_storage_can_read_are_told_beside_other_mistakes() -> None:
    """But of a URL that is wrong by itself nobody is asked."""
    asked = []

    def problem_with(url: str) -> str | None:
        asked.append(url)
        return "no storage is known" if url.startswith("nosuch:") else None

    text = "roots:\n- nosuch://a\n- nosuch://\n- {url: 1}\n- /fine\nscan: {oops: 1}\n"
    with pytest.raises(ConfigError) as caught:
        parse(text.encode(), "config.yaml", FOLDER, {}, problem_with)
    assert str(caught.value).splitlines() == [
        "config.yaml:2: roots[0].url: no storage is known",
        "config.yaml:3: roots[1].url: nothing follows the scheme",
        "config.yaml:4: roots[2].url: expected text (put it in quotes)",
        (
            "config.yaml:6: scan.oops: unknown key; there are interval, timeout, "
            "completed_scan_interval, verify_interval, stale_after, workers"
        ),
    ]
    assert asked == ["nosuch://a", "/fine"]


def test_every_bad_configuration_has_its_expected_text() -> None:
    files = {file.stem for file in CONFIGS.glob("bad-*.yaml")}
    assert files == {file.stem for file in CONFIGS.glob("bad-*.expected")}
    assert len(files) > 30


def test_a_thousand_roots_are_read_and_one_more_is_refused() -> None:
    roots = "".join(f"- /data/{number}\n" for number in range(1000))
    assert len(config_of(f"roots:\n{roots}").roots) == 1000
    assert mistakes_of(f"roots:\n{roots}- /one/more\n") == [
        "config.yaml:1: roots: longer than 1000"
    ]


def test_a_thousand_mistakes_are_a_thousand_lines() -> None:
    roots = "".join(f"- {{url: /data/{number}, depth: 3}}\n" for number in range(1000))
    assert mistakes_of(f"roots:\n{roots}") == [
        f"config.yaml:{number + 2}: roots[{number}].depth: unknown key; did you mean max_depth?"
        for number in range(1000)
    ]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("'${A}'", "one"),
        ("'x${A}y${B}z'", "xoneytwoz"),
        ("'${EMPTY}'", ""),
        ("'$$'", "$"),
        ("'$${A}'", "${A}"),
        ("'$$$${A}'", "$${A}"),
        ("'$$${A}'", "$one"),
        ("'${AGAIN}'", "${A}$x"),
        ("['${A}', {x: '${B}'}, 1, null, true, 1.5]", ["one", {"x": "two"}, 1, None, True, 1.5]),
        ("{'${A}': 1}", {"${A}": 1}),
        ("'${file:plain}'", "secret"),
        ("'${file:folder/../newline}'", "secret"),
        ("'${file:crlf}'", "secret"),
        ("'${file:two}'", "secret\n"),
        ("'${file:spaces}'", " secret "),
        ("'${file:empty}'", ""),
        ("'${file:dollar}'", "${A}"),
        ("'${file:name with spaces}'", "secret"),
        ("'a ${A} and ${file:newline}.'", "a one and secret."),
    ],
)
def test_references_stand_for_the_environment_and_files(
    tmp_path: Path, text: str, value: object
) -> None:
    (tmp_path / "folder").mkdir()
    for name, content in {
        "plain": "secret",
        "newline": "secret\n",
        "crlf": "secret\r\n",
        "two": "secret\n\n",
        "spaces": " secret \n",
        "empty": "",
        "dollar": "${A}\n",
        "name with spaces": "secret",
    }.items():
        (tmp_path / name).write_bytes(content.encode())
    environment = {"A": "one", "B": "two", "EMPTY": "", "AGAIN": "${A}$x"}
    root = root_of(f"url: s3://b/x, storage_options: {{o: {text}}}", tmp_path, **environment)
    assert root.storage_options.reveal() == {"o": value}


@pytest.mark.parametrize(
    ("url", "means"),
    [
        ("s3://${BUCKET}/logs", "s3://b/logs"),
        ("${DATA}/logs", "/data/logs"),
        ("${DATA}", "/data"),
        ("https://h/x?sig=${file:signature}", "https://h/x?sig=CANARY"),
        ("~", "/home/me"),
        ("~/", "/home/me"),
        ("~/logs/${BUCKET}", "/home/me/logs/b"),
        ("./~", "/etc/exporter/~"),
        ("/data/~", "/data/~"),
        ("/data/$${BUCKET}", "/data/${BUCKET}"),
        ("${TILDE}", "/etc/exporter/~"),
    ],
)
@pytest.mark.parametrize("entry", ["{}", "{{url: {}}}"])
def test_references_and_the_home_folder_stand_in_the_url_of_a_root(
    tmp_path: Path, url: str, means: str, entry: str
) -> None:
    (tmp_path / "signature").write_text("CANARY\n")
    environment = {"BUCKET": "b", "DATA": "/data", "HOME": "/home/me", "TILDE": "~"}
    text = f"roots:\n- {entry.format(json.dumps(url))}\n"
    (root,) = config_of(text, tmp_path, **environment).roots
    means = means.replace(str(FOLDER), str(tmp_path))
    assert (root.url, root.name) == (means, means.partition("?")[0])
    assert list(root.secrets()) == [means.partition("=")[2]]


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("s3://${MISSING}/logs", "the environment variable MISSING is not set"),
        ("${MISSING}", "the environment variable MISSING is not set"),
        ("/data/a$b", "a $ must be written $$, or begin ${NAME} or ${file:PATH}"),
        ("${file:gone}/x", "the file gone cannot be read: No such file or directory"),
        ("s3://${LINES}/x", "a reference brings characters that cannot be printed"),
        ("${TURNS}", "a reference brings characters that cannot be printed"),
        ("s3://${LOGIN}/x", "credentials do not belong into a URL; use storage_options"),
        ("${EMPTY}", "must not be empty"),
        (
            "~me/logs",
            "only ~/ at the beginning is a home folder; a folder named ~… is written ./~…",
        ),
        (
            "file://~/logs",
            "only ~/ at the beginning is a home folder; a folder named ~… is written ./~…",
        ),
        ("~/logs", "HOME, which ~ stands for, is not set to a folder"),
        ("s3//bucket/logs", "a URL begins with s3://; a folder of this name is written ./…"),
        ("s3:/bucket", "a URL begins with s3://; a folder of this name is written ./…"),
        ("s3:bucket", "a URL begins with s3://; a folder of this name is written ./…"),
        ("S3:/bucket", "a URL begins with s3://; a folder of this name is written ./…"),
        ("http:/host/x", "a URL begins with http://; a folder of this name is written ./…"),
        ("file:/x", "a URL begins with file:///; a folder of this name is written ./…"),
        ("S3://bucket", "the scheme before :// is not valid; did you mean s3://?"),
        (" s3://bucket", "the scheme before :// is not valid; did you mean s3://?"),
        ("s3:///bucket", "one slash too many; s3:// is followed by a name"),
    ],
)
@pytest.mark.parametrize("entry", ["{}", "{{url: {}}}"])
def test_a_url_that_was_meant_otherwise_is_one_mistake(url: str, says: str, entry: str) -> None:
    environment = {"LINES": "a\nb", "TURNS": "/data/\u202e", "LOGIN": "me:CANARY@b", "EMPTY": ""}
    text = f"roots:\n- {entry.format(json.dumps(url))}\n"
    assert mistakes_of(text, **environment) == [f"config.yaml:2: roots[0].url: {says}"]


@pytest.mark.parametrize("path", ["./s3:/bucket", "data//logs", "a:b", "s3/bucket"])
def test_a_folder_that_only_resembles_a_url_is_one(path: str) -> None:
    assert root_of(f"url: {json.dumps(path)}").url == os.path.normpath(FOLDER / path)


def test_a_secret_file_may_have_an_absolute_path(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("x\n")
    root = root_of(f"url: s3://b/x, storage_options: {{o: '${{file:{tmp_path}/secret}}'}}")
    assert root.storage_options.reveal() == {"o": "x"}


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda path: None, "cannot be read: No such file or directory"),
        (lambda path: path.mkdir(), "cannot be read: Is a directory"),
        (os.mkfifo, "is not a regular file"),
        (lambda path: path.symlink_to("/dev/zero"), "is not a regular file"),
        (lambda path: path.write_bytes(b"CANARY\xff"), "is not UTF-8"),
        (lambda path: path.write_bytes(b"x" * 65537), "is larger than 65536 bytes"),
    ],
)
def test_a_secret_file_that_cannot_be_used_is_a_mistake(
    tmp_path: Path, make: Any, says: str
) -> None:
    make(tmp_path / "secret")
    text = "roots:\n- url: s3://b/x\n  storage_options:\n    o: [1, 'x${file:secret}']\n"
    assert mistakes_of(text, tmp_path) == [
        f"config.yaml:4: roots[0].storage_options.o[1]: the file secret {says}"
    ]


def test_storage_options_are_revealed_as_a_copy() -> None:
    options = root_of("url: s3://b/x, storage_options: {key: x}").storage_options
    options.reveal()["key"] = "y"
    assert options.reveal() == {"key": "x"}


SECRETS = """
roots:
  - url: https://example.org/logs?signature=CANARY#CANARY
  - url: s3://my-bucket/logs
    storage_options:
      key: CANARY
      secret: ${SECRET}
      token: ${file:secret}
      password: [CANARY, "${SECRET}"]
      anon: false
      endpoint_url: https://CANARY@minio.example.org
      client_kwargs:
        region_name: eu-west-1
        aws_secret_access_key: CANARY
        headers: {authorization: "Bearer ${SECRET}"}
        config_kwargs: [{secret: CANARY}, CANARY]
      config_kwargs: [CANARY]
      fill: {key: {anon: CANARY}}
"""


def test_no_secret_shows_in_a_configuration(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("CANARY\n")
    config = config_of(SECRETS, tmp_path, SECRET="CANARY")
    options = config.roots[1].storage_options
    assert json.dumps(options.reveal()).count("CANARY") == 12
    shown = [repr(config), str(config), f"{config.roots}", repr(options), f"{options.masked()}"]
    assert [text for text in shown if "CANARY" in text] == []


def test_harmless_options_are_shown() -> None:
    options = root_of(
        "url: s3://b/x, storage_options: {anon: true, endpoint_url: 'http://h:1', port: 9000, "
        "profile: me, client_kwargs: {region_name: eu-west-1, verify: false}, key: x}"
    ).storage_options
    assert options.masked() == {
        "anon": True,
        "endpoint_url": "http://h:1",
        "port": 9000,
        "profile": "me",
        "client_kwargs": {"region_name": "eu-west-1", "verify": "<secret>"},
        "key": "<secret>",
    }


WRONG_LINES = [
    "  storage_options: CANARY",
    "  storage_options: [CANARY]",
    "  storage_options: {key: CANARY, key: CANARY}",
    "  storage_options: {key: $CANARY}",
    "  storage_options: {key: '${CANARY'}",
    "  storage_options: {key: 'x${}CANARY'}",
    "  storage_options: {key: '${file:CANARY'}",
    '  storage_options: {key: "CANARY\\n"}',
    "  storage_options: {[CANARY]: x}",
    "  access_key: CANARY",
    "  name: {key: CANARY}",
    '  name: "CANARY\\0"',
    "  prefix: [CANARY]",
    "  include: CANARY",
    "  exclude: [[CANARY]]",
    "  max_depth: CANARY",
    "  max_per_root: '1CANARY'",
    "  scan_interval: CANARY",
    "  hide_completed_after: [CANARY]",
    "- s3://me:CANARY@bucket/x",
    "- s3://CANARY@bucket",
    "- s3://[CANARY/x",
    "- s3://CANARY\u2100/x",
    "- CANARY://x/y",
    "- simplecache::CANARY://x",
    "- [CANARY]",
    "- {urls: CANARY}",
    "log: {level: CANARY, format: [CANARY]}",
    "log: CANARY",
    "web: {listen_address: CANARY}",
    "web: {listen_address: '[CANARY]:1', config_file: CANARY}",
    "scan: {interval: CANARY, workers: CANARY}",
    "jobs: [CANARY]",
    "password: CANARY",
]


@pytest.mark.parametrize("line", WRONG_LINES)
def test_a_secret_in_a_wrong_place_is_not_repeated(line: str) -> None:
    with pytest.raises(ConfigError) as caught:
        config_of(f"roots:\n- url: s3://b/x\n{line}\n")
    shown = [str(caught.value), repr(caught.value), *traceback.format_exception(caught.value)]
    assert not any("CANARY" in part for part in shown)
    assert str(caught.value).startswith("config.yaml:3: ")


def test_secrets_beside_a_mistake_are_not_repeated(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("CANARY\n")
    text = SECRETS + "oops: CANARY\n"
    with pytest.raises(ConfigError) as caught:
        config_of(text, tmp_path, SECRET="CANARY")
    assert "CANARY" not in repr(caught.value) + str(caught.value)


VALUES = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(),
        st.text(max_size=20),
        st.sampled_from(
            [
                "1m",
                "0s",
                "s3://b/x",
                "s3://[",
                "file://",
                "a::b",
                "${A}",
                "${file:x}",
                "$",
                ":1",
                "*",
            ]
        ),
    ),
    lambda part: (
        st.lists(part, max_size=3) | st.dictionaries(st.text(max_size=9), part, max_size=3)
    ),
    max_leaves=6,
)
ROOT_KEYS = sorted(
    {"name", "url", "max_depth", "prefix", "include", "exclude", "scan_interval", "scan_timeout"}
    | {"stale_after", "hide_completed_after", "max_per_root", "storage_options", "more"}
    | {"stalled_after", "stalled_gap_factor", "stalled_long_after"}
    | {"stalled_tail_factor", "stalled_tail_after"}
)
FILES = st.fixed_dictionaries(
    {
        "roots": st.lists(
            st.text(max_size=20)
            | st.from_regex(r"\A[a-z]{1,4}:/{0,3}[\[\]@:?#a-z℀./]{0,12}\Z")
            | st.dictionaries(st.sampled_from(ROOT_KEYS), VALUES, max_size=6),
            max_size=4,
        )
        | VALUES
    },
    optional=dict.fromkeys(("scan", "jobs", "web", "log", "more"), VALUES),
)


@settings(deadline=None, max_examples=300)
@given(
    st.binary()
    | FILES.map(lambda value: json.dumps(value).encode())
    | FILES.map(lambda value: json.dumps(value, ensure_ascii=False).encode("utf-8", "replace"))
)
@example(b'{"roots": ["s3://[x"]}')
@example('{"roots": ["s3://\u2100"]}'.encode())
@example(b'{"roots": ["a"], "\\ud800": 1}')
@example(b'{"roots": ["a"], "x\\ny": 1}')
@example(b'{"roots": [{"url": "s3://b", "storage_options": {"\\ud800": 1}}]}')
@example(b'{"roots": [{"url": "s3://b", "storage_options": {"k": "${file:a\\u0000b}"}}]}')
def test_any_bytes_are_a_config_or_a_config_error(data: bytes) -> None:
    try:
        config = parse(data, "config.yaml", FOLDER, {})
    except ConfigError as error:
        text = str(error)
        mistakes = len(error.mistakes)
    else:
        text = "\n".join(["config.yaml", *(repr(root) for root in config.roots)])
        text = "\n".join(f"config.yaml {line}" for line in text.split("\n"))
        mistakes = len(config.roots) + 1
        assert all(root.name.isprintable() for root in config.roots)
    lines = text.split("\n")
    assert len(lines) == mistakes
    assert all(line.startswith("config.yaml") and line.isprintable() for line in lines)


@settings(deadline=None)
@given(st.text(), st.text(max_size=30))
def test_any_environment_value_reaches_the_storage_unchanged(value: str, around: str) -> None:
    assume(around.isprintable())
    text = json.dumps(around.replace("$", "$$") + "${A}", ensure_ascii=False)
    root = root_of(f"url: s3://b/x, storage_options: {{key: {text}}}", A=value)
    assert root.storage_options.reveal() == {"key": around + value}
    assert root.storage_options.masked() == {"key": "<secret>"}
