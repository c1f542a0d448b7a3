package cli_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"mixr/runtime/table"
	"mixr/schema"
)

// What a stop rule can look at is every column of table metrics that holds a number, and what no table has.
func TestStopMetricsAreColumns(t *testing.T) {
	text, err := schema.Files.ReadFile("stop.cue")
	if err != nil {
		t.Fatal(err)
	}
	_, list, ok := strings.Cut(string(text), "#StopMetric: ")
	if !ok {
		t.Fatal("schema/stop.cue has no #StopMetric")
	}
	var got []string
	for _, m := range regexp.MustCompile(`"([^"]+)"`).FindAllStringSubmatch(list, -1) {
		got = append(got, m[1])
	}
	want := slices.DeleteFunc(table.Numbers[table.Metrics](), func(name string) bool { return name == "step" })
	want = append(want, "eval.reward", "eval.correct", "eval.format", "eval.parsed", "hours")
	for _, name := range want {
		if !slices.Contains(got, name) {
			t.Errorf("schema/stop.cue, #StopMetric lacks %q", name)
		}
	}
	for _, name := range got {
		if !slices.Contains(want, name) {
			t.Errorf("schema/stop.cue, #StopMetric has %q, which is no column of table metrics", name)
		}
	}
}
