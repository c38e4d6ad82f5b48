"""The build of a report: what is observed of its networks (`observed`, with torch), and its site (`pipeline`)."""
