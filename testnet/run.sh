#!/usr/bin/env bash
# Train a job with three local parties: build, then `tercet testnet`, which makes keys, starts three node processes on
# loopback and prints one table. Options: --job FILE, --protocol NAME, --out DIR (default target/testnet), --data FILE.
set -euo pipefail

here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
root=$(dirname -- "$here")

for option in "$@"; do
    if [ "$option" = --help ] || [ "$option" = -h ]; then
        sed -n '2,3s/^# //p' "${BASH_SOURCE[0]}"
        exit 0
    fi
done

if ! command -v cargo >/dev/null 2>&1; then
    echo "run.sh: cargo is not installed: install Rust from https://rustup.rs, then run this again." >&2
    exit 1
fi

# The defaults lie in this checkout, wherever the script is called from.
job=(--job "$here/jobs/breast-cancer.toml")
out=(--out "$root/target/testnet")
for option in "$@"; do
    case $option in
    --job | --job=*) job=() ;;
    --out | --out=*) out=() ;;
    esac
done
exec cargo run --release --locked --manifest-path "$root/Cargo.toml" --package tercet-node --bin tercet -- \
    testnet ${job[@]+"${job[@]}"} ${out[@]+"${out[@]}"} "$@"
