"""How good an answer is: exact ranks, metrics, intervals, warnings and the report. No torch."""
