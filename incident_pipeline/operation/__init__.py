"""Keeping an installation alive and seen: its processes, its logs, its service manager, its check of itself."""
