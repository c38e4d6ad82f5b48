"""The finished site: its place on disk, its checks, its preview, and its ways to readers."""
