"""The chapters of a report, each a function from the report object to blocks."""
