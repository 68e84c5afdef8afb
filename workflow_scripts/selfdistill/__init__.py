"""The library behind the pipeline: one room per question, tables in and tables out. It never imports Snakemake."""
