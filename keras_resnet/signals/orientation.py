"""EXIF's orientation of a picture: how the pixels in a file are turned to stand upright."""

ENTRY = 0x0112  # EXIF's number of the entry, whose values are 1 to 8
# By that value: whether rows and columns change places, and then whether rows, and columns, are reversed.
TURNS = ((0, 0, 0), (0, 0, 0), (0, 0, 1), (0, 1, 1), (0, 1, 0), (1, 0, 0), (1, 0, 1), (1, 1, 1), (1, 1, 0))
