"""The programs that train: each takes job after job, and reports every epoch."""
