"""The report's pages, a folder each: what a page finds, says and draws. From records to figures and sentences."""
