"""One candidate trained in a worker: a function of a job and its data to an outcome. Knows nothing of studies."""
