"""The ranges that the numbers and names of a record may have, told to whoever reads it from disk."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

# What a number or word of a stored record may be; `stored` sees to it when a file is read.
Share = Annotated[float, Meta(ge=0, le=1)]
Signed = Annotated[float, Meta(ge=-1, le=1)]  # a correlation, a difference of shares
Loss = Annotated[float, Meta(ge=-1e-3, le=3.5e38)]  # a distance of float32 answers may be below 0 by rounding
Measured = Annotated[float, Meta(ge=0, le=1e12)]  # seconds, rates
Temperature = Annotated[float, Meta(ge=1e-3, le=1e3)]  # of a softmax
Count = Annotated[int, Meta(ge=0, le=10**12)]
Number = Annotated[int, Meta(ge=1, le=10**9)]  # counted from 1
Side = Annotated[int, Meta(ge=1, le=100_000)]  # of an image or of maps
Channels = Annotated[int, Meta(ge=1, le=64)]  # of an image
Scale = Annotated[float, Meta(ge=1e-3, le=65535)]  # of its values
Deviation = Annotated[float, Meta(gt=0, le=1e6)]
Name = Annotated[str, Meta(min_length=1, max_length=1000)]
Part = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9 _-]{0,99}\Z")]  # of a data set; stands in addresses
