"""What was found: a Streamlit application that reads MLflow and writes nothing."""
