"""What a trained network is measured by beside its accuracy: the metrics that are here, by name, and users' own."""

from typing import Annotated, NamedTuple

from pydantic import AfterValidator

from glad_ray.errors import UserError, unknown
from glad_ray.spec.written.code_names import is_code_name


class Metric(NamedTuple):
    """What is known of a metric without computing it."""

    title: str
    """for people"""
    implementation: str
    """module:callable of (network, images, labels) that computes it"""
    share: bool = False
    """whether it is a share of 1, shown in percent"""
    of_classes: bool = False
    """whether it is a mapping with a number for each class, by the class's number"""


METRICS: dict[str, Metric] = {
    "per_class_accuracy": Metric(
        "Accuracy per class", "glad_ray.metrics.per_class_accuracy:per_class_accuracy", share=True, of_classes=True
    ),
}
"""by name"""


def metric_of(name: str) -> Metric:
    """What is known of the metric that evaluations and columns call so."""
    module, _, callable_name = name.rpartition(":")
    return METRICS.get(name) or Metric(f"{callable_name} ({module})" if module else name, name)


def _metric_name(name: str) -> str:
    if name not in METRICS and not is_code_name(name):
        raise UserError(
            f"{unknown('metric', name, METRICS)} One of your own is named package.module:callable, of (network, "
            "images, labels)."
        )
    return name


MetricName = Annotated[str, AfterValidator(_metric_name)]
