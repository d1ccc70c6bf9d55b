"""Lightning modules, one per stage: glue between networks, objectives and the trainer."""
