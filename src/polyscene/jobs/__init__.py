"""What the command line, the service and Python callers share: ingest, fit, evaluate, answer, replay."""
