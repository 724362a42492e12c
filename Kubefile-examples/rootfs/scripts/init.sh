#!/bin/sh
set -eu
echo "init: ${1:-}"
