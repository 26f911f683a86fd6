#!/usr/bin/env python3
"""Change the rules in many small ways and see that their tests notice each change.

Usage: mutate_rules.py [--rule REGEX] [--sample N] [--seed N] [--workers N].
Needs promtool on PATH and PyYAML. Every comparison, number, set operator, aggregation,
grouping, label to group or match by, duration and severity of every rule is changed, one at a
time. Prints the survivors; exit code 1 if there are any.
"""

import argparse
import random
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

RULES = Path(__file__).parent.parent / "deploy" / "prometheus"

REPLACED = {
    ">": "<",
    "<": ">",
    ">=": "<",
    "<=": ">",
    "==": "!=",
    "!=": "==",
    "and": "unless",
    "unless": "and",
    "or": "and",
    "max": "min",
    "min": "max",
    "sum": "max",
    "increase": "delta",
    "clamp_min": "clamp_max",
}
TOKENS = r"[<>=!]=|[<>]|(?<![\w:])[a-z_]+\b(?!:)|(?<![\w:.])\d+(?:\.\d+)?(?![\w.])"
GROUPING = "without (instance, pod)"


@dataclass(frozen=True)
class Mutant:
    """One change to one rule."""

    file: str
    group: int
    rule: int
    name: str
    key: str
    value: str | None
    change: str


def _in_expression(expression: str) -> Iterator[tuple[str, str]]:
    """Changed expressions, each with what was changed where."""
    blank = re.sub(r'"[^"]*"', lambda match: "_" * len(match[0]), expression)
    for number, match in enumerate(re.finditer(TOKENS, blank)):
        for new in _instead_of(match[0]):
            change = f"token {number}: {match[0]} -> {new}"
            yield expression[: match.start()] + new + expression[match.end() :], change
    for match in re.finditer(re.escape(GROUPING), expression):
        for new in ("without (instance, pod, cluster)", "without (instance)"):
            changed = expression[: match.start()] + new + expression[match.end() :]
            yield changed, f"grouping at {match.start()}: {new}"
    for match in re.finditer(r"\[\d+[mh]\]", expression):
        yield expression.replace(match[0], "[5m]"), f"range {match[0]} -> [5m]"
    for match in re.finditer(r"(by|on|ignoring|group_left) \(([\w, ]+)\)", expression):
        labels = match[2].split(", ")
        for label in labels:
            rest = ", ".join(each for each in labels if each != label)
            changed = f"{expression[: match.start()]}{match[1]} ({rest}){expression[match.end() :]}"
            yield changed, f"{match[1]} at {match.start()}: {label} dropped"
    for match in re.finditer(r'(?:scope|job|state|stage)!?="[^"]*"', expression):
        changed = expression[: match.start()] + expression[match.end() :]
        yield changed, f"matcher {match[0]} dropped"


def _instead_of(token: str) -> list[str]:
    if token in REPLACED:
        return [REPLACED[token]]
    if token == "0":  # noqa: S105 - PromQL's
        return ["1000000"]
    if token[0].isdigit():
        return [f"{float(token) * 2:g}", f"{float(token) / 2:g}"]
    return []


def mutants() -> Iterator[Mutant]:
    """All of them, in the order of the files."""
    for path in sorted(RULES.glob("*.rules.yml")):
        for g, group in enumerate(yaml.safe_load(path.read_text())["groups"]):
            for r, rule in enumerate(group["rules"]):
                name = rule.get("alert") or rule["record"]
                for key, value, change in _in_rule(rule):
                    yield Mutant(path.name, g, r, name, key, value, change)


def _in_rule(rule: dict[str, Any]) -> Iterator[tuple[str, str | None, str]]:
    """What to change of a rule, to what, and how that is called."""
    for changed, change in _in_expression(rule["expr"]):
        yield "expr", changed, change
    if "alert" in rule:
        yield "for", "0s", "for -> 0s"
        yield "for", "2h", "for -> 2h"
        yield "severity", "page", "severity -> page"
    if "keep_firing_for" in rule:
        yield "keep_firing_for", None, "keep_firing_for dropped"


def _apply(mutant: Mutant, folder: Path) -> None:
    file = folder / mutant.file
    content: dict[str, Any] = yaml.safe_load(file.read_text())
    rule = content["groups"][mutant.group]["rules"][mutant.rule]
    if mutant.key == "severity":
        rule["labels"]["severity"] = mutant.value
    elif mutant.value is None:
        del rule[mutant.key]
    else:
        rule[mutant.key] = mutant.value
    file.write_text(yaml.safe_dump(content, sort_keys=False))


def is_noticed(mutant: Mutant) -> bool:
    """Whether any test fails, or Prometheus refuses the changed rule."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "prometheus"
        shutil.copytree(RULES, folder)
        _apply(mutant, folder)
        # Those first that say most about the rule.
        files = sorted(
            (folder / "tests").glob("*_test.yml"),
            key=lambda file: -file.read_text().count(mutant.name),
        )
        return any(
            subprocess.run(
                ["promtool", "test", "rules", file.name],
                cwd=file.parent,
                capture_output=True,
                check=False,
            ).returncode
            for file in files
        )


def main() -> int:
    """Try the chosen changes; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rule", default="", help="only rules whose name matches this")
    parser.add_argument("--sample", type=int, help="only so many, chosen at random")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    chosen = [mutant for mutant in mutants() if re.search(arguments.rule, mutant.name)]
    of = len(chosen)
    if arguments.sample:
        chosen = random.Random(arguments.seed).sample(chosen, arguments.sample)  # noqa: S311
    survivors = 0
    with ThreadPoolExecutor(arguments.workers) as pool:
        for mutant, noticed in zip(chosen, pool.map(is_noticed, chosen), strict=True):
            if not noticed:
                survivors += 1
                print(f"not noticed: {mutant.name}: {mutant.change}", flush=True)
    print(f"{len(chosen)} of {of} changes tried, {len(chosen) - survivors} noticed")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
