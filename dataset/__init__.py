"""What a user's folder holds: images, labels, lists, the table of classes; and the demo's scenes."""
