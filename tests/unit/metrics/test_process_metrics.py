"""The exporter's metrics about itself."""

from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from exporter.metrics.process_metrics import ProcessMetrics


def test_every_sample_of_the_page_can_be_asked_for_by_its_name_in_both_formats() -> None:
    metrics = ProcessMetrics()
    metrics.watch_workers(1, lambda: 0, lambda: 0)
    metrics.watch_web_config()
    for as_openmetrics, parse in ((False, parse_text), (True, parse_openmetrics)):
        page = metrics.render(as_openmetrics=as_openmetrics).decode()
        names = {sample.name for family in parse(page) for sample in family.samples}
        assert {"python_info", "python_gc_objects_collected_total", "process_open_fds"} < names
        for name in names:
            found = metrics.render(as_openmetrics=as_openmetrics, names={name}).decode()
            assert {s.name for family in parse(found) for s in family.samples} == {name}


def test_where_people_reach_the_pages_is_told_while_it_is_configured() -> None:
    metrics = ProcessMetrics()

    def told() -> list[dict[str, str]]:
        names = {"datatrove_exporter_web_info"}
        page = metrics.render(as_openmetrics=False, names=names).decode()
        return [sample.labels for family in parse_text(page) for sample in family.samples]

    assert told() == []
    for url in ("https://monitor.example.org", "https://other.example.org/datatrove"):
        metrics.reached_at(url)
        assert told() == [{"external_url": url}]
    metrics.reached_at(None)
    assert told() == []
