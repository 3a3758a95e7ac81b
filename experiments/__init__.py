"""Measured experiments: each module declares its runs, what is measured on them and the bars; `python -m experiments NAME`."""
