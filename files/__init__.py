"""Files read and written safely, and errors that are sentences."""
