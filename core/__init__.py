"""What running many calls at once means: outcomes, scopes, the task pool and the executor over it."""
