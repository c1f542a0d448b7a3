package table

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress/zstd"
	"github.com/parquet-go/parquet-go/format"
)

const (
	// metadataKey says in the file which table it is, and the version of its columns: "mixr.table" = "metrics/1".
	metadataKey = "mixr.table"
	// blockRows is how many rows go to the Parquet writer at a time. The writer decides page boundaries once a call,
	// so a fixed number makes them a function of the rows alone.
	blockRows = 256
	// groupRows bounds the rows held in memory while a table is written; completions are about 3 kB each.
	groupRows = 16 * 1024
)

// encoder writes the rows of one Parquet file, in blocks whose boundaries do not depend on how rows arrive.
type encoder[R Row] struct {
	w    *parquet.GenericWriter[R]
	held []R // fewer than blockRows
	rows int
}

func newEncoder[R Row](w io.Writer) *encoder[R] {
	return &encoder[R]{w: parquet.NewGenericWriter[R](w,
		parquet.Compression(&zstd.Codec{Level: zstd.SpeedFastest}),
		parquet.MaxRowsPerRowGroup(groupRows),
		parquet.KeyValueMetadata(metadataKey, tableVersion[R](newest[R]())),
		// The library's default names its build, which would make equal tables differ between builds.
		parquet.CreatedBy("mixr", "table", fmt.Sprint(newest[R]())),
	)}
}

func (e *encoder[R]) add(rows []R) error {
	e.rows += len(rows)
	e.held = append(e.held, rows...)
	for len(e.held) >= blockRows {
		if _, err := e.w.Write(e.held[:blockRows]); err != nil {
			return err
		}
		e.held = slices.Delete(e.held, 0, blockRows)
	}
	return nil
}

func (e *encoder[R]) close() error {
	if _, err := e.w.Write(e.held); err != nil {
		return err
	}
	return e.w.Close()
}

// decode reads all rows of a Parquet file after checking that it holds exactly the columns that R had in the file's version: the
// Parquet library would read any missing column as zero, drop one it does not know, and convert int64 to string, all in silence.
//
// The Parquet library panics on some damaged files; that is an error here.
func decode[R Row](data []byte) (rows []R, err error) {
	defer func() {
		if p := recover(); p != nil {
			rows, err = nil, fmt.Errorf("damaged: %v", p)
		}
	}()
	if err := checkEnds(data); err != nil {
		return nil, err
	}
	f, err := parquet.OpenFile(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		return nil, err
	}
	got, _ := f.Lookup(metadataKey)
	version := newest[R]()
	for version > 0 && got != tableVersion[R](version) {
		version--
	}
	if version == 0 {
		return nil, fmt.Errorf("holds %q, want %q: written by another version of mixr", got, tableVersion[R](newest[R]()))
	}
	if err := sameColumns(columns(f.Schema()), columnsIn[R](version)); err != nil {
		return nil, err
	}
	for _, group := range f.Metadata().RowGroups {
		for _, c := range group.Columns {
			// The library takes memory without end for damaged LZ4.
			if c.MetaData.Codec != format.Zstd {
				return nil, fmt.Errorf("column %s is compressed by %v, mixr writes zstd: damaged, or written by another program",
					strings.Join(c.MetaData.PathInSchema, "."), c.MetaData.Codec)
			}
		}
	}
	// The number of rows in the footer of a damaged file may be anything, so memory is taken as rows come.
	r := parquet.NewGenericReader[R](f)
	defer r.Close()
	block := make([]R, min(f.NumRows(), blockRows))
	for want := int(f.NumRows()); len(rows) < want; {
		k, err := r.Read(block[:min(len(block), want-len(rows))])
		rows = append(rows, block[:k]...)
		clear(block) // its slices belong to rows now
		if len(rows) < want && (k == 0 || err != nil && !errors.Is(err, io.EOF)) {
			return nil, fmt.Errorf("row %d of %d: %w", len(rows), want, errors.Join(err, io.ErrUnexpectedEOF))
		}
	}
	clearLater(rows, version)
	return rows, nil
}

// clearLater makes null what a version of the table did not have: a list that has no column the library makes empty and not null, if the
// column beside it has a value.
func clearLater[R Row](rows []R, version int) {
	added := since[R]()
	var later []int
	for i := range reflect.TypeFor[R]().NumField() {
		if added[columnOf(reflect.TypeFor[R]().Field(i))] > version {
			later = append(later, i)
		}
	}
	for r := range rows {
		for _, i := range later {
			reflect.ValueOf(&rows[r]).Elem().Field(i).SetZero()
		}
	}
}

// checkEnds refuses what does not begin and end like a Parquet file. The library takes as much memory for the footer as the file says
// it has bytes.
func checkEnds(data []byte) error {
	const magic, ends = "PAR1", 4 + 8 // the magic in front; length of the footer and the magic behind
	if len(data) < ends || string(data[:4]) != magic || string(data[len(data)-4:]) != magic {
		return errors.New("no Parquet file, or truncated")
	}
	if n := binary.LittleEndian.Uint32(data[len(data)-8:]); int64(n) > int64(len(data)-ends) {
		return fmt.Errorf("damaged: a footer of %d bytes in a file of %d", n, len(data))
	}
	return nil
}

func tableVersion[R Row](version int) string { return fmt.Sprintf("%s/%d", Name[R](), version) }

// since maps every column of a table to the version that added it, by the tag `since` of its row type; 1 without one.
func since[R Row]() map[string]int {
	out := map[string]int{}
	for f := range reflect.TypeFor[R]().Fields() {
		name := columnOf(f)
		out[name] = 1
		if v, err := strconv.Atoi(f.Tag.Get("since")); err == nil {
			out[name] = v
		}
	}
	return out
}

// columnOf is the name of the column that holds a field of a row.
func columnOf(f reflect.StructField) string {
	name, _, _ := strings.Cut(f.Tag.Get("parquet"), ",")
	return name
}

// newest is the version of a table's columns that is written today.
func newest[R Row]() int { return slices.Max(slices.Collect(maps.Values(since[R]()))) }

// columnsIn are the columns that a table had in a version.
func columnsIn[R Row](version int) []column {
	added := since[R]()
	return slices.DeleteFunc(columns(schemaOf[R]()), func(c column) bool { return added[c.name] > version })
}

func schemaOf[R Row]() *parquet.Schema { return parquet.SchemaOf(new(R)) }

// column is one column of a table as a reader of the file sees it.
type column struct {
	name     string
	typ      string // DOUBLE, STRING, LIST<INT32>, ...
	nullable bool
}

func columns(s *parquet.Schema) []column {
	var out []column
	for _, f := range s.Fields() {
		out = append(out, column{name: f.Name(), typ: typeName(f), nullable: f.Optional()})
	}
	return out
}

// typeName is the logical type where there is one and the physical type otherwise, in the words of results/README.md.
func typeName(n parquet.Node) string {
	if !n.Leaf() {
		// LIST: an outer group with one repeated group "list" with one "element".
		if list := n.Fields(); len(list) == 1 && len(list[0].Fields()) == 1 {
			return "LIST<" + typeName(list[0].Fields()[0]) + ">"
		}
		return "GROUP"
	}
	switch text := n.Type().String(); {
	case strings.HasPrefix(text, "TIMESTAMP"):
		return "TIMESTAMP"
	case strings.HasPrefix(text, "INT(32"):
		return "INT32"
	case strings.HasPrefix(text, "INT(64"):
		return "INT64"
	default:
		return text
	}
}

func sameColumns(got, want []column) error {
	describe := func(c column) string {
		if c.nullable {
			return c.typ + " nullable"
		}
		return c.typ + " required"
	}
	have := map[string]column{}
	for _, c := range got {
		have[c.name] = c
	}
	var wrong []string
	for _, w := range want {
		g, ok := have[w.name]
		delete(have, w.name)
		switch {
		case !ok:
			wrong = append(wrong, fmt.Sprintf("%s is missing", w.name))
		case g != w:
			wrong = append(wrong, fmt.Sprintf("%s is %s, want %s", w.name, describe(g), describe(w)))
		}
	}
	for _, c := range got {
		if _, ok := have[c.name]; ok {
			wrong = append(wrong, fmt.Sprintf("%s is unknown", c.name))
		}
	}
	if len(wrong) > 0 {
		return fmt.Errorf("columns differ: %s", strings.Join(wrong, "; "))
	}
	return nil
}

// check refuses a row with a number that is not finite or a time that is not set, naming the column. DuckDB takes NaN
// for the largest of all numbers, and a zero time would be stored as a day in 1754.
func check[R Row](row *R) error {
	v := reflect.ValueOf(row).Elem()
	for i := range v.NumField() {
		if err := checkValue(v.Field(i)); err != nil {
			return fmt.Errorf("%s: %w", columnOf(v.Type().Field(i)), err)
		}
	}
	return nil
}

func checkValue(v reflect.Value) error {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			return checkValue(v.Elem())
		}
	case reflect.Slice:
		for i := range v.Len() {
			if err := checkValue(v.Index(i)); err != nil {
				return fmt.Errorf("[%d]: %w", i, err)
			}
		}
	case reflect.Float32, reflect.Float64:
		if x := v.Float(); math.IsNaN(x) || math.IsInf(x, 0) {
			return fmt.Errorf("got %v, want a finite number or null", x)
		}
	case reflect.Struct:
		if t, ok := v.Interface().(time.Time); ok && t.IsZero() {
			return errors.New("time is not set")
		}
	}
	return nil
}

// stepOf is the row's step.
func stepOf[R Row](row *R) int {
	return int(reflect.ValueOf(row).Elem().FieldByName("Step").Int())
}
