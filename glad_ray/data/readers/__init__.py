"""How the files of datasets are read, a module for each format or dataset."""
