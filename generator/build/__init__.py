"""The build of a report: what is observed of its networks (`observed`, with torch), and its site (`pipeline`)."""

LOADING = "loading the networks"  # a stage of the build
LOOKING = "looking at the networks"  # another, which `observed` divides when it knows them
DEVICE = "device"  # of a report's environment: where its networks ran
