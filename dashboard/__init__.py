"""The dashboard: a Streamlit application that reads MLflow and writes nothing."""
