"""Where a model will run: `table.py` has a row per place, a module here writes what that place needs and checks it.

Such a module has
* `refuse(request)`: raises `InputError` where the model cannot meet the contract, before anything is converted;
* `write(bundle)`: writes the place's own files and returns the `Check`s that it made of them by running them;
* `FILES`: what its files are, for the README.
The steps for the person who gets the folder are in `steps/NAME.md`, a template that `readme.py` fills.
"""
