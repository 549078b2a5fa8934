"""What a net answers: the interface of a task, the table of tasks, and a package for each."""

from keras_resnet.tasks.interface import Limits, Objectives, Output, Score, Task, TaskCode, sole
from keras_resnet.tasks.table import TASKS, get_task

__all__ = ["TASKS", "Limits", "Objectives", "Output", "Score", "Task", "TaskCode", "get_task", "sole"]
