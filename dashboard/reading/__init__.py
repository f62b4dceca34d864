"""What is read: the runs of MLflow as tables, and the bundles made of them."""
