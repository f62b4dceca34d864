"""The figures: one file a kind, each a function from tables to a plotly figure. Colours are left to the theme."""
