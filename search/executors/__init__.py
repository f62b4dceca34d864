"""Where trials run: worker processes on this machine, or actors on a Ray cluster, behind one protocol."""
