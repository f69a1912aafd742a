"""The life of a worker process: its clock, its exit codes, its watchdog, its pause, its health page."""
