"""What every engine and every loader must do, asked of one: by the project's own tests, and by `forklock examine`."""
