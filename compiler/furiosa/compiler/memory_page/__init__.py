"""The memory page: its data, and the parts of the page itself: HTML, style and script."""
