"""Tables of labels beside the images: which column says what, and which image each row names."""
