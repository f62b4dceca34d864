"""Known good networks, fitted to a space: those of the portfolio, and those of other studies."""
