"""One file per algorithm: config, fit, call. `table` lists them all."""
