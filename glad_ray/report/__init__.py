"""The report: one self-contained page and one table, made from results on storage alone; that of a search; and that of
two storages compared.
"""

from glad_ray.report.compare import write_comparison
from glad_ray.report.fields import report_fields
from glad_ray.report.page import write_report
from glad_ray.report.search import write_search_report

__all__ = ["report_fields", "write_comparison", "write_report", "write_search_report"]
