#!/bin/sh
set -eu
echo "check: ${1:-}"
