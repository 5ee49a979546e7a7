#!/usr/bin/env bash
# Train a job with three local parties that are killed at random moments and started again; the run must end as an
# undisturbed one. Options: --kills N (default 30), --seed S (default 1), --job FILE, --epochs COUNT (default 600 for the
# default job), --link LINK, --out DIR (default target/chaos).
set -euo pipefail

here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
root=$(dirname -- "$here")

for option in "$@"; do
    if [ "$option" = --help ] || [ "$option" = -h ]; then
        sed -n '2,4s/^# //p' "${BASH_SOURCE[0]}"
        exit 0
    fi
done

kills=(--kills 30)
epochs=(--epochs 600)
out=(--out "$root/target/chaos")
for option in "$@"; do
    case $option in
    --kills | --kills=*) kills=() ;;
    --job | --job=* | --epochs | --epochs=*) epochs=() ;;
    --out | --out=*) out=() ;;
    esac
done
exec "$here/run.sh" ${kills[@]+"${kills[@]}"} ${epochs[@]+"${epochs[@]}"} ${out[@]+"${out[@]}"} "$@"
