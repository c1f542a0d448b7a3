# Shorthand for the plain commands of README.md; nothing needs just. `just --list` lists the recipes.

# Run the quickstart
quickstart *flags:
    go run . run experiments/quickstart.cue {{flags}}

# Run the tests
test *flags:
    go test ./... {{flags}}

# Format, vet, staticcheck, house rules (imports, bans, pages)
check:
    @files=$(gofmt -l .); if [ -n "$files" ]; then echo "not formatted: $files; run gofmt -w ." >&2; exit 1; fi
    go vet ./...
    go run honnef.co/go/tools/cmd/staticcheck@v0.8.2 ./...
    go test ./runtime

# Check every shipped experiment and dataset card, with the data and policies that they name
vet:
    go run . vet --data $(find experiments datasets -name '*.cue')

# Build ./mixr
build:
    go build -o mixr .

# Install mixr into Go's bin folder
install:
    go install .

# Measure the figures of README.md, see bench/README.md
bench:
    bench/vet
    bench/bits
    bench/quickstart

# Remake the checkpoint that the quickstart starts from
sft:
    go run . run experiments/nano_sft.cue
    rm -rf results/nano
    go run . export "$(go run . plan experiments/nano_sft.cue --json | sed -n 's/.*"dir": "\(.*\)",*$/\1/p')" -o results/nano --dtype bf16
    cp results/nano/model.safetensors experiments/policies/nano/

# Rewrite golden files; read the difference before committing it
update:
    MIXR_UPDATE=1 go test ./runtime/...
