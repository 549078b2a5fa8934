"""What a net looks at: a row and a module for every kind of input, and input conventions."""
