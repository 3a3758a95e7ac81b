"""One figure a module: `figure_<module>(*, seed) -> Result`."""
