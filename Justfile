# The front door. `just` lists what there is.

_list:
    @just --list

# compile everything, lint, format
check:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets -- -D warnings

# the whole test suite; installs the tools that it drives
test *args:
    bash tests/run {{ args }}

# rewrite the golden files, to be reviewed in the diff
bless:
    BLESS=1 bash tests/run

# paired benchmarks against the peers; results go to docs/benchmarks.md by hand
bench *args:
    tests/bench {{ args }}

# the same for what moves between registries and stores, and for building with carried images (carry-build, carry-rebuild)
bench-registry *args:
    tests/bench-registry {{ args }}

# the same for the registry as a server, against docker-registry and crane's
bench-serve *args:
    tests/bench-serve {{ args }}

# the binary to carry across an air gap
dist:
    cargo build --release
    @ls -l target/*/release/sealos

# the command lines of the README's first example
demo:
    cargo run --release -- run Kubefile-examples/hello
