"""How MLflow and Optuna's own file get what the record has: the only room that writes there."""
