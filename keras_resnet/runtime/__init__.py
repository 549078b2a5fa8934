"""What runs model files: runners, and how files are opened."""
