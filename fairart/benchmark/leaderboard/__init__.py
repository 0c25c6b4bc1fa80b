"""A leaderboard of finished benchmarks: every method with its average and worst class, as one page."""

from fairart.benchmark.leaderboard.page import leaderboard_page, write_leaderboard

__all__ = ["leaderboard_page", "write_leaderboard"]
