"""What all pages share: their address, what is drawn anew and when, how figures and words are shown."""
