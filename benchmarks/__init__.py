"""Every claim of speed, measured: both sides in one process run, and their ratio."""
