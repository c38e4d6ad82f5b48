"""The build of a report: what is observed of its networks (`observed`, with torch), and its site (`pipeline`)."""

LOOKING = "looking at the networks"  # a stage of the build, which `observed` divides when it knows them
DEVICE = "device"  # of a report's environment: where its networks ran
