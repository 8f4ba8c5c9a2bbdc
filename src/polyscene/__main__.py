"""``python -m polyscene`` is the `polyscene` command."""

from polyscene.cli.main import main

main()
