"""What is published of a root beside its sums."""

from support.snapshots.collector import collect
from support.snapshots.readings import NOW, a_root, a_snapshot, an_unscanned_root

from exporter.model.facts import root_json
from exporter.model.report import report_on
from exporter.model.snapshot import Root


def told(root: Root) -> tuple[dict[str, float], dict[str, object]]:
    """The metrics of a root, by name without prefix, and its fields in JSON."""
    samples = {
        sample.name.removeprefix("datatrove_root_"): sample.value
        for family in collect(a_snapshot(root))
        for sample in family.samples
        if sample.labels == {"root": root.name}
    }
    (row,) = report_on(a_snapshot(root), NOW).roots
    return samples, root_json(row)


def test_folders_that_were_not_looked_into_are_told_of_a_root_that_was_read() -> None:
    metrics, fields = told(a_root(folders_unsearched=3, folders_denied=2))
    assert (metrics["folders_unsearched"], metrics["folders_denied"]) == (3, 2)
    assert (fields["folders_unsearched"], fields["folders_denied"]) == (3, 2)


def test_of_a_root_that_was_never_read_they_are_not_known() -> None:
    metrics, fields = told(an_unscanned_root(attempted=True))
    assert not metrics.keys() & {"folders_unsearched", "folders_denied"}
    assert (fields["folders_unsearched"], fields["folders_denied"]) == (None, None)
    assert metrics["scan_interval_seconds"] == 60


def test_what_is_configured_is_told_from_the_first_scan_on() -> None:
    metrics, _ = told(an_unscanned_root())
    assert metrics == {"up": 0, "scans_total": 0, "scans_skipped_total": 0}
