"""The command `forklock`: one module a subcommand, thin over the library."""
