"""The report of a run: one offline HTML file under 300 KB."""

from hil.report.model import Report
from hil.report.write import write_report

__all__ = ["Report", "write_report"]
