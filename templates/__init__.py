"""Hold the job-script templates: base.j2, and one for each scheduler."""
