"""How it is searched: data, engines, executors, the study loop, tracking and export."""
