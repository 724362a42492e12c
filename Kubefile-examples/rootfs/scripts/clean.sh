#!/bin/sh
set -eu
echo "clean: ${1:-}"
