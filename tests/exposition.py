"""Reads what `Metrics.exposition` gives, with Prometheus' own parser."""

from prometheus_client.parser import text_string_to_metric_families

from notifier.service.metrics import NAMESPACE, Metrics

Series = dict[str, float]


def series(metrics: Metrics, name: str) -> Series:
    """The values of one metric of ours, by its labels' values joined by a slash (in the order of the labels' names)."""
    text = metrics.exposition()[0].decode()
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    return {
        "/".join(value for _, value in sorted(sample.labels.items())): sample.value
        for sample in samples
        if sample.name == f"{NAMESPACE}_{name}"
    }


def names(metrics: Metrics) -> set[str]:
    """The names of all series, as a query names them."""
    text = metrics.exposition()[0].decode()
    return {sample.name for family in text_string_to_metric_families(text) for sample in family.samples}


def nonzero(found: Series) -> Series:
    return {labels: value for labels, value in found.items() if value}
