"""The commands of `pgc`, a module each: its name is the command's, its `command` is what click runs."""
