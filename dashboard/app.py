"""What Streamlit runs: `streamlit run app.py -- HOME`."""

import sys
from pathlib import Path

import streamlit as st

from convsearch.dashboard.navigation import navigate

st.set_page_config(page_title="Convsearch", layout="wide")
navigate(Path(sys.argv[1] if len(sys.argv) > 1 else "studies"))
