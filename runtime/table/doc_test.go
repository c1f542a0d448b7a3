package table

import (
	"os"
	"strconv"
	"strings"
	"testing"
)

// TestColumnsDocumented holds results/README.md and the row types to each other: same tables, same columns in the same
// order, same types, "never" null exactly where a column is required, and the version that added it.
func TestColumnsDocumented(t *testing.T) {
	text, err := os.ReadFile("../../results/README.md")
	if err != nil {
		t.Fatal(err)
	}
	documented := parseTables(t, string(text))
	want := map[string][]documentedColumn{
		Name[Metrics]():    documentable[Metrics](),
		Name[Slice]():      documentable[Slice](),
		Name[Completion](): documentable[Completion](),
		Name[Eval]():       documentable[Eval](),
		Name[Timing]():     documentable[Timing](),
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

// documentedColumn is a line of the page.
type documentedColumn struct {
	column
	since string
}

func documentable[R Row]() (out []documentedColumn) {
	added := since[R]()
	for _, c := range columns(schemaOf[R]()) {
		out = append(out, documentedColumn{c, strconv.Itoa(added[c.name])})
	}
	return out
}

// parseTables reads the sections of the page that have a table of columns.
func parseTables(t *testing.T, page string) map[string][]documentedColumn {
	t.Helper()
	const header = "| column | type | unit | null | meaning | since |"
	out := map[string][]documentedColumn{}
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
			out[name] = append(out[name], documentedColumn{column{name: cells[0], typ: cells[1], nullable: cells[3] != "never"}, cells[5]})
		}
	}
	return out
}
