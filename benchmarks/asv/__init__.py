"""Benchmarks that asv follows over commits: time, peak memory and the elbo reached.

On the installed package, without environments of asv's own:

    asv machine --yes --config benchmarks/asv/asv.conf.json
    asv run --config benchmarks/asv/asv.conf.json --environment existing

With `--quick` each runs once. With `--set-commit-hash $(git rev-parse HEAD)` results
are kept, under `.asv/`, where `asv compare` and `asv publish` find them.
"""
