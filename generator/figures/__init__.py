"""Drawing: arrays and numbers in, image bytes or inline SVG text out.

`raster` paints pixels, `charts` draws lines and points. Neither knows the report's records; which figures there are and
what their words say is decided in `generator.report`.
"""
