package table

import (
	"os"
	"strings"
	"testing"
)

// TestColumnsDocumented holds results/README.md and the row types to each other: same tables, same columns in the same
// order, same types, and "never" null exactly where a column is required.
func TestColumnsDocumented(t *testing.T) {
	text, err := os.ReadFile("../../results/README.md")
	if err != nil {
		t.Fatal(err)
	}
	documented := parseTables(t, string(text))
	want := map[string][]column{
		Name[Metrics]():    columns(schemaOf[Metrics]()),
		Name[Slice]():      columns(schemaOf[Slice]()),
		Name[Completion](): columns(schemaOf[Completion]()),
		Name[Eval]():       columns(schemaOf[Eval]()),
		Name[Timing]():     columns(schemaOf[Timing]()),
	}
	if len(documented) != len(want) {
		t.Errorf("results/README.md documents %d tables, there are %d", len(documented), len(want))
	}
	for name, cols := range want {
		doc := documented[name]
		for i, c := range cols {
			if i >= len(doc) || doc[i] != c {
				t.Errorf("results/README.md, table %s: line %d should document %+v", name, i+1, c)
			}
		}
		if len(doc) > len(cols) {
			t.Errorf("results/README.md, table %s documents %d columns, there are %d", name, len(doc), len(cols))
		}
	}
}

// parseTables reads the sections of the page that have a table of columns.
func parseTables(t *testing.T, page string) map[string][]column {
	t.Helper()
	const header = "| column | type | unit | null | meaning | since |"
	out := map[string][]column{}
	for _, section := range strings.Split(page, "\n## ")[1:] {
		name, body, _ := strings.Cut(section, "\n")
		_, table, ok := strings.Cut(body, header+"\n")
		if !ok {
			continue
		}
		for line := range strings.Lines(table) {
			cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
			if len(cells) != strings.Count(header, "|")-1 || strings.HasPrefix(cells[0], "---") {
				continue
			}
			for i := range cells {
				if cells[i] = strings.TrimSpace(cells[i]); cells[i] == "" && i != 2 {
					t.Errorf("table %s, column %s: an empty cell", name, cells[0])
				}
			}
			out[name] = append(out[name], column{name: cells[0], typ: cells[1], nullable: cells[3] != "never"})
		}
	}
	return out
}
