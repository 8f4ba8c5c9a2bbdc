"""Public test helpers: contract checks for any model, tiny worlds with known answers, strategies."""
