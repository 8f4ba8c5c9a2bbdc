"""What an operator sees: logs, progress bars, stopwatches; knows no recommender words."""
