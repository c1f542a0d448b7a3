package table

import (
	"bytes"
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress/zstd"
)

var nan = math.NaN()

func encodeAll[R Row](t *testing.T, blocks ...[]R) []byte {
	t.Helper()
	var buf bytes.Buffer
	e := newEncoder[R](&buf)
	for _, b := range blocks {
		if err := e.add(b); err != nil {
			t.Fatal(err)
		}
	}
	if err := e.close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// roundTrip fills every column of a row with its zero value, nullable ones once with a pointer to zero and once with
// nil, and expects to read back what was written: a reward of 0 is not null.
func roundTrip[R Row](t *testing.T) {
	t.Helper()
	var present, absent R
	v := reflect.ValueOf(&present).Elem()
	for i := range v.NumField() {
		switch f := v.Field(i); f.Kind() {
		case reflect.Pointer:
			f.Set(reflect.New(f.Type().Elem()))
		case reflect.Slice: // nil and empty read alike; one zero must stay one zero
			f.Set(reflect.MakeSlice(f.Type(), 1, 1))
			reflect.ValueOf(&absent).Elem().Field(i).Set(reflect.MakeSlice(f.Type(), 0, 0))
		case reflect.Struct:
			when := reflect.ValueOf(time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC))
			f.Set(when)
			reflect.ValueOf(&absent).Elem().Field(i).Set(when)
		}
	}
	want := []R{present, absent}
	got, err := decode[R](encodeAll(t, want))
	if err != nil {
		t.Fatalf("%s: %v", Name[R](), err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s:\n got %+v\nwant %+v", Name[R](), got, want)
	}
}

func TestRoundTripZeros(t *testing.T) {
	roundTrip[Metrics](t)
	roundTrip[Slice](t)
	roundTrip[Completion](t)
	roundTrip[Eval](t)
	roundTrip[Timing](t)
}

// tags holds every row type to the rules of Row: a pointer, or a list that came later, if and only if optional; and optional what came later.
func tags[R Row](t *testing.T) {
	t.Helper()
	r := reflect.TypeFor[R]()
	for f := range r.Fields() {
		optional := strings.Contains(f.Tag.Get("parquet"), ",optional")
		later, is := f.Tag.Lookup("since")
		if nullable := f.Type.Kind() == reflect.Pointer || is && f.Type.Kind() == reflect.Slice; optional != nullable {
			t.Errorf("%s.%s: optional is %v, the field is a %v", r.Name(), f.Name, optional, f.Type)
		}
		if is && (!optional || later < "2" || later > "9") {
			t.Errorf("%s.%s: since %q, want a version above 1 and a nullable column", r.Name(), f.Name, later)
		}
	}
}

func TestOptionalIsPointer(t *testing.T) {
	tags[Metrics](t)
	tags[Slice](t)
	tags[Completion](t)
	tags[Eval](t)
	tags[Timing](t)
}

// TestBytesDependOnRowsAlone cuts 20000 rows (two row groups, many pages) in many ways.
func TestBytesDependOnRowsAlone(t *testing.T) {
	rows := completionsOf(1, 500, 40)
	for i := range rows {
		rows[i].Completion = strings.Repeat(rows[i].Completion, 10)
	}
	want := encodeAll(t, rows)
	for _, size := range []int{1, 7, 64, 100, 256, 257, 1000} {
		var blocks [][]Completion
		for i := 0; i < len(rows); i += size {
			blocks = append(blocks, rows[i:min(i+size, len(rows))])
		}
		if !bytes.Equal(encodeAll(t, blocks...), want) {
			t.Errorf("blocks of %d rows give other bytes", size)
		}
	}
	got, err := decode[Completion](want)
	if err != nil || !reflect.DeepEqual(got, rows) {
		t.Errorf("rows came back different: %v", err)
	}
}

// TestSchemaDrift: the library alone would read all of these in silence.
func TestSchemaDrift(t *testing.T) {
	type noMean struct {
		Step      int32    `parquet:"step,delta"`
		Task      string   `parquet:"task,dict"`
		Source    string   `parquet:"source,dict"`
		Component string   `parquet:"component,dict"`
		N         int64    `parquet:"n"`
		NumNull   int32    `parquet:"n_null"`
		Std       *float64 `parquet:"std,optional"`
		Min       *float32 `parquet:"min,optional"`
		Max       float64  `parquet:"max"`
		P50       *float64 `parquet:"p50,optional"`
	}
	var buf bytes.Buffer
	w := parquet.NewGenericWriter[noMean](&buf, parquet.KeyValueMetadata(metadataKey, "slices/1"))
	if _, err := w.Write([]noMean{{Step: 1}}); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	_, err := decode[Slice](buf.Bytes())
	if err == nil {
		t.Fatal("accepted")
	}
	for _, want := range []string{
		"n is INT64 required, want INT32 required", "mean is missing", "min is FLOAT nullable, want DOUBLE nullable",
		"max is DOUBLE required, want DOUBLE nullable", "p50 is unknown",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q lacks %q", err, want)
		}
	}
	if _, err := decode[Metrics](encodeAll(t, []Timing{{Step: 1, TEnd: time.Now()}})); err == nil || !strings.Contains(err.Error(), `"timing/1"`) {
		t.Errorf("another table: %v", err)
	}
}

// older is rows as a version of their table had them, in a file that says it is of the version claimed.
func older[R Row](t *testing.T, rows []R, version, claimed int) []byte {
	t.Helper()
	added := since[R]()
	var fields []reflect.StructField
	for f := range reflect.TypeFor[R]().Fields() {
		if name, _, _ := strings.Cut(f.Tag.Get("parquet"), ","); added[name] <= version {
			fields = append(fields, reflect.StructField{Name: f.Name, Type: f.Type, Tag: f.Tag})
		}
	}
	old := reflect.StructOf(fields)
	var buf bytes.Buffer
	w := parquet.NewWriter(&buf, parquet.SchemaOf(reflect.New(old).Interface()), parquet.Compression(&zstd.Codec{}),
		parquet.KeyValueMetadata(metadataKey, tableVersion[R](claimed)))
	for _, row := range rows {
		out := reflect.New(old)
		for i, f := range fields {
			out.Elem().Field(i).Set(reflect.ValueOf(row).FieldByName(f.Name))
		}
		if err := w.Write(out.Interface()); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// TestOlderTables: columns that a table got later are null in older files; a file that leaves them out without being older is refused.
func TestOlderTables(t *testing.T) {
	x, y := 0.25, -1.0
	rows := completionsOf(1, 3, 200) // more than the block that is read at a time
	for i := range rows {
		rows[i].BMAS, rows[i].Format = &x, &y
	}
	got, err := decode[Completion](older(t, rows, 1, 1))
	if err != nil || !reflect.DeepEqual(got, rows) {
		t.Errorf("completions: %v", err)
	}
	var full Metrics // of columns that are there; what stands beside a column that is not decides what the library makes of it
	for f := range reflect.TypeFor[Metrics]().Fields() {
		if f.Type.Kind() == reflect.Pointer && f.Tag.Get("since") == "" {
			reflect.ValueOf(&full).Elem().FieldByIndex(f.Index).Set(reflect.New(f.Type.Elem()))
		}
	}
	steps := []Metrics{full, {Step: 2}}
	seen, err := decode[Metrics](older(t, steps, 1, 1))
	if err != nil || !reflect.DeepEqual(seen, steps) {
		t.Errorf("metrics: got %+v, %v", seen, err)
	}
	evals := []Eval{{Step: 3, When: "after", ExampleID: "a", Format: &x, Reward: 1}, {Step: 3, ExampleID: "b", BMAS: &y}}
	have, err := decode[Eval](older(t, evals, 1, 1))
	if err != nil || !reflect.DeepEqual(have, evals) {
		t.Errorf("eval: got %+v, %v", have, err)
	}
	if have, err = decode[Eval](older(t, evals, 2, 2)); err != nil || !reflect.DeepEqual(have, evals) || have[0].Greedy != nil || have[0].Beside() {
		t.Errorf("eval/2: got %+v, %v", have, err)
	}
	if _, err := decode[Eval](older(t, evals, 1, 2)); err == nil || !strings.Contains(err.Error(), "text is missing; overlong is missing; repetition is missing") {
		t.Errorf("eval/2 with the columns of eval/1: %v", err)
	}
	if _, err := decode[Eval](older(t, evals, 2, 1)); err == nil || !strings.Contains(err.Error(), "text is unknown") {
		t.Errorf("eval/1 with the columns of eval/2: %v", err)
	}
}

func TestFinite(t *testing.T) {
	var lost int32
	if p := Finite(0, &lost); p == nil || *p != 0 {
		t.Error("0 is finite")
	}
	for _, x := range []float64{nan, math.Inf(1), math.Inf(-1)} {
		if Finite(x, &lost) != nil {
			t.Errorf("%v is not finite", x)
		}
	}
	if lost != 3 {
		t.Errorf("lost %d, want 3", lost)
	}
}

func BenchmarkWriteCompletions(b *testing.B) {
	for _, n := range []int{1000, 20000} {
		rows := completionsOf(1, n/40, 40)
		b.Run(fmt.Sprintf("rows=%d", n), func(b *testing.B) {
			for b.Loop() {
				e := newEncoder[Completion](&bytes.Buffer{})
				if err := e.add(rows); err != nil {
					b.Fatal(err)
				}
				if err := e.close(); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(n*b.N)/b.Elapsed().Seconds(), "rows/s")
		})
	}
}
