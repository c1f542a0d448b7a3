package cli

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"mixr/runtime/train"
)

func (a *app) exportCommand() *cobra.Command {
	var o exportOptions
	c := &cobra.Command{
		Use:   "export RUN|MODEL",
		Short: "write a policy as a Hugging Face folder",
		Long: `Write a policy as a folder that transformers loads, with the configurations, tokenizer and chat template
of the checkpoint that it started from and under the names of its weights. A run keeps its policy in
float32, exactly as it was trained; adapters of a LoRA run are merged. The folder must not exist, or
be empty: it appears whole or not at all.

` + policyNames,
		Example: `  mixr export quickstart-0123abcd -o quickstart-policy
  mixr export quickstart-0123abcd -o exact --dtype fp32 --shard-size 2GB
  mixr export lora-0123abcd -o adapters --adapter`,
		Args: arguments(1, false),
		RunE: func(c *cobra.Command, args []string) error { return a.export(c.Context(), args[0], o) },
	}
	f := c.Flags()
	f.StringVarP(&o.to, "output", "o", "", "`FOLDER` to write")
	f.StringVar(&o.dtype, "dtype", "bf16", "type of the weights, bf16 or fp32")
	f.StringVar(&o.shard, "shard-size", "5GB", "most bytes of a file, as kB, MB or GB")
	f.BoolVar(&o.adapter, "adapter", false, "write the adapters of a LoRA run, in PEFT's layout, and not the merged policy")
	return c
}

type exportOptions struct {
	to, dtype, shard string
	adapter          bool
}

// storedTypes are the values of --dtype, as safetensors names them.
var storedTypes = map[string]string{"bf16": "BF16", "fp32": "F32"}

func (a *app) export(ctx context.Context, name string, o exportOptions) error {
	dtype, known := storedTypes[o.dtype]
	shard, err := parseSize(o.shard)
	switch {
	case o.to == "":
		return usagef("mixr export: name the folder to write with -o FOLDER (see mixr export --help)")
	case !known:
		return usagef("--dtype: got %q, want bf16 or fp32", o.dtype)
	case err != nil:
		return usagef("--shard-size: %w", err)
	}
	watch := newScreen(a.errOut)
	from, run, err := a.policyFolder(ctx, name, watch)
	if err != nil {
		return err
	}
	if o.adapter {
		return a.exportAdapter(name, run, o.to)
	}
	bar := newLoading(watch, "writing "+o.to)
	err = train.Export(ctx, from, o.to, train.ExportOptions{DType: dtype, ShardBytes: shard, Progress: bar.at})
	watch.hide()
	if err != nil {
		return err
	}
	return a.printExport(o.to, o.dtype)
}

// exportAdapter copies the adapters that a run left.
func (a *app) exportAdapter(name, run, to string) error {
	from := filepath.Join(run, train.AdapterFolder)
	if run == "" || !isDir(from) {
		return usagef("%s has no adapters: --adapter is for runs with policy.lora", name)
	}
	if found, err := os.ReadDir(to); err == nil && len(found) > 0 {
		return usagef("export: %s is not empty (%s): name another folder", to, found[0].Name())
	}
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		return fmt.Errorf("export: %w", err)
	}
	return a.printExport(to, "fp32")
}

func (a *app) printExport(to, dtype string) error {
	bytes, err := folderSize(to)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(a.out, "%s: %s, %s\n", to, size(bytes), dtype)
	return err
}

// parseSize reads a size such as 5GB: decimal, as the Hugging Face libraries count.
func parseSize(text string) (int64, error) {
	for unit, factor := range map[string]float64{"kb": 1e3, "mb": 1e6, "gb": 1e9} {
		digits, ok := strings.CutSuffix(strings.ToLower(text), unit)
		if !ok {
			continue
		}
		n, err := strconv.ParseFloat(strings.TrimSpace(digits), 64)
		if bytes := n * factor; err == nil && bytes >= 1 && bytes <= 1e15 {
			return int64(bytes), nil
		}
	}
	return 0, fmt.Errorf("got %q, want a size such as 5GB or 500MB", text)
}
