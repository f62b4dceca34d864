"""What proposes candidates: Optuna and KerasTuner behind one protocol."""
