"""Answers for videos and cameras, by OpenCV (the extra `video`)."""
