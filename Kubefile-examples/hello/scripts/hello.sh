#!/bin/sh
# Runs in the image's work directory; the image's ENV is in the environment.
set -eu
echo "$GREETING"
echo "files: $(find . -type f | sort | tr '\n' ' ')"
