"""What furiosa-bench tells: the SDK's report, figures for programs, conditions, and where the time goes."""
