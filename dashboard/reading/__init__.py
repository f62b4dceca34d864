"""Reads MLflow's runs as tables, and makes bundles of them."""
