"""The command line: flags as a table, parsing, help, and the one place that prints errors."""
