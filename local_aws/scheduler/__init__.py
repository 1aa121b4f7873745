"""EventBridge Scheduler that fires: moto keeps the schedules, what is here carries them out."""
