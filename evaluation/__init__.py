"""What comes out: classes of a photo, scores, panels, figures, the report."""
