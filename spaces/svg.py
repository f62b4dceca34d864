BLUE = GREEN = GREY = INK = ORANGE = PALE_INK = PURPLE = 0
Colour = str
Picture = text_width = None
