"""Navigation only: `streamlit run app.py -- HOME`."""

import sys
from pathlib import Path

import streamlit as st

from convsearch.dashboard.views import studies, study

st.set_page_config(page_title="Convsearch", layout="wide")
home = Path(sys.argv[1] if len(sys.argv) > 1 else "studies")
pages = [
    st.Page(lambda: studies.page(home), title="Studies", url_path="studies", default=True),
    st.Page(lambda: study.page(home), title="Study", url_path="study"),
]
st.navigation(pages).run()
