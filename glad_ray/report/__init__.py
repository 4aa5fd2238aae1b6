"""The report: one self-contained page and one table, made from results on storage alone."""

from glad_ray.report.page import write_report

__all__ = ["write_report"]
