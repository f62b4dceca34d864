"""How a space is searched, from the command to the bundle: one room a folder, each on top of the ones it imports."""
