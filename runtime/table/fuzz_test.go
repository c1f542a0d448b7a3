package table

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/parquet-go/parquet-go"
)

// whole is a Parquet file of a few rows.
func whole[R Row](t testing.TB, rows ...R) []byte {
	t.Helper()
	var buf bytes.Buffer
	e := newEncoder[R](&buf)
	if err := e.add(rows); err != nil {
		t.Fatal(err)
	}
	if err := e.close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// FuzzDecode: whatever the bytes are, reading gives rows or an error, and takes memory of the file's order.
func FuzzDecode(f *testing.F) {
	x, text, right := 0.5, "text", true
	eval := whole(f, Eval{When: "after", ExampleID: "a", Source: "s", Task: "mcq", Question: &text, Correct: &right, Format: &x}, Eval{ExampleID: "b"})
	metrics := whole(f, Metrics{Step: 1, Loss: &x}, Metrics{Step: 2})
	completions := whole(f, Completion{Step: 1, TokenIDs: []int32{1, 2}, Logp: []float32{-1}, Note: &text})
	timing := whole(f, Timing{Step: 1, TEnd: time.Unix(1.7e9, 0)})
	for _, file := range [][]byte{eval, metrics, completions, timing} {
		f.Add(file)
		f.Add(file[:len(file)-9])
		f.Add(file[len(file)/2:])
	}
	f.Add([]byte("PAR1"))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, file []byte) {
		for _, read := range []func() error{
			func() error { _, err := decode[Eval](file); return err },
			func() error { _, err := decode[Metrics](file); return err },
			func() error { _, err := decode[Completion](file); return err },
			func() error { _, err := decode[Timing](file); return err },
		} {
			_ = read() // an error is as good as rows; a panic or a process out of memory is what this looks for
		}
	})
}

// FuzzManifests: records of runs and studies, provenance.
func FuzzManifests(f *testing.F) {
	f.Add([]byte(`{"format": "mixr.run/1", "seed": "1", "attempts": [{}], "parts": [{"path": "../../x"}]}`))
	f.Add([]byte(`{"format": "mixr.study/1", "trials": [{"run": "a", "seed": "18446744073709551615"}]}`))
	f.Add([]byte(`{"grpo.kl": {"value": 1, "writers": null}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		dir := t.TempDir()
		for _, name := range []string{manifestFile, ProvenanceFile, "s" + studySuffix} {
			if err := os.WriteFile(filepath.Join(dir, name), text, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if m, err := ReadManifest(dir); err == nil {
			if m.Format != Format {
				t.Errorf("format %q was read", m.Format)
			}
			_, _ = Read[Eval](dir)
		}
		_, _ = ReadProvenance(dir)
		if s, err := ReadStudy(dir, "s"); err == nil {
			for _, trial := range s.Trials {
				if !filepath.IsLocal(trial.Run) {
					t.Errorf("a run outside the folder: %q", trial.Run)
				}
			}
		}
	})
}

// TestDecodeForeign: tables of other versions, other tables and other programs are refused with what they are.
func TestDecodeForeign(t *testing.T) {
	type other struct {
		A int64 `parquet:"a"`
	}
	write := func(version string) []byte {
		var buf bytes.Buffer
		w := parquet.NewGenericWriter[other](&buf, parquet.KeyValueMetadata(metadataKey, version))
		if _, err := w.Write([]other{{1}}); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		return buf.Bytes()
	}
	for _, c := range []struct {
		name string
		file []byte
		want string
	}{
		{"older", write("eval/0"), `holds "eval/0", want "eval/3"`},
		{"newer", write("eval/4"), `holds "eval/4", want "eval/3"`},
		{"another table", whole(t, Metrics{Step: 1}), `holds "metrics/2", want "eval/3"`},
		{"other columns", write("eval/2"), "a is unknown"},
		{"empty", nil, ""},
		{"no Parquet", []byte("hello, this is no table at all"), ""},
	} {
		if _, err := decode[Eval](c.file); err == nil || !bytes.Contains([]byte(err.Error()), []byte(c.want)) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}
