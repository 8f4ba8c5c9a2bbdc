"""The `polyscene` command: parse, call a job, show what it gave."""
