package report

import (
	"reflect"
	"strings"
	"testing"

	"mixr/runtime/table"
)

func TestFindings(t *testing.T) {
	rows := []table.Metrics{
		{Step: 1, Alerts: []string{}},
		{Step: 2, Alerts: []string{"advantage_collapse mcq/nlvr"}, AlertSince: []int32{2}, AlertValue: []float64{0.8}},
		{Step: 3, Alerts: []string{"advantage_collapse mcq/nlvr", "kl_excursion"}, AlertSince: []int32{2, 3}, AlertValue: []float64{0.85, 1.5}},
		{Step: 4, Alerts: []string{}},
		{Step: 5, Alerts: []string{"advantage_collapse mcq/nlvr"}, AlertSince: []int32{2}, AlertValue: []float64{0.9}},
		{Step: 30, Alerts: []string{"kl_excursion"}, AlertSince: []int32{30}, AlertValue: []float64{2}},
	}
	got := findings(rows)
	for i := range got {
		if !strings.Contains(got[i].Text, strings.ReplaceAll(got[i].Monitor, "_", " ")) {
			t.Errorf("%s: %s", got[i].Monitor, got[i].Text)
		}
		got[i].Text = ""
	}
	want := []Finding{
		{Monitor: "advantage_collapse", Where: "mcq/nlvr", From: 2, To: 5, Steps: 3, Value: 0.9},
		{Monitor: "kl_excursion", From: 3, To: 3, Steps: 1, Value: 1.5},
		{Monitor: "kl_excursion", From: 30, To: 30, Steps: 1, Value: 2},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
	if f := findings(rows[:1]); f == nil || len(f) > 0 {
		t.Errorf("a healthy run: %+v, want an empty list", f)
	}
	if f := findings([]table.Metrics{{Step: 1}}); f != nil {
		t.Errorf("a run that nobody looked at: %+v, want nil", f)
	}
}
