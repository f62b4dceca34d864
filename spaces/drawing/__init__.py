"""An architecture drawn: as text and as SVG."""
