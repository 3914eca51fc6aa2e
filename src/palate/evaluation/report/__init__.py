"""Presentation of evaluations: tables, figures and the report page."""
