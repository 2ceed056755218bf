"""How devices are reached and what is known of them; work waiting for the pipeline; jobs with progress."""
