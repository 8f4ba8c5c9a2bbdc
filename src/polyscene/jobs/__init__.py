"""What the command line, the service and the Python API all call: ingest, fit, evaluate, recommend, replay."""
