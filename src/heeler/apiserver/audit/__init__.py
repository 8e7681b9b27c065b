"""The audit log: who asked what, and what was answered. Off unless a policy is given."""
