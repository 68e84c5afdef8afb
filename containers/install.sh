#!/bin/sh
# What both recipes run: the packages of a lock, with the pip of the Python that comes first on PATH.
#   install.sh requirements.lock      everything for a machine without GPUs
#   install.sh containers/gpu.lock    everything for one with GPUs
# TORCH_INDEX may name an index of torch's CPU builds, for without one the CUDA build comes, gigabytes of it.
# Further arguments go to pip.
set -eu
lock=$1
shift
torch=$(grep -h '^torch==' "$(dirname "$lock")/requirements.in" "$lock" 2>/dev/null | head -n 1)
if [ -n "${TORCH_INDEX:-}" ]; then
    python -m pip install --no-cache-dir --quiet --no-deps --index-url "$TORCH_INDEX" "$@" "$torch"
fi
exec python -m pip install --no-cache-dir --quiet "$@" "$torch" -r "$lock"
